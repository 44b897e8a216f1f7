"""Batch size and learning rate for a plain and a normalized network: trained before, shown here.

The curves are in `training.json`; `python -m cvlab batch-and-rate` makes them again.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from cvlab.plots.interactive.base import Interactive
from cvlab.plots.style import CARD, INK, Figure, figure, style

FILE: Final = Path(__file__).with_suffix(".json")
KINDS: Final = {"plain": "Plain", "normalized": "With BatchNorm"}


def recorded(file: Path = FILE) -> dict[str, Any]:
    """Return the recorded curves.

    Args:
        file: A file as `python -m cvlab batch-and-rate` writes it.

    Returns:
        `batch_sizes`, `rates`, `seeds`, `units`, and the mean held-out accuracies `plain` and
        `normalized`, (batch sizes, rates, epochs + 1), as nested lists.
    """
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def batch_and_learning_rate(file: Path = FILE) -> Interactive:
    """Return curves of accuracy with a slider for the batch size and one for the learning rate.

    Where scripts do not run, a heat map of the final accuracies takes their place.

    Args:
        file: As for `recorded`.
    """
    data = recorded(file)
    return Interactive("training.js", data, _heat_maps(data))


@style()
def _heat_maps(data: dict[str, Any]) -> Figure:
    last = {name: np.array(data[name])[:, :, -1] for name in KINDS}
    best = "; ".join(f"{KINDS[name]}: at best {grid.max():.0%}" for name, grid in last.items())
    fig, axes = figure(
        1,
        2,
        height=2.8,
        alt="Held-out accuracy by batch size and learning rate for a plain network and one with "
        f"batch normalization. {best}",
    )
    for ax, (name, grid) in zip(axes[0], last.items(), strict=True):
        ax.imshow(grid, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for (row, column), value in np.ndenumerate(grid):
            ink = CARD if value > 0.6 else INK
            ax.text(column, row, f"{value:.0%}", ha="center", va="center", color=ink, fontsize=9)
        ax.set(title=KINDS[name], xlabel="learning rate", ylabel="batch size (images)")
        ax.set_xticks(range(len(data["rates"])), data["rates"])
        ax.set_yticks(range(len(data["batch_sizes"])), data["batch_sizes"])
        ax.grid(visible=False)
    return fig
