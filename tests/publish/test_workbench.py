"""The working copy follows the course, but never over what the reader wrote."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from cvlab.publish import workbench


def write(path: Path, *codes: str, outputs: bool = False) -> None:
    cells = [new_code_cell(code) for code in codes]
    if outputs:
        cells[0].outputs = [new_output("stream", text="1\n")]
    nbformat.write(new_notebook(cells=cells), path)


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "05_a.ipynb"
    write(path, "print(1)")
    return path


def test_a_first_copy_is_the_course(master: Path, tmp_path: Path) -> None:
    assert workbench.refresh([master], tmp_path / "course") == []
    assert sources(tmp_path / "course/05_a.ipynb") == ["print(1)"]


def test_what_was_only_run_follows_the_course(master: Path, tmp_path: Path) -> None:
    copy = tmp_path / "course" / master.name
    workbench.refresh([master], copy.parent)
    write(copy, "print(1)", outputs=True)
    workbench.refresh([master], copy.parent)
    assert nbformat.read(copy, as_version=4).cells[0].outputs, (
        "its outputs stay while it is current"
    )
    write(master, "print(2)")
    assert workbench.refresh([master], copy.parent) == []
    assert sources(copy) == ["print(2)"]


def test_what_the_reader_wrote_stays_and_is_named(master: Path, tmp_path: Path) -> None:
    copy = tmp_path / "course" / master.name
    workbench.refresh([master], copy.parent)
    write(copy, "print(1)", "mine = 3")
    assert workbench.refresh([master], copy.parent) == [], "nothing newer to have"
    write(master, "print(2)")
    assert workbench.refresh([master], copy.parent) == [copy]
    assert sources(copy) == ["print(1)", "mine = 3"]
    copy.unlink()
    assert workbench.refresh([master], copy.parent) == []
    assert sources(copy) == ["print(2)"], "deleting it brings the new version"


def test_a_notebook_of_the_readers_own_name_is_not_replaced(master: Path, tmp_path: Path) -> None:
    """A copy without an original beside it: made by hand, or the hidden folder was deleted."""
    copy = tmp_path / "course" / master.name
    copy.parent.mkdir()
    write(copy, "mine = 3")
    assert workbench.refresh([master], copy.parent) == [copy]
    assert sources(copy) == ["mine = 3"]
