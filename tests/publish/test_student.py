"""Student copies: every stub fails its check, every solution passes it, nothing leaks."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cvlab.course import exercises
from cvlab.course.exercises.judging import Result
from cvlab.publish import execution, student, tags

NOTEBOOKS = sorted((Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb"))
CHECK = re.compile(r'exercises\.check\("(\d\d\.\d)", (\w+)\)')


def answered(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Number, function, imports of the notebook and solution of each exercise with a check."""
    cells = nbformat.read(path, as_version=4).cells
    codes = [cell for cell in cells if cell.cell_type == "code"]  # a sentence may stand between
    for solution, check in pairwise(codes):
        if tags.SOLUTION in solution.metadata.get("tags", []):
            found = CHECK.fullmatch(check.source.strip())
            assert found, f"{path.stem}: a check must follow {solution.source[:60]!r}"
            yield found[1], found[2], imports(cells), solution.source


def imports(cells: list[NotebookNode]) -> str:
    """All that the notebook imports at the top level of its cells."""
    return "\n".join(
        ast.unparse(node)
        for cell in cells
        if cell.cell_type == "code" and tags.SOLUTION not in cell.metadata.get("tags", [])
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def run(number: str, name: str, *sources: str) -> Result:
    namespace: dict[str, Any] = {}
    for source in sources:
        exec(compile(source, number, "exec"), namespace)
    return exercises.check(number, namespace[name])


CASES = [pytest.param(*case, id=case[0]) for path in NOTEBOOKS for case in answered(path)]


@pytest.mark.parametrize(("number", "name", "imported", "solution"), CASES)
def test_a_solution_passes_its_check_by_itself(
    number: str, name: str, imported: str, solution: str
) -> None:
    result = run(number, name, imported, solution)
    assert result.right, result


@pytest.mark.parametrize(("number", "name", "imported", "solution"), CASES)
def test_a_stub_fails_its_check_and_keeps_what_students_need(
    number: str, name: str, imported: str, solution: str
) -> None:
    stub = student.stub(solution)
    result = run(number, name, imported, stub)
    assert not result.right
    assert "Nothing is written here yet" in result.message
    before, after = (
        next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
        for text in (solution, stub)
    )
    assert ast.dump(before.args) == ast.dump(after.args)
    assert before.returns is not None
    assert all(argument.annotation is not None for argument in before.args.args)
    assert ast.get_docstring(before) == ast.get_docstring(after)
    assert len(after.body) == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_copy_holds_no_solution_and_no_output(path: Path) -> None:
    master = nbformat.read(path, as_version=4)
    copy = student.student_copy(nbformat.read(path, as_version=4))
    nbformat.validate(copy)
    assert len(copy.cells) == len(master.cells)
    assert all(not cell.outputs for cell in copy.cells if cell.cell_type == "code")
    text = "\n".join(cell.source for cell in copy.cells)
    for _, _, _, solution in answered(path):
        docstring = next(
            n for n in ast.parse(solution).body if isinstance(n, ast.FunctionDef)
        ).body[0]
        body = solution.splitlines()[docstring.end_lineno :]
        assert body
        assert "\n".join(body) not in text


SOLUTION = '''\
import math


def half(x: float, *, digits: int = 2) -> float:
    """Half of x.

    Args:
        x: A number.
    """
    y = x / 2
    return round(y, digits)
'''


def test_a_stub_is_the_cell_without_the_body() -> None:
    before_body = SOLUTION.partition("    y = x")[0]
    assert student.stub(SOLUTION) == (
        before_body + '    raise NotImplementedError("write half here")'
    )


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "def half(x):\n    return x / 2",
        SOLUTION + "\n\nanswer = half(3)",
        SOLUTION + "\n\ndef other():\n    '''Other.'''",
    ],
)
def test_a_cell_that_would_leak_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="one function with a docstring, nothing else"):
        student.stub(source)


def test_a_body_on_the_line_of_its_docstring_is_refused() -> None:
    with pytest.raises(ValueError, match=r"half begins on the line of its docstring"):
        student.stub('def half(x):\n    """Half of x."""; return x / 2')


def test_copies_are_written_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    cells = [
        new_markdown_cell("# 99 · Title"),
        new_code_cell(SOLUTION, metadata={"tags": [tags.SOLUTION]}),
        new_code_cell("half(3)", outputs=[new_output("stream", text="1.5")], execution_count=2),
    ]
    path = tmp_path / "99_title.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=execution.CLEAN_METADATA), path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/98_gone.ipynb").touch()
    assert student.copies([path], tmp_path / "out") == [tmp_path / "out/99_title.ipynb"]
    assert not (tmp_path / "out/98_gone.ipynb").exists()
    copy = nbformat.read(tmp_path / "out/99_title.ipynb", as_version=4)
    assert [cell.cell_type for cell in copy.cells] == ["markdown", "code", "code"]
    assert "round(" not in copy.cells[1].source
    assert copy.cells[2].outputs == []
    assert copy.cells[2].execution_count is None

    cells[1].source = "answer = 42"
    nbformat.write(new_notebook(cells=cells, metadata=execution.CLEAN_METADATA), path)
    with pytest.raises(ValueError, match=r"99_title\.ipynb: Cell 2: A solution cell holds"):
        student.copies([path], tmp_path / "out")
