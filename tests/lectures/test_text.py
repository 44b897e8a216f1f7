"""How every notebook speaks: the field's terms, short cells, numbers instead of bare verdicts."""

import re
from pathlib import Path

import pytest
from nbformat import NotebookNode

from tests.lectures.test_notebooks import NOTEBOOKS, code_cells, read

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

LONGEST_CELL = 25
# Words of an earlier edition that no search engine leads anywhere from; see CONTRIBUTING.md.
NOT_THE_FIELDS = re.compile(
    r"\b(pictures?|by heart|step sizes?|(?:small|large) steps|by lot|odd values|graphics cards?"
    r"|thaw\w*|surer|come to grief|in earnest|nobody has told|same law|warm places|cold places"
    r"|a coin's loss|takes? the mean off|guessing|might be luck|by luck)\b",
    flags=re.IGNORECASE,
)


def printed(cell: NotebookNode) -> str:
    """What a cell shows as text."""
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(texts)


def test_only_quotations_of_the_lecture_use_words_that_the_field_does_not(path: Path) -> None:
    found = []
    for number, cell in enumerate(read(path).cells):
        text = cell.source + ("\n" + printed(cell) if cell.cell_type == "code" else "")
        quoted = r"^>.*$|\"[^\"\n]*\"" if cell.cell_type == "markdown" else "^$"
        unquoted = re.sub(quoted, "", text, flags=re.MULTILINE)
        found += [(number, word) for word in NOT_THE_FIELDS.findall(unquoted)]
    assert found == []


def test_no_cell_is_longer_than_a_screen(path: Path) -> None:
    lengths = {n: len(cell.source.splitlines()) for n, cell in enumerate(code_cells(path), 1)}
    assert {n: length for n, length in lengths.items() if length > LONGEST_CELL} == {}


def test_a_verdict_stands_beside_its_number(path: Path) -> None:
    lines = [line for cell in code_cells(path) for line in printed(cell).splitlines()]
    bare = [line for line in lines if re.search(r"\b(True|False)\s*$", line)]
    assert [line for line in bare if not re.search(r"\d", line)] == []
