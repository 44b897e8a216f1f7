"""Trials of transfer learning: each resumes, says what trained, and changes only what it names."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cvlab.course import trials
from cvlab.data import load_images
from cvlab.experiments import vgg16
from cvlab.experiments.vgg16 import EXPERIMENTS
from tests.small_photos import TINY, kaggle, zip_of

pytestmark = pytest.mark.usefixtures("eager")

TRIED = (
    "extraction",
    "pooled, 1/255",
    "frozen, augmented",
    "head first, 1e-5",
    "together, 1e-5",
    "trainable, augmented",
)


class Bench:
    """The command on the embedded base and twelve small photos, and what `fit` began with."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.out = folder / "out"
        self.photos = zip_of(folder / "train.zip", kaggle())
        small: dict[str, Any] = {"base": "toy", "image_size": 32, "epochs": 2}
        experiments = {name: replace(EXPERIMENTS[name], **small) for name in TRIED}
        patch.setattr(vgg16, "EXPERIMENTS", experiments)
        patch.setattr(vgg16, "VIEWS", 1)
        patch.setattr(vgg16, "load_images", partial(load_images, per_class=TINY))
        patch.setenv("CVLAB_CACHE", str(folder / "cache"))
        self.begun: list[list[np.ndarray]] = []
        fit = keras.Model.fit

        def noted(model: keras.Model, *arguments: Any, **options: Any) -> Any:
            self.begun.append(model.get_weights())
            return fit(model, *arguments, **options)

        patch.setattr(keras.Model, "fit", noted)

    def run(self, *more: str) -> dict[str, list[trials.Trial]]:
        assert vgg16.main(["--photos", str(self.photos), "--out", str(self.out), *more]) == 0
        found: dict[str, list[trials.Trial]] = {}
        for trial in trials.load(self.out / "vgg16.json"):
            found.setdefault(trial.experiment, []).append(trial)
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        made = Bench(tmp_path_factory.mktemp("vgg16"), patch)
        made.run("--seeds", "2")
        yield made


def test_the_command_writes_every_trial_with_all_that_it_measured(bench: Bench) -> None:
    found = bench.run("--seeds", "2")
    assert tuple(found) == TRIED
    for name, both in found.items():
        assert [trial.seed for trial in both] == [0, 1]
        for trial in both:
            assert trial.settings == asdict(vgg16.EXPERIMENTS[name])
            assert trial.right.shape == (2,) and trial.right.dtype == bool
            assert set(trial.curves) == {"accuracy", "loss", "val_accuracy", "val_loss"}
            assert all(len(values) == 2 for values in trial.curves.values())
    assert trials.photos(bench.out / "vgg16.json") == ("cat/cat.5.jpg", "dog/dog.5.jpg")


def test_a_second_start_trains_nothing_and_a_lost_trial_comes_back(bench: Bench) -> None:
    first = bench.run("--seeds", "2")
    trained = len(bench.begun)
    bench.run("--seeds", "2")
    assert len(bench.begun) == trained
    seal = bench.out / "together_1e-5" / "1" / "seal.json"
    record = json.loads(seal.read_text())["record"]
    seal.unlink()
    again = bench.run("--seeds", "2")
    assert len(bench.begun) == trained + 1
    assert json.loads(seal.read_text())["record"] | {"seconds": 0} == record | {"seconds": 0}
    assert [trial.curves for trial in again["together, 1e-5"]] == [
        trial.curves for trial in first["together, 1e-5"]
    ]


def test_a_trial_says_how_many_weights_trained(bench: Bench) -> None:
    """The dense head has 4, the embedded base 2 in each of 10 convolutions, block5 has 2 of them.

    In VGG16, with 13 convolutions and 3 in block5, the same counts are 4, 10 and 30.
    """
    counts = {name: both[0].trainable_weights for name, both in bench.run("--seeds", "2").items()}
    assert counts == {
        "extraction": 4,
        "frozen, augmented": 4,
        "head first, 1e-5": 8,
        "together, 1e-5": 8,
        "trainable, augmented": 24,
        "pooled, 1/255": 2,
    }


def test_the_wrong_order_begins_with_an_untrained_head_and_the_same_block(bench: Bench) -> None:
    bench.begun.clear()
    for name in ("head-first_1e-5", "together_1e-5", "extraction"):
        for seal in bench.out.glob(f"{name.replace('-first', ' first')}/0/seal.json"):
            seal.unlink()
    bench.run("--seeds", "1")
    fresh, right, wrong = bench.begun  # in the order of the experiments
    block = len(right) - len(fresh)
    assert all(np.array_equal(*pair) for pair in zip(right[:block], wrong[:block], strict=True))
    assert all(np.array_equal(*pair) for pair in zip(wrong[block:], fresh, strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(right[block:], fresh, strict=True))


def test_the_square_changes_order_and_learning_rate_and_nothing_else() -> None:
    for rate in ("1e-5", "2e-4", "1e-3"):
        right, wrong = EXPERIMENTS[f"head first, {rate}"], EXPERIMENTS[f"together, {rate}"]
        assert right == replace(wrong, after="frozen, augmented")
        assert wrong.learning_rate == float(rate)
        assert wrong == replace(EXPERIMENTS["together, 1e-5"], learning_rate=float(rate))


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.endswith("1/255")])
def test_the_lectures_preprocessing_is_the_only_change(name: str) -> None:
    changed = replace(EXPERIMENTS[name], preprocessing="own")
    assert changed == EXPERIMENTS[name.removesuffix(", 1/255")]


def test_the_lectures_preprocessing_takes_the_place_of_the_bases_own() -> None:
    experiment = replace(EXPERIMENTS["extraction"], base="MobileNet(alpha=0.25)", image_size=32)
    own = vgg16._base(experiment, None)
    wrong = vgg16._base(replace(experiment, preprocessing="1/255"), None)
    white_and_black = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (255, 0)])
    for base, low in ((own, -1), (wrong, 0)):
        scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
        found = np.asarray(scaled.predict(white_and_black, verbose=0), np.float32)
        assert (found.min(), found.max()) == (low, 1)
    assert [layer.name for layer in own.layers[1:]] == [layer.name for layer in wrong.layers[1:]]
    assert keras.config.dtype_policy().name == "float32"


def test_a_head_that_was_not_trained_is_named(bench: Bench, tmp_path: Path) -> None:
    bench.out, kept = tmp_path, bench.out
    try:
        with pytest.raises(FileNotFoundError, match="--only 'frozen, augmented'"):
            bench.run("--only", "head first, 1e-5", "--seeds", "1")
    finally:
        bench.out = kept
