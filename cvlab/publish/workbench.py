"""The reader's working copy of the notebooks: refreshed until the reader edits it, then left alone.

JupyterLab writes outputs into the notebook it has open, so the committed notebooks would change
with the first run. The working copy has a folder of its own. A hidden folder in it keeps the
versions that the copies were made from, which tells an edit from a run.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import nbformat

_ORIGINALS: Final = ".originals"


def refresh(notebooks: Sequence[Path], folder: Path) -> list[Path]:
    """Bring a working copy up to date, except for what its reader has edited.

    Running a notebook is no edit: only its cells' sources count.

    Args:
        notebooks: The committed notebooks.
        folder: Of the working copy; made if it is not there.

    Returns:
        Edited notebooks of which there is a newer version by now. They stay as they are.
    """
    originals = folder / _ORIGINALS
    originals.mkdir(parents=True, exist_ok=True)
    outdated = []
    for path in notebooks:
        copy, original = folder / path.name, originals / path.name
        new = _sources(path)
        old = _sources(original) if original.exists() else None
        if not copy.exists() or old == _sources(copy) != new:
            shutil.copy(path, original)
            shutil.copy(path, copy)
        elif old != new and _sources(copy) != new:
            outdated.append(copy)
    return outdated


def _sources(path: Path) -> list[tuple[str, str]]:
    cells = nbformat.read(path, as_version=4).cells
    return [(cell.cell_type, cell.source) for cell in cells]
