"""The exercises as assignments that nbgrader releases, collects and grades.

An assignment is short: the notebook's imports, and its exercises. Each exercise has a cell to write
in and a locked cell that checks it, worth one point. `python -m cvlab student --format nbgrader`
writes them as nbgrader's `source` folder, with solutions between its marks; `nbgrader
generate_assignment NAME` takes those out (https://nbgrader.readthedocs.io).
"""

import ast
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cvlab.publish.execution import CLEAN_METADATA
from cvlab.publish.pages import title_of
from cvlab.publish.tags import SOLUTION

_CHECK: Final = re.compile(r'exercises\.check\("([\d.]+)", (\w+)\)')


def assignment(notebook: NotebookNode) -> NotebookNode:
    """Return the exercises of a notebook as an assignment with solutions.

    Args:
        notebook: A notebook with a section "## Exercises".
    """
    start = next(n for n, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    cells = [
        new_markdown_cell(f"# {title_of(notebook)}: exercises"),
        new_code_cell("\n".join(_imports(notebook))),
        _graded(notebook.cells[start]),
    ]
    for cell in notebook.cells[start + 1 :]:
        within, heading, _ = f"\n{cell.source}".partition("\n## ")
        if cell.cell_type == "markdown" and heading:  # the section ends within this cell
            cells.append(new_markdown_cell(within.strip()))
            break
        cells.append(_graded(cell))
    made: NotebookNode = new_notebook(cells=cells, metadata=nbformat.from_dict(CLEAN_METADATA))
    return made


def _imports(notebook: NotebookNode) -> Iterator[str]:
    """Each import of a notebook's cells, once."""
    seen = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                line = ast.unparse(node)
                if isinstance(node, ast.Import | ast.ImportFrom) and line not in seen:
                    seen.add(line)
                    yield line


def _graded(cell: NotebookNode) -> NotebookNode:
    """A cell of the exercises with what nbgrader wants to know about it."""
    made: NotebookNode
    if cell.cell_type == "markdown":
        made = new_markdown_cell(cell.source)
        return made
    if SOLUTION in cell.metadata.get("tags", []):
        function = next(n for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef))
        lines = cell.source.splitlines()
        begin, end = function.body[0].end_lineno, function.end_lineno
        marked = [
            *lines[:begin],
            "    ### BEGIN SOLUTION",
            *lines[begin:end],
            "    ### END SOLUTION",
            *lines[end:],
        ]
        return _cell("\n".join(marked), f"answer-{function.name}", solution=True)
    if found := _CHECK.fullmatch(cell.source.strip()):
        number, name = found.groups()
        judged = f'judged = exercises.check("{number}", {name})\nprint(judged)\nassert judged.right'
        return _cell(judged, f"check-{number.replace('.', '-')}", grade=True, locked=True, points=1)
    made = new_code_cell(cell.source)
    return made


def _cell(source: str, grade_id: str, **settings: bool | int) -> NotebookNode:
    usual = {"grade": False, "solution": False, "locked": False, "task": False}
    facts = {**usual, **settings, "grade_id": grade_id, "schema_version": 3}
    made: NotebookNode = new_code_cell(source, metadata={"nbgrader": facts})
    return made


def write(notebooks: Sequence[Path], folder: Path) -> list[Path]:
    """Write an assignment for each notebook into an empty folder, as nbgrader's `source`.

    Returns:
        The assignments, `folder/NAME/NAME.ipynb`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    written = []
    for path in notebooks:
        target = folder / path.stem / path.name
        target.parent.mkdir(parents=True)
        nbformat.write(assignment(nbformat.read(path, as_version=4)), target)
        written.append(target)
    return written
