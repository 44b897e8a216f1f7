"""The recorded measurement of trust: complete, and read by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from cvlab.course import trials, trust
from cvlab.evaluation import calibration, measure

CONTENT = {
    "date": "2026-11-30",
    "machine": {"system": "Linux x86_64", "cores": 2, "gpus": []},
    "versions": {"python": "3.11"},
    "settings": {"base": "VGG16", "image_size": 150, "corruptions": {"blur": {}, "gray": {}}},
    "test_files": ["cat/cat.1.jpg", "dog/dog.1.jpg", "cat/cat.2.jpg", "dog/dog.2.jpg"],
    "trials": [
        {
            "head": "pooled",
            "seed": seed,
            "seconds": 1.0,
            "temperature": 1.5,
            "logits": [-2.0, 1.0, 0.5, 3.0],
            "right": {"test": "1101", "blur 1": blurred, "drawings": "10"},
        }
        for seed, blurred in enumerate(("1001", "1000"))
    ],
}


@pytest.fixture
def kept(tmp_path: Path) -> trust.Trust:
    file = tmp_path / "trust.json"
    file.write_text(json.dumps(CONTENT))
    return trust.load(file)


def test_accuracies_and_changes_are_means_over_seeds_with_intervals_over_images(
    kept: trust.Trust,
) -> None:
    assert kept.labels.tolist() == [0, 1, 0, 1]
    clean = kept.accuracy("pooled")
    assert clean.value == pytest.approx(0.75)
    assert 0 <= clean.low <= clean.high <= 1
    assert kept.accuracy("pooled", "blur 1").value == pytest.approx(0.375)
    change = kept.change("pooled", "blur 1")
    assert change == measure.mean_interval([0.0, -1.0, 0.0, -0.5])
    assert kept.corruptions() == ["blur", "gray"]
    assert kept.place == "VGG16 at 150 pixels, 2 cores, 2026-11-30"


def test_an_unknown_head_is_named(kept: trust.Trust) -> None:
    with pytest.raises(ValueError, match="no head 'dense': name one of pooled"):
        kept.of("dense")


def test_the_record_is_of_the_same_photos_as_the_recorded_trials() -> None:
    found = trust.load()
    assert sorted(found.files) == sorted(trials.photos())
    assert len(found.files) == 1000
    heads = dict.fromkeys(one.head for one in found.trials)
    assert all(len(found.of(head)) >= 3 for head in heads)
    for one in found.trials:
        assert np.array_equal(one.right["test"], (one.logits > 0) == (found.labels == 1))
        assert {len(hits) for name, hits in one.right.items() if name != trust.DRAWN} == {1000}
        assert set(one.right) >= {f"{kind} {k}" for kind in found.corruptions() for k in (1, 2, 3)}


def test_the_recorded_temperature_lowers_the_calibration_error_of_the_overfitted_head() -> None:
    found = trust.load()
    for one in found.of("Dense 256, last epoch"):
        before, after = (
            calibration.expected_calibration_error(1 / (1 + np.exp(-one.logits / t)), found.labels)
            for t in (1.0, one.temperature)
        )
        assert one.temperature > 1
        assert after.value < before.value
