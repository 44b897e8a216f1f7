"""A few small notebooks in a folder of their own: what tests of the commands run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cvlab.publish.execution import CLEAN_METADATA

PROJECT: Final = Path(__file__).parents[1]


def lay_out(folder: Path) -> Path:
    """A new folder with the Makefile and this interpreter as its environment; no notebooks yet."""
    (folder / ".ci").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    (folder / ".ci/setup").write_text("exit 9\n")
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv/.ready-requirements.lock").touch()
    return folder


def command(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m cvlab` in a folder, with `extra` variables."""
    return subprocess.run(
        [sys.executable, "-m", "cvlab", *arguments],
        cwd=folder,
        env=environment() | extra,
        capture_output=True,
        text=True,
        check=False,
    )


def write(path: Path, *code: str) -> Path:
    """A notebook with a parameters cell and the given code cells; the same bytes every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = new_code_cell('PROFILE = "quick"', metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# Title"), parameters, *map(new_code_cell, code)]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    nbformat.write(new_notebook(cells=cells, metadata=CLEAN_METADATA), path)
    return path


def environment() -> dict[str, str]:
    """This process's, without Make's and the course's variables: `make test` sets both."""
    foreign = ("MAKE", "MFLAGS", "CVLAB_", "BACKEND", "KERAS_", "TF_NUM_", "TF_ENABLE_", "OMP_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return inherited | {"PYTHONPATH": str(PROJECT), "JUPYTER_PREFER_ENV_PATH": "1"}


def timeless(record: Path) -> dict[str, Any]:
    """What a record of a run says, but for how long it took and when it ended."""
    content = json.loads(record.read_text())
    return {key: value for key, value in content.items() if key not in ("seconds", "finished")}
