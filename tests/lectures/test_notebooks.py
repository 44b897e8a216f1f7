"""What every committed notebook promises its readers, checked without running it."""

import json
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from cvlab.course import claims, exercises, statements
from cvlab.publish import execution
from cvlab.publish.tags import FOLDED

LECTURES = Path(__file__).parents[2] / "lectures"
NOTEBOOKS = sorted(LECTURES.glob("[0-9]*.ipynb"))
pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def test_there_is_a_number_and_a_title(path: Path) -> None:
    number = path.stem[:2]
    first = read(path).cells[0]
    assert re.match(rf"# {number} · \S", first.source)
    for part in ("**You will learn**", "**Time**", "**Builds on**"):
        assert part in first.source


def test_it_ends_with_summary_exercises_and_the_way_onward(path: Path) -> None:
    text = prose(path)
    positions = [text.rfind(heading) for heading in ("## Summary", "## Exercises", "## Onward")]
    assert -1 not in positions
    assert positions == sorted(positions)
    exercises = text[positions[1] : positions[2]]
    assert 2 <= len(re.findall(r"^\d\. ", exercises, flags=re.MULTILINE)) <= 4


def test_the_parameters_cell_is_the_profile_alone(path: Path) -> None:
    tagged = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in tagged] == ['PROFILE = "quick"']


def test_outputs_are_of_one_run_from_top_to_bottom(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output.output_type for cell in code_cells(path) for output in cell.outputs}
    assert "error" not in kinds
    assert kinds


def test_metadata_is_clean(path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata == execution.CLEAN_METADATA
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        assert tags <= {"parameters", "nbval-ignore-output", "raises-exception", *FOLDED}
        folded = {"jupyter": {"source_hidden": True}} if FOLDED & tags else {}
        assert {key: cell.metadata[key] for key in cell.metadata if key != "tags"} == folded


def test_it_is_small_and_quiet(path: Path) -> None:
    assert path.stat().st_size <= 400_000
    noise = [
        output.text
        for cell in code_cells(path)
        for output in cell.outputs
        if output.output_type == "stream"
        and (output.name == "stderr" or re.search("^WARNING:", output.text, flags=re.MULTILINE))
    ]
    assert noise == []


def test_every_figure_has_words(path: Path) -> None:
    for cell in code_cells(path):
        for output in cell.outputs:
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data):
                assert re.match(r"\[Figure: .{10,}\]", data["text/plain"], flags=re.DOTALL)


def test_something_is_compared(path: Path) -> None:
    compared = [
        cell
        for cell in code_cells(path)
        if cell.outputs and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    ]
    assert len(compared) >= 2


def test_outputs_name_no_place_on_the_authors_machine(path: Path) -> None:
    outputs = json.dumps([cell.outputs for cell in code_cells(path)])
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|site-packages)", outputs)


def test_prose_stands_before_code(path: Path) -> None:
    """No more than two code cells follow each other without a sentence."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in read(path).cells)
    assert "ccc" not in kinds


def test_every_claim_has_the_verdict_that_is_expected_of_it(path: Path) -> None:
    """A claim that stops holding fails here by name, once the notebook's outputs are refreshed."""
    number = path.stem[:2]
    printed = "".join(
        output.get("text", "")
        for cell in code_cells(path)
        if "nbval-ignore-output" not in cell.metadata.get("tags", [])
        for output in cell.outputs
    )
    listed = statements.of_notebook(number)
    extras = {"01", "15"}  # what the lecture takes for granted, and what is done today
    assert listed or number in extras, "no claim of the lecture is checked here"
    assert claims.verdict_lines({claim.id: claims.expected(claim) for claim in listed}) in printed


def test_every_exercise_is_solved(path: Path) -> None:
    checked = {}
    for cell in code_cells(path):
        found = re.fullmatch(r'exercises\.check\("([\d.]+)", \w+\)', cell.source.strip())
        if found:
            checked[found[1]] = cell.outputs[0]["data"]["text/plain"]
    known = [number for number in exercises.EXERCISES if number[:2] == path.stem[:2]]
    assert sorted(checked) == known
    assert len(checked) >= 2
    for number, result in checked.items():
        assert result.startswith(f"Exercise {number}: right. ")


def test_no_sentence_turns_into_a_list(path: Path) -> None:
    """A line that happens to begin with "1. " starts a list, even within a paragraph."""
    lines = prose(path).splitlines()
    for before, line in pairwise(lines):
        if re.match(r"\d+\. ", line):
            assert not before.strip() or re.match(r"\d+\. | {2,}", before), line


def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+\.(?:ipynb|py|md))\)", prose(path))
    for link in links:
        assert "://" in link or (path.parent / link).exists(), link


def test_nothing_is_installed_and_no_magic_is_used(path: Path) -> None:
    for cell in code_cells(path):
        assert not re.search(r"^\s*[%!]|pip install", cell.source, flags=re.MULTILINE)
