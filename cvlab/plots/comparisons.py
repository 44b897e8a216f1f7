"""Figures of comparisons: experiments over seeds, and two models on the same images."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from scipy import special

from cvlab.evaluation import measure
from cvlab.plots.style import BLUE, CARD, INK, MUTED, ORANGE, RED, Figure, figure, percent, style


@style()
def seeds(
    values: Mapping[str, Sequence[float]],
    *,
    title: str,
    notes: Mapping[str, str] | None = None,
    marks: Mapping[str, float] | None = None,
    xlabel: str = "test accuracy",
) -> Figure:
    """Plot experiments as rows: one circle per seed, a bar at the mean.

    Args:
        values: Accuracies by label, one per seed, as shares; drawn from top to bottom.
        title: The message.
        notes: Text at the right end of some rows.
        marks: Accuracies to mark by a vertical line, by label.
        xlabel: Label of the axis.

    Raises:
        ValueError: If there is nothing to draw, or an experiment has no seed.
    """
    if not values or not all(len(row) for row in values.values()):
        raise ValueError(f"there is nothing to draw in {dict(values)}: pass one value per seed")
    told = "; ".join(f"{label}: mean {np.mean(row):.1%}" for label, row in values.items())
    fig, axes = figure(height=1.3 + 0.4 * len(values), alt=f"{title}. {told}")
    ax: Axes = axes[0, 0]
    for row, (label, found) in enumerate(values.items()):
        ax.plot(found, [row] * len(found), "o", mfc="none", mec=BLUE, ms=8, mew=1.6)
        ax.plot(np.mean(found), row, "|", color=INK, ms=17, mew=2.5)
        if notes and label in notes:
            place = (1.01, row)
            ax.annotate(notes[label], place, xycoords=("axes fraction", "data"), va="center")
    for label, accuracy in (marks or {}).items():
        ax.axvline(accuracy, color=ORANGE, ls="--", zorder=0)
        ax.annotate(
            label,
            (accuracy, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            color=INK,
            fontsize=9,
        )
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(percent)
    ax.set_xlabel(f"{xlabel} (circle: one seed, bar: mean)")
    fig.suptitle(title, x=0.01, ha="left", fontsize=11)
    return fig


@style()
def paired(first_right: ArrayLike, second_right: ArrayLike, names: tuple[str, str]) -> Figure:
    """Show McNemar's test: the four counts, and what chance would do with the disputed images.

    Args:
        first_right: Whether the first model is right, booleans of shape (N,).
        second_right: The same for the second model, same images in the same order.
        names: Names of the two models.

    Raises:
        ValueError: See `cvlab.evaluation.measure.mcnemar`.
    """
    test = measure.mcnemar(first_right, second_right)
    first, second = np.ravel(first_right).astype(bool), np.ravel(second_right).astype(bool)
    p_value = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.2g}"
    split = f"{test.only_first} against {test.only_second}: {p_value}"
    alt = f"Right only with {names[0]}, and only with {names[1]}: {split}"
    fig, axes = figure(1, 2, height=3.0, alt=alt)
    _counts(axes[0, 0], int((first & second).sum()), int((~first & ~second).sum()), test, names)
    _by_chance(axes[0, 1], test, names)
    axes[0, 1].set_title(split)
    return fig


def _counts(
    ax: Axes, both: int, none: int, test: measure.PairedTest, names: tuple[str, str]
) -> None:
    """Draw the table of both models right, one, the other, none."""
    disputed = {(1, 0): test.only_first, (0, 1): test.only_second}
    for (column, row), count in {(0, 0): both, (1, 1): none, **disputed}.items():
        marked = (column, row) in disputed
        color, hatch = (ORANGE, "///") if marked else (CARD, None)
        corner = (column - 0.5, row - 0.5)
        ax.add_patch(_box(corner, color, hatch))
        ax.text(
            column,
            row,
            str(count),
            ha="center",
            va="center",
            fontsize=15,
            fontweight="bold" if marked else "normal",
            bbox={"facecolor": CARD, "edgecolor": "none", "pad": 3},
        )
    ax.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), title="Only the hatched images decide")
    ax.set_xticks((0, 1), (f"{names[1]}:\nright", f"{names[1]}:\nwrong"))
    ax.set_yticks((0, 1), (f"{names[0]}:\nright", f"{names[0]}:\nwrong"))
    ax.grid(visible=False)


def _box(corner: tuple[float, float], color: str, hatch: str | None) -> Rectangle:
    return Rectangle(corner, 1, 1, facecolor=color, edgecolor=MUTED, hatch=hatch, alpha=0.6)


def _by_chance(ax: Axes, test: measure.PairedTest, names: tuple[str, str]) -> None:
    """Draw how often chance gives each split of the disputed images."""
    total = test.only_first + test.only_second
    wins = np.arange(total + 1)
    chance = np.diff(special.bdtr(wins, total, 0.5), prepend=0.0)
    uneven = np.abs(wins - total / 2) >= abs(test.only_second - total / 2)
    ax.bar(wins[~uneven], chance[~uneven], 0.8, color=BLUE)
    ax.bar(wins[uneven], chance[uneven], 0.8, color=RED, hatch="///", ec=INK, lw=0)
    ax.axvline(test.only_second, color=INK, ls="--")
    ax.annotate(
        "measured",
        (test.only_second, 0.97),
        (4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
    )
    ax.set_ylim(0, 1.18 * chance.max())  # room for the word
    shown = wins[chance > 1e-4]
    reach = [*shown, test.only_second, test.only_first]
    ax.set_xlim(min(reach) - 1, max(reach) + 1)
    ax.set(xlabel=f"of {total} disputed images, won by {names[1]}", ylabel="probability by chance")
