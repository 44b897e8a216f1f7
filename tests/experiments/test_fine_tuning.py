"""The measurement of notebook 15: it resumes, chooses by validation, and tests what it chose."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from cvlab.course import tuning
from cvlab.data import load_images
from cvlab.experiments import fine_tuning
from cvlab.transfer import METHODS
from tests.small_photos import TINY, kaggle, zip_of

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fine-tuning")
    photos = zip_of(folder / "train.zip", kaggle())
    small: dict[str, Any] = {
        "BASE": "toy",
        "IMAGE_SIZE": 48,
        "RATES": (1e-3, 1e-2),
        "EPOCHS": 3,
        "TABLE_PER_CLASS": 2,
        "SCRATCH_EPOCHS": {1: 1, 2: 1},
        "TUNED_EPOCHS": {1: 3, 2: 3},
        "load_images": partial(load_images, per_class=TINY),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            patch.setattr(fine_tuning, name, value)
        patch.setenv("CVLAB_CACHE", str(folder / "cache"))
        arguments = ["--photos", str(photos), "--out", str(folder / "out"), "--seeds", "1"]

        def command() -> dict[str, Any]:
            assert fine_tuning.main(arguments) == 0
            written: dict[str, Any] = json.loads((folder / "out/fine_tuning.json").read_text())
            return written

        command.folder = folder  # type: ignore[attr-defined]
        yield command


def test_everything_is_measured_once(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run()
    assert {one["method"] for one in first["table"]} == METHODS.keys()
    assert {(one["way"], one["per_class"]) for one in first["curve"]} == {
        (way, count) for way in ("scratch", "probe", "fine-tuned") for count in (1, 2)
    }

    def nothing(*arguments: Any) -> None:
        pytest.fail("a second start trained or tested something again")

    monkeypatch.setattr(fine_tuning, "_trained", nothing)
    monkeypatch.setattr(fine_tuning, "_tested", nothing)
    assert run() == first
    found = tuning.load(run.folder / "out/fine_tuning.json")
    assert found.tested.keys() == METHODS.keys()


def test_the_chosen_rate_is_tested_and_no_other(run: Any) -> None:
    record = run()
    chosen = fine_tuning.chosen_rates(record["table"])
    assert {one["method"]: one["rate"] for one in record["tested"]} == chosen
    assert all(len(one["right"]) == 2 for one in record["tested"])


def test_the_choice_is_by_mean_accuracy_and_ties_by_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "RATES", (1, 2, 3))
    table = [
        {"method": method, "rate": rate, "validation": accuracy, "validation_loss": loss}
        for method in METHODS
        for rate, accuracy, loss in (
            (1, 0.9, 0.5),
            (1, 0.7, 0.3),
            (2, 0.8, 0.3),
            (2, 0.8, 0.2),
            (3, 1.0, None),
        )
    ]
    assert set(fine_tuning.chosen_rates(table).values()) == {2}


def test_smaller_samples_are_part_of_larger_ones_with_as_many_of_each_class(run: Any) -> None:
    photos = load_images(run.folder / "train.zip", image_size=32, per_class=TINY)
    small, large = (fine_tuning.sampled(photos.train, count, seed=5) for count in (1, 2))
    assert small[1].tolist() == [0, 1]
    assert sorted(large[1].tolist()) == [0, 0, 1, 1]
    for image in small[0]:
        assert any(np.array_equal(image, other) for other in large[0])
