"""The measurement of trust on the embedded base and twelve small photos, read back."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cvlab.course import trust
from cvlab.data import load_images
from cvlab.evaluation import calibration
from cvlab.evaluation.corruptions import CORRUPTIONS
from cvlab.experiments import trust as measuring
from tests.small_photos import TINY, kaggle, zip_of

pytestmark = pytest.mark.usefixtures("eager")

SEVERAL = [f"{kind} {severity}" for kind in CORRUPTIONS for severity in (1, 2, 3)]


class Bench:
    """The command on small photos; every start has another source, too."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.photos = zip_of(folder / "train.zip", kaggle())
        heads = {
            name: measuring.Head(one.units, one.best_epoch, epochs=2)
            for name, one in measuring.HEADS.items()
        }
        patch.setattr(measuring, "HEADS", heads)
        patch.setattr(measuring, "DRAWINGS", 2)
        patch.setattr(measuring, "load_images", partial(load_images, per_class=TINY))
        # Four validation photos may all be right, and then there is no best temperature.
        patch.setattr(calibration, "fit_temperature", lambda logits, labels: 2.0)
        patch.setenv("CVLAB_CACHE", str(folder / "cache"))

    def run(self) -> trust.Trust:
        out = self.folder / "trust.json"
        options = ["--photos", str(self.photos), "--base", "toy", "--size", "32", "--seeds", "2"]
        assert measuring.main([*options, "--other", str(self.photos), "--out", str(out)]) == 0
        return trust.load(out)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        yield Bench(tmp_path_factory.mktemp("trust"), patch)


def test_every_head_is_tested_on_every_image_set(bench: Bench) -> None:
    found = bench.run()
    assert [(one.head, one.seed) for one in found.trials] == [
        (name, seed) for name in measuring.HEADS for seed in (0, 1)
    ]
    assert found.files == ("cat/cat.5.jpg", "dog/dog.5.jpg")
    assert found.labels.tolist() == [0, 1]
    assert found.settings["base"] == "toy"
    assert found.corruptions() == list(CORRUPTIONS)
    for one in found.trials:
        assert list(one.right) == ["test", *SEVERAL, trust.DRAWN, trust.OTHER]
        assert one.right["test"].tolist() == ((one.logits > 0) == (found.labels == 1)).tolist()
        assert one.right[trust.DRAWN].shape == (4,)
        assert one.right[trust.OTHER].shape == (16,)
    kept = json.loads((bench.folder / "trust.json").read_text())
    assert set(kept) == {"date", "machine", "versions", "settings", "test_files", "trials"}


def test_a_second_start_computes_no_features(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.run()
    predicted = keras.Model.predict_on_batch

    def only_heads(model: keras.Model, batch: Any) -> Any:
        assert len(model.input_shape) == 2, "an image passes through the base again"
        return predicted(model, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", only_heads)
    second = bench.run()
    for one, other in zip(first.trials, second.trials, strict=True):
        assert np.array_equal(one.logits, other.logits)
        assert all(np.array_equal(one.right[name], other.right[name]) for name in one.right)
