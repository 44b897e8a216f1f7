"""Do the tests notice a small mistake? Change one token of the package at a time and run its tests.

    python -m tests.bench.mutants --count 200 --seed 0 [--room data] [--module splitting] [--own]

Each mutant is one random change in a teaching room: a comparison, an operator, a constant, a
condition, a return value, or the order of two arguments. Its tests are those of its module
(`cvlab/ROOM/module.py`: `tests/ROOM/test_module.py`), then those of every other test file that
imports the module. The first test that fails kills the mutant, and so does a run that takes far
longer than without the change. A survivor either changes nothing that matters or shows a gap in
the tests. `--own` runs the module's own tests only, which is quick but leaves more survivors.
Mutants are made in a copy of the project. Verdicts are kept in `build/mutants.json` (with `--own`:
`build/mutants-own.json`), so a run that was stopped resumes.
"""

import argparse
import ast
import copy
import functools
import itertools
import json
import operator
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.test_rooms import FILES, PROJECT, TEACHING, imports, room_of

_PAIRS: Final[list[tuple[type[ast.AST], type[ast.AST]]]] = [
    (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn),
    (ast.Is, ast.IsNot), (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.And, ast.Or),
]  # fmt: skip
# Operator to the one that takes its place.
OTHER: Final = {**dict(_PAIRS), **{b: a for a, b in _PAIRS}, ast.FloorDiv: ast.Div}


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node: the node with one change."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op, *_]) if type(op) in OTHER:
            new.ops[0] = OTHER[type(op)]()
            yield new
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in OTHER:
            new.op = OTHER[type(op)]()
            yield new
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield new.operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=(int() | float()) as value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Return(value=ast.expr()):
            yield ast.Return(ast.Constant(None))
        case ast.Call(args=[first, second, *_]):
            new.args[:2] = [second, first]
            yield new


class Mutator(ast.NodeTransformer):
    """List every change of a module, and make the one whose number is `wanted`."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted = wanted
        self.changes: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST:
        for new in replacements(node):
            line = getattr(node, "lineno", 0)
            self.changes.append(f"{line}: {ast.unparse(node)}  ->  {ast.unparse(new)}")
            if len(self.changes) == self.wanted + 1:
                return new
        return self.generic_visit(node)


def changes(file: str) -> list[str]:
    mutator = Mutator()
    mutator.visit(ast.parse(FILES[file]))
    return mutator.changes


@functools.cache
def tests_of(file: str) -> list[list[str]]:
    """Return the module's own test file, then all others that import the module."""
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    room, _, name = module.rpartition(".")
    own = f"{room.replace('cvlab', 'tests').replace('.', '/')}/test_{name}.py"
    # A room's `__init__` hands on names of its modules: `from cvlab.data import load_pets`.
    defined = {f"{room}.{getattr(node, 'name', '')}" for node in ast.parse(FILES[file]).body}
    others = []
    for path in sorted((PROJECT / "tests").rglob("test_*.py")):
        test = path.relative_to(PROJECT).as_posix()
        used = {full for _, full in imports(test, path.read_text(encoding="utf-8"))}
        inside = any(f"{full}.".startswith(f"{module}.") for full in used)
        if test != own and (inside or used & defined):
            others.append(test)
    return [group for group in ([own] * (PROJECT / own).exists(), others) if group]


def passes(project: Path, tests: list[str], limit: float | None = None) -> bool:
    """Run tests in a copy of the project until one fails, or for `limit` seconds."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    run = functools.partial(subprocess.run, command, cwd=project, env=environment)
    try:
        return run(capture_output=True, timeout=limit, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def limits_of(project: Path, groups: list[list[str]]) -> list[float]:
    """Run a module's tests without a change: three times as long, and 20 s, is far too long.

    Raises:
        RuntimeError: If a test fails already, so that it cannot tell a mutant from the module.
    """
    limits = []
    for tests in groups:
        start = time.perf_counter()
        if not passes(project, tests):
            raise RuntimeError(f"these fail without a change: pytest {' '.join(tests)}")
        limits.append(20 + 3 * (time.perf_counter() - start))
    return limits


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--room", choices=sorted(TEACHING), help="mutate only this room")
    parser.add_argument("--module", help="mutate only modules of this name")
    parser.add_argument("--own", action="store_true", help="only the tests of the module itself")
    options = parser.parse_args()
    rooms = {options.room} if options.room else TEACHING
    files = [file for file in FILES if room_of(file) in rooms and tests_of(file)]
    files = [file for file in files if options.module in (None, Path(file).stem)]
    every = [(file, number, one) for file in files for number, one in enumerate(changes(file))]
    chosen = sorted(random.Random(options.seed).sample(every, min(options.count, len(every))))
    results = PROJECT / "build" / ("mutants-own.json" if options.own else "mutants.json")
    survived = json.loads(results.read_text()) if results.exists() else {}
    results.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / PROJECT.name
        away = shutil.ignore_patterns(".git", ".venv*", "build", ".*_cache", "__pycache__")
        shutil.copytree(PROJECT, project, ignore=away)
        for file, mutants in itertools.groupby(chosen, key=operator.itemgetter(0)):
            groups = tests_of(file)[: 1 if options.own else None]
            limits: list[float] = []
            for _, number, change in mutants:
                if (name := f"{file}:{change}") in survived:
                    continue
                limits = limits or limits_of(project, groups)
                mutant = ast.fix_missing_locations(Mutator(number).visit(ast.parse(FILES[file])))
                (project / file).write_text(ast.unparse(mutant), encoding="utf-8")
                survived[name] = all(map(passes, itertools.repeat(project), groups, limits))
                results.write_text(json.dumps(survived, indent=1, ensure_ascii=False))
            (project / file).write_text(FILES[file], encoding="utf-8")
    names = [f"{file}:{change}" for file, _, change in chosen]
    print(*[name for name in names if survived[name]], sep="\n")
    print(f"{sum(not survived[name] for name in names)} of {len(names)} mutants killed")


if __name__ == "__main__":
    main()
