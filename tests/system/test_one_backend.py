"""One backend is enough: where Keras runs on another one, nothing imports TensorFlow."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).parents[2]
BACKENDS = ("tensorflow", "jax", "torch")

BLOCKED = """
import importlib, pkgutil, sys
from importlib.abc import MetaPathFinder

class NoTensorFlow(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError(f"{name} is blocked by this test")

sys.meta_path.insert(0, NoTensorFlow())
import cvlab
for module in pkgutil.walk_packages(cvlab.__path__, "cvlab."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

import keras
import numpy as np
from cvlab.course import machine
from cvlab.training.augmentation import Augment

assert keras.backend.backend() in machine.check().packages
images = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)
layers = [Augment(rotation_range=10), keras.layers.Flatten(), keras.layers.Dense(1)]
model = keras.Sequential(layers)
model.compile("sgd", "mse")
model.fit(images, np.zeros(4), verbose=0)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_course_runs_without_tensorflow(backend: str) -> None:
    """Every module can be imported, the machine is found fit, and a network trains."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def backend_imports(tree: ast.AST, inside: tuple[ast.AST, ...] = ()) -> Iterator[tuple[str, bool]]:
    """Yield each import of a backend, and whether it waits for that backend to be Keras's."""
    for node in ast.iter_child_nodes(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for backend in {name.partition(".")[0] for name in names} & set(BACKENDS):
            asked = [ast.unparse(one.test) for one in inside if isinstance(one, ast.If)]
            waits = any("backend" in test and backend in test for test in asked)
            yield backend, waits and any(isinstance(one, ast.FunctionDef) for one in inside)
        yield from backend_imports(node, (*inside, node))


# A SavedModel is read by TensorFlow, and an older LiteRT file too, whatever Keras runs on.
READER = "cvlab/evaluation/exported.py"


def test_a_backend_is_imported_only_where_keras_runs_on_it() -> None:
    found = {
        (str(file.relative_to(PROJECT)), backend, waits)
        for file in (PROJECT / "cvlab").rglob("*.py")
        for backend, waits in backend_imports(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert {file for file, _, _ in found} >= {"cvlab/precision.py"}  # the test sees imports
    assert [one for one in found if not one[2] and one[0] != READER] == []
    at_import = ast.parse((PROJECT / READER).read_text(encoding="utf-8")).body
    names = [ast.unparse(node) for node in at_import if isinstance(node, ast.Import)]
    assert [name for name in names if "tensorflow" in name] == []


def test_an_import_that_does_not_wait_is_found() -> None:
    for code in (
        "import tensorflow as tf",
        "def f():\n    from torch import nn",
        "if backend() == 'jax':\n    import jax",
        "def f():\n    if backend() == 'jax':\n        import torch",
    ):
        assert [waits for _, waits in backend_imports(ast.parse(code))] == [False]
    waiting = "def f():\n    if backend() == 'jax':\n        import jax"
    assert list(backend_imports(ast.parse(waiting))) == [("jax", True)]


def test_no_notebook_imports_a_backend() -> None:
    for path in sorted((PROJECT / "lectures").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and not cell.source.startswith(("%", "!")):
                assert list(backend_imports(ast.parse(cell.source))) == [], path.name
