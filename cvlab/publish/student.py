"""Student copies of the notebooks: no solutions, no outputs.

A cell with the tag `solution` keeps its imports and its function's signature and docstring; the
body becomes `raise NotImplementedError`. Everything else stays, so the check after each exercise
works at once.
"""

import ast
import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from cvlab.publish.tags import SOLUTION


def stub(source: str) -> str:
    """Take the solution out of a cell.

    Args:
        source: A `solution` cell: imports, and exactly one function with a docstring.

    Returns:
        The same cell with `raise NotImplementedError` in place of the function's body.

    Raises:
        ValueError: If the cell holds anything else, which the student would get to see.
    """
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    allowed = ast.FunctionDef | ast.Import | ast.ImportFrom
    others = [node for node in tree.body if not isinstance(node, allowed)]
    if len(functions) != 1 or others or ast.get_docstring(functions[0]) is None:
        raise ValueError(
            "A solution cell holds imports and one function with a docstring, nothing else, "
            f"because all but the function's body is shown to students; this one begins with "
            f"{source.strip().splitlines()[0]!r}"
        )
    function = functions[0]
    docstring = function.body[0]
    lines = source.splitlines()
    if function.body[1:] and function.body[1].lineno <= (docstring.end_lineno or 0):
        raise ValueError(
            f"The body of {function.name} begins on the line of its docstring, which students get "
            "to see: begin a new line"
        )
    kept = lines[: docstring.end_lineno]
    body = f'{" " * docstring.col_offset}raise NotImplementedError("write {function.name} here")'
    return "\n".join([*kept, body, *lines[function.end_lineno :]]).rstrip()


def student_copy(notebook: NotebookNode) -> NotebookNode:
    """Turn a master notebook into a student's, in place: stubs for solutions, no outputs.

    Raises:
        ValueError: If a solution cell holds more than it may; the message says which.
    """
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        if SOLUTION in cell.metadata.get("tags", []):
            try:
                cell.source = stub(cell.source)
            except ValueError as error:
                raise ValueError(f"Cell {number}: {error}") from error
            cell.metadata = nbformat.from_dict({})
    return notebook


def copies(notebooks: Sequence[Path], folder: Path) -> list[Path]:
    """Write students' copies of notebooks into an empty folder.

    Raises:
        ValueError: If a solution cell holds more than it may; the message says which.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in notebooks:
        try:
            copy = student_copy(nbformat.read(path, as_version=4))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        nbformat.write(copy, folder / path.name)
    return [folder / path.name for path in notebooks]
