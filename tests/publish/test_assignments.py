"""Assignments for graders: short, self-contained, and graded by nbgrader itself where it is."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from cvlab.publish import assignments
from cvlab.publish.tags import SOLUTION

NOTEBOOKS = sorted((Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb"))
WITH_EXERCISES = [
    path
    for path in NOTEBOOKS
    if any(
        SOLUTION in cell.metadata.get("tags", [])
        for cell in nbformat.read(path, as_version=4).cells
    )
]


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_an_assignment_has_its_exercises_and_nothing_that_trains(path: Path) -> None:
    master = nbformat.read(path, as_version=4)
    cells = assignments.assignment(master).cells
    facts = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
    solutions = [cell for cell in master.cells if SOLUTION in cell.metadata.get("tags", [])]
    assert sum(fact["solution"] for fact in facts) == len(solutions)
    assert sum(fact.get("points", 0) for fact in facts) == len(solutions)
    assert all(fact["locked"] for fact in facts if fact["grade"])
    assert len({fact["grade_id"] for fact in facts}) == len(facts)
    assert not any(cell.source.startswith("## ") for cell in cells[3:])
    assert len(cells) <= 4 * len(solutions) + 6


@pytest.mark.skipif(not importlib.util.find_spec("nbgrader"), reason="nbgrader is not installed")
def test_nbgrader_tells_a_solved_copy_from_an_unsolved_one(tmp_path: Path) -> None:
    path = next(one for one in WITH_EXERCISES if one.stem.startswith("06"))
    name = path.stem
    [source] = assignments.write([path], tmp_path / "source")

    def nbgrader(*arguments: str) -> None:
        command = [sys.executable, "-m", "nbgrader", *arguments, "--course", "cvlab"]
        # It starts a tool of its own by name.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    nbgrader("generate_assignment", name)
    released = tmp_path / "release" / name / path.name
    text = released.read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text
    assert "NotImplementedError" in text
    for student, copy in (("solved", source), ("unsolved", released)):
        target = tmp_path / "submitted" / student / name / path.name
        target.parent.mkdir(parents=True)
        target.write_text(copy.read_text(encoding="utf-8"), encoding="utf-8")
    # Its limits are for idle machines.
    nbgrader("autograde", name, "--Execute.timeout=600", "--Execute.iopub_timeout=60")
    with sqlite3.connect(tmp_path / "gradebook.db") as book:
        query = (
            "select s.id, sum(g.auto_score) from student s"
            " join submitted_assignment a on a.student_id = s.id"
            " join submitted_notebook n on n.assignment_id = a.id"
            " join grade g on g.notebook_id = n.id group by s.id"
        )
        scores = dict(book.execute(query).fetchall())
    assert scores == {"solved": 3, "unsolved": 0}
