"""The recorded measurements of notebook 15: every number comes from the files."""

import json
from pathlib import Path

import numpy as np
import pytest

from cvlab.course import tuning
from cvlab.transfer import METHODS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    common = {"method": "last block", "validation_loss": 0.1}
    kept = {
        "date": "2026-11-30",
        "machine": {"cores": 1},
        "versions": {"keras": "3.15.1"},
        "settings": {"seeds": [0, 1]},
        "table": [
            {**common, "rate": 1e-3, "seed": 0, "validation": 0.8},
            {**common, "rate": 1e-3, "seed": 1, "validation": 0.9},
            {**common, "rate": 1e-4, "seed": 0, "validation": 0.7},
        ],
        "tested": [
            {"method": "last block", "rate": 1e-3, "seed": seed, "right": right}
            for seed, right in enumerate(("110", "011"))
        ],
        "curve": [
            {"way": "probe", "per_class": count, "seed": 0, "right": right}
            for count, right in ((100, "111"), (10, "100"))
        ],
    }
    path = tmp_path / "fine_tuning.json"
    path.write_text(json.dumps(kept))
    return path


def test_a_record_is_read_by_method_rate_and_seed(file: Path) -> None:
    found = tuning.load(file)
    assert found.validation == {"last block": {1e-4: 0.7, 1e-3: pytest.approx(0.85)}}
    rate, rights = found.tested["last block"]
    assert rate == 1e-3
    np.testing.assert_array_equal(rights, [[True, True, False], [False, True, True]])
    assert list(found.curve["probe"]) == [10, 100]
    assert found.curve["probe"][10].tolist() == [[True, False, False]]
    assert found.place == "2026-11-30, 1 core, keras 3.15.1"


def test_the_courses_own_record_has_every_method_and_way_on_1000_photos() -> None:
    found = tuning.load()
    assert found.validation.keys() == found.tested.keys() == METHODS.keys()
    assert found.curve.keys() == {"scratch", "probe", "fine-tuned"}
    for rate, rights in found.tested.values():
        assert rate in found.settings["rates"]
        assert rights.shape[1] == 1000
    for points in found.curve.values():
        assert {rights.shape[1] for rights in points.values()} == {1000}


def test_probes_are_sorted_by_validation_and_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "probes.json"
    assert tuning.probes(file) == []
    kept = [{"validation_loss": loss, "right": "101"} for loss in (0.2, 0.1)]
    file.write_text(json.dumps({"probes": kept}))
    found = tuning.probes(file)
    assert [one["validation_loss"] for one in found] == [0.1, 0.2]
    assert found[0]["right"].tolist() == [True, False, True]
