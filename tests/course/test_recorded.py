"""Recorded runs: only whole ones are kept, and they come back as they were."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cvlab import profiles
from cvlab.course import claims, findings, recorded, statements
from cvlab.publish import results
from cvlab.publish.outcomes import Record

HITS = np.arange(50) % 3 > 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of profile quick in which every notebook measured every claim."""
    folder = tmp_path / "build/quick"
    monkeypatch.setenv(findings.FOLDER_VARIABLE, str(folder / "records"))
    for notebook in sorted({claim.notebook for claim in statements.CLAIMS.values()}):
        found: dict[str, claims.Measured] = {}
        for claim in statements.of_notebook(notebook):
            if claim.id in statements.LADDER:
                found[claim.id] = HITS
            else:
                found[claim.id] = True if claim.bounds is None else claim.bounds[0]
        claims.check(notebook, "quick", found, images=[f"{n}.jpg" for n in range(50)])
        Record(f"{notebook}_name", "quick", int(notebook) + 0.25, "passed").save(folder)
    (folder / "records/machine.json").write_text(json.dumps({"Cores": "2"}))
    return folder


def test_a_run_comes_back(run: Path, tmp_path: Path) -> None:
    assert results.record(run, tmp_path) == tmp_path / "quick.json"
    found = recorded.load("quick", tmp_path)
    assert found.seconds["05_name"] == 5.2
    assert found.machine == {"Cores": "2"}
    assert found.findings == findings.load("quick", run / "records")
    assert found.settings["baseline_epochs"] == profiles.get("quick").baseline_epochs
    assert found.images == tuple(f"{n}.jpg" for n in range(50))
    right = found.findings["baseline-accuracy"].right
    assert right is not None
    assert np.array_equal(right, HITS)
    assert recorded.load("laptop", tmp_path).seconds == {}


def test_a_run_with_another_base_is_another_run(run: Path, tmp_path: Path) -> None:
    (run / "records/machine.json").write_text(json.dumps({"Pretrained base": "VGG16"}))
    assert results.record(run, tmp_path).name == "quick-VGG16.json"
    assert recorded.load("quick-VGG16", tmp_path).base == "VGG16"


def test_a_run_may_be_recorded_in_pieces(run: Path, tmp_path: Path) -> None:
    (run / "records/08.claims.json").unlink()
    results.record(run, tmp_path)
    assert "dropout-accuracy" not in recorded.load("quick", tmp_path).findings


def test_a_run_with_a_failure_is_refused(run: Path, tmp_path: Path) -> None:
    Record("08_name", "quick", 1.0, "failed", 3, "x").save(run)
    with pytest.raises(ValueError, match="failed: 08_name"):
        results.record(run, tmp_path)
    assert not (tmp_path / "quick.json").exists()


def test_the_place_is_the_gpu_or_the_cores() -> None:
    assert recorded.Recorded({}, {"Cores": "2"}, {}).place == "2 cores"
    assert recorded.Recorded({}, {"GPU": "NVIDIA H100"}, {}).place == "NVIDIA H100"


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="quick, laptop, lecture"):
        recorded.load("fast")


def test_reading_a_record_is_cheap() -> None:
    """Notebook 14 does it; nbconvert and papermill have no business there."""
    code = "import sys, cvlab.course.recorded as r; r.load('quick'); "
    code += "sys.exit(bool({'nbconvert', 'papermill', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_course_brings_what_notebook_13_compares() -> None:
    """So that it runs in a fresh clone, before any other notebook."""
    found = recorded.load("quick").findings
    assert set(found) == set(statements.CLAIMS)
    for name in (*statements.LADDER, "classifier-as-it-is"):
        right = found[name].right
        assert right is not None
        assert right.size == 1000
