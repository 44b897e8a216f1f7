"""The house: which room may import which, how large a module may be, what stays free of Keras."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FILES = {
    path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((PROJECT / "cvlab").rglob("*.py"))
}

# Room to the rooms that it may import, besides itself.
MAY_IMPORT = {
    "cache": set(),
    "profiles": set(),
    "precision": set(),
    "drawing": {"cache"},
    "data": {"cache", "drawing", "profiles"},
    "models": {"cache", "data", "precision", "profiles"},
    "training": {"cache", "data", "profiles", "models"},
    "transfer": {"cache", "data", "precision", "profiles", "models", "training"},
    "evaluation": {"cache", "data", "profiles", "models", "training", "transfer"},
    "plots": {"evaluation"},
}
TEACHING = {
    "profiles",
    "precision",
    "plots",
    "data",
    "models",
    "training",
    "transfer",
    "evaluation",
    "course",
}
MAY_IMPORT["course"] = {"cache", *TEACHING}
BUILDING = {"publish", "experiments"}
ROOMS = {*MAY_IMPORT, *BUILDING}
# `cvlab/__init__.py` imports no room; the command line may import all of them.
MAY_IMPORT |= {"__init__": set(), "__main__": ROOMS, **dict.fromkeys(BUILDING, ROOMS)}


def room_of(file: str) -> str:
    """Return the room of `cvlab/room/module.py` or `cvlab/room.py`."""
    return Path(file).parts[1].removesuffix(".py")


def imports(file: str, source: str) -> Iterator[tuple[int, str]]:
    """Find the imports of cvlab in a file, those inside functions included: line and full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = Path(file).parent.parts[: len(Path(file).parts) - node.level]
            start = ".".join([*(package if node.level else ()), *filter(None, [node.module])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith("cvlab."))


def wrong_directions(files: Mapping[str, str]) -> list[str]:
    """Name every import that leads to a room which the importing room may not use."""
    found = []
    for file, source in files.items():
        room = room_of(file)
        forbidden = ROOMS - {room} - MAY_IMPORT[room]
        found += [
            f"{file}:{line} imports {name}, but {room} may import only "
            f"{', '.join(sorted(MAY_IMPORT[room])) or 'itself'}"
            for line, name in imports(file, source)
            if name.split(".")[1] in forbidden
        ]
    return found


def test_imports_follow_the_directions_of_the_rooms() -> None:
    assert {room_of(file) for file in FILES} <= MAY_IMPORT.keys(), "name the new room above"
    assert wrong_directions(FILES) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from cvlab.training import baseline", "cvlab.training.baseline"),
        ("from cvlab import cache, training", "cvlab.training"),
        ("import numpy, cvlab.publish.report", "cvlab.publish.report"),
        ("def late():\n    from cvlab.plots import photos", "cvlab.plots.photos"),
        ("from .. import models", "cvlab.models"),
        ("from ..models.zoo import toy_base", "cvlab.models.zoo.toy_base"),
    ],
)
def test_an_upward_import_is_found(source: str, found: str) -> None:
    (message,) = wrong_directions({"cvlab/data/loading.py": source})
    assert f"imports {found}, but data may import only cache, drawing, profiles" in message


def test_imports_downward_and_within_a_room_are_allowed() -> None:
    source = "from cvlab import cache\nfrom cvlab.data import listing\nfrom . import archives"
    assert wrong_directions({"cvlab/data/loading.py": source}) == []


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {file: len(source.splitlines()) for file, source in FILES.items()}
    assert {file: lines for file, lines in lengths.items() if lines > 500} == {}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's body, its docstring excluded."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_function_is_longer_than_60_lines_without_its_docstring() -> None:
    lengths = {
        f"{file}: {node.name}": body_lines(node)
        for file, source in FILES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 300
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}


def test_every_folder_says_in_two_sentences_what_it_is_for() -> None:
    docstrings = {
        file: ast.get_docstring(ast.parse(source)) or ""
        for file, source in FILES.items()
        if file.endswith("/__init__.py")
    }
    sentences = {file: len(re.findall(r"[.!?](?=\s|$)", text)) for file, text in docstrings.items()}
    assert [file for file, count in sentences.items() if count < 2] == []


def seconds_to_import(module: str) -> float:
    """Time an import in a fresh interpreter, and assert that it brings no framework."""
    code = (
        # Of the processor, which other processes do not lengthen.
        f"import sys, time; start = time.process_time(); import {module}; "
        "print(time.process_time() - start); "
        "print(*{'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, frameworks = done.stdout.splitlines()
    assert frameworks == "", f"import {module} imports {frameworks}"
    return float(seconds)


# `cvlab.data` brings NumPy and Pillow, whose own import a slow machine may stretch; it takes less
# than 0.3 s where it was measured.
@pytest.mark.parametrize(("module", "most"), [("cvlab", 0.3), ("cvlab.data", 1.0)])
def test_import_is_quick_and_free_of_keras(module: str, most: float) -> None:
    seconds = min(seconds_to_import(module) for _ in range(3))
    print(f"import {module}: {seconds:.3f} s")
    assert seconds < most


@pytest.mark.parametrize(
    "module", ["cvlab.evaluation.measure", "cvlab.plots", "cvlab.course.claims", "cvlab.profiles"]
)
def test_import_is_free_of_keras(module: str) -> None:
    seconds_to_import(module)
