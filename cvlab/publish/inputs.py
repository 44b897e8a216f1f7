"""What the outputs of a notebook depend on, as one key: a notebook runs again when its key changes.

The key covers the notebook's cells, the modules of the package that it can import, directly or
through others, the data files that these modules name, and the settings of the run. Comments,
docstrings and the layout of the code do not count.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[1]


def key(notebook: Path, settings: Mapping[str, str], files: Iterable[Path] = ()) -> str:
    """Return the key of everything that a notebook's outputs depend on.

    Args:
        notebook: The notebook; outputs and metadata other than tags do not count.
        settings: What else decides about its outputs, for example the profile, by name.
        files: Other files that it reads.

    Returns:
        A SHA-256 digest as 64 hexadecimal digits.
    """
    content = notebook.read_text(encoding="utf-8")
    try:
        cells = json.loads(content)["cells"]
    except (ValueError, KeyError):  # damaged; running it says how
        return hashlib.sha256(content.encode()).hexdigest()
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    parts = [json.dumps([sources, tags, dict(settings)], sort_keys=True)]
    modules = reachable(source for kind, source in sources if kind == "code")
    for name, file in sorted(modules.items()):
        code = file.read_text(encoding="utf-8")
        parts += [name, _outline(code), *map(_digest, _data(file, code))]
    parts += map(_digest, files)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def reachable(codes: Iterable[str]) -> dict[str, Path]:
    """Return the modules of the package that pieces of code can import, by name.

    An import inside a function counts like any other. With a module comes the `__init__` of each
    folder that it lies in. Code that is no plain Python, such as a cell with `%magic`, may import
    anything, so the whole package counts.
    """
    waiting: list[str] = []
    for code in codes:
        try:
            waiting += _imports(code)
        except SyntaxError:
            waiting += map(_name, PACKAGE.rglob("*.py"))
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is None or name in found:
            continue
        found[name] = file
        room = name if file.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [name.rpartition(".")[0], *_imports(file.read_text("utf-8"), room)]
    return found


@cache
def _tree(code: str) -> ast.Module:
    """The syntax tree of a piece of code without its docstrings."""
    tree = ast.parse(code)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


@cache
def _outline(code: str) -> str:
    return ast.dump(_tree(code))


@cache
def _imports(code: str, room: str | None = None) -> frozenset[str]:
    """Names that may be modules; `room` is the package to which relative imports refer."""
    found: set[str] = set()
    for node in ast.walk(_tree(code)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), room)
            found.update((origin, *(f"{origin}.{alias.name}" for alias in node.names)))
    return frozenset(found)


def _file(name: str) -> Path | None:
    """The file of a module of this package; None for any other name."""
    first, *inner = name.split(".")
    place = PACKAGE.joinpath(*inner)
    if first != PACKAGE.name:
        return None
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


def _name(file: Path) -> str:
    inner = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(inner).removesuffix(".__init__")


@cache
def _constants(code: str) -> frozenset[object]:
    return frozenset(node.value for node in ast.walk(_tree(code)) if isinstance(node, ast.Constant))


def _data(file: Path, code: str) -> Iterator[Path]:
    """Data files beside a module, or in a folder beside it, if its code holds that name."""
    named = _constants(code)
    for path in sorted(file.parent.iterdir()):
        if path.name in named and not (path / "__init__.py").exists():
            inside = [path] if path.is_file() else sorted(path.rglob("*"))
            yield from (one for one in inside if one.is_file() and one.suffix != ".md")


def _digest(file: Path) -> str:
    return f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}"
