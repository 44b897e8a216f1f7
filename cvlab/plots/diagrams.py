"""Figures made of boxes: tables of words, stacks of cells, networks as boxes and arrows."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch
from numpy.typing import NDArray

from cvlab.plots.style import BLUE, CARD, INK, MUTED, ORANGE, Figure, figure, style


@style()
def truth_table(
    cells: Mapping[str, Mapping[str, str]],
    *,
    marked: Sequence[str] = (),
    title: str = "",
    alt: str,
) -> Figure:
    """Draw words in a grid: one row per case, one column per question, some words white on blue.

    Args:
        cells: Words by column, by row.
        marked: Words to highlight.
        title: What the table shows, in one sentence.
        alt: See `figure`; the words themselves are added to it.

    Raises:
        ValueError: If there are no rows, or they do not all have the same columns.
    """
    columns = list(next(iter(cells.values()), {}))
    if not columns or any(list(row) != columns for row in cells.values()):
        raise ValueError(
            "truth_table() needs at least one row, and the same columns in the same order in all: "
            f"got {[list(row) for row in cells.values()]}"
        )
    words = "; ".join(
        f"{case} – {', '.join(f'{question}: {word}' for question, word in row.items())}"
        for case, row in cells.items()
    )
    height = 0.45 + 0.4 * len(cells) + (0.3 if title else 0)
    fig, axes = figure(height=height, alt=f"{alt}. {words}")
    ax: Axes = axes[0, 0]
    for row, answers in enumerate(cells.values()):
        for column, word in enumerate(answers.values()):
            face, ink = (BLUE, CARD) if word in marked else ("white", INK)
            x, y = [column, column + 1, column + 1, column], [row, row, row + 1, row + 1]
            ax.fill(x, y, facecolor=face, edgecolor=MUTED, lw=0.8, clip_on=False)
            ax.text(column + 0.5, row + 0.5, word, ha="center", va="center", fontsize=9, color=ink)
    ax.set(xlim=(0, len(columns)), ylim=(len(cells), 0))
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
    ax.set_yticks(np.arange(len(cells)) + 0.5, list(cells))
    ax.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    if title:
        fig.suptitle(title, x=0.01, ha="left", fontsize=11)
    return fig


def cubes(
    chosen: Mapping[str, NDArray[np.bool_]], *, axes: tuple[str, str, str], alt: str
) -> Figure:
    """Draw boxes of cells, seen from the front, above and the right, with some cells dark.

    Args:
        chosen: By title, which cells are dark; booleans of shape (deep, wide, high). Cell
            (0, -1, -1) is the corner nearest to the viewer.
        axes: Names of the axes: along the width, into the depth, up the height.
        alt: See `figure`.
    """
    fig, panels = figure(1, len(chosen), width=max(1.9 * len(chosen), 8.5), height=2.3, alt=alt)
    # One cell into the depth, to the right and upward, on the page.
    steps = inward, right, up = np.array([[0.45, 0.4], [1.0, 0.0], [0.0, 1.0]])
    faces = ((0, 0, right, up), (2, -1, right, inward), (1, -1, inward, up))  # front, top, right
    for ax, (title, cells) in zip(panels[0], chosen.items(), strict=True):
        deep, wide, high = cells.shape
        for axis, place, one, other in faces:
            start = cells.shape[axis] * steps[axis] if place else 0
            for cell, dark in np.ndenumerate(cells.take(place, axis)):
                corner = start + cell @ np.delete(steps, axis, axis=0)
                outline = np.array([corner, corner + one, corner + one + other, corner + other])
                ax.fill(*outline.T, facecolor=BLUE if dark else "white", edgecolor=MUTED, lw=0.8)
        ax.set_title(title, loc="center")
        ax.text(wide / 2, -0.3, axes[0], ha="center", va="top", fontsize=8)
        ax.text(-0.3, high / 2, axes[2], ha="right", va="center", rotation=90, fontsize=8)
        middle = wide * right + deep / 2 * inward + [0.25, -0.25]
        ax.text(*middle, axes[1], rotation=42, ha="left", va="center", fontsize=8)
        ax.set_axis_off()
        ax.set_aspect("equal")
    return fig


@style()
def network(
    stages: Sequence[tuple[str, Sequence[int], int]], *, title: str = "", alt: str
) -> Figure:
    """Draw the stages of a network side by side: what each returns, and its parameters below.

    Feature maps are boxes: as high as the maps, and thicker the more channels they have. A vector
    is a bar. The area of a circle is proportional to the number of parameters.

    Args:
        stages: Name, output shape without the batch, (H, W, C) or (D,), and number of parameters.
        title: Figure title.
        alt: See `figure`; names, shapes and parameters are added to it.
    """
    told = [f"{name} {_times(shape)}, {count:,} parameters" for name, shape, count in stages]
    fig, axes = figure(height=3.6, alt=f"{alt}: {'; '.join(told)}".replace("\n", " "))
    ax: Axes = axes[0, 0]
    largest = max(shape[0] for _, shape, _ in stages if len(shape) == 3)
    most = max(count for _, _, count in stages)
    for place, (name, shape, count) in enumerate(stages):
        if len(shape) == 3:
            side = 0.8 * shape[0] / largest
            _box(ax, place, side, 0.03 * np.log2(shape[2] + 1), 0.45 * side)
        else:
            _box(ax, place, max(0.2 * np.log10(shape[0] + 1), 0.05), 0.05, 0.0)
        text = f"{name}\n{_times(shape)}"
        ax.text(place, -0.5, text, ha="center", va="top", fontsize=8)
        if count:
            radius = 0.75 * np.sqrt(count / most)
            ax.add_patch(Circle((place, -1.75), radius, facecolor=ORANGE, alpha=0.55, lw=0))
            ax.text(place, -1.75, f"{count:,}", ha="center", va="center", fontsize=8)
    ax.text(-0.5, -1.75, "parameters", ha="left", va="center", fontsize=8)
    ax.set(xlim=(-0.6, len(stages) - 0.3), ylim=(-2.55, 0.65), aspect="equal")
    ax.set_axis_off()
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def _times(shape: Sequence[int]) -> str:
    return " × ".join(f"{size:,}" for size in shape)


def _box(ax: Axes, x: float, side: float, thick: float, wide: float) -> None:
    """Draw a box whose face recedes to the right: `side` high, `thick`, and `wide` on the page."""
    rise = 0.45 * wide
    corner = np.array([x - (wide + thick) / 2, -(side + rise) / 2])
    up, right, inward = np.array([(0, side), (thick, 0), (wide, rise)])
    for start, one, other, color in (
        (right, inward, up, "#cfe3f1"),
        (up, right, inward, "white"),
        (0 * up, right, up, "#9cc7e2"),
    ):
        outline = corner + np.array([start, start + one, start + one + other, start + other])
        ax.fill(*outline.T, facecolor=color, edgecolor=BLUE, lw=0.8)


def diagram(
    ax: Axes,
    boxes: Mapping[str, str],
    arrows: Sequence[tuple[str, str]],
    *,
    filled: Collection[str] = (),
) -> tuple[float, int]:
    """Draw boxes from top to bottom, each below its inputs, and the arrows between them.

    Args:
        ax: Where to draw; its limits are set to fit the boxes.
        boxes: Text by name, in an order in which each box comes after its inputs.
        arrows: Pairs of names, from and to.
        filled: Names of the boxes to fill.

    Returns:
        How many boxes wide and high the drawing is, for the size of the figure: a box of 1.6 x 0.6
        inches holds two lines of text.

    Raises:
        ValueError: If an arrow starts or ends at a box that does not exist, or leads upward in
            `boxes`.
    """
    x, row, paths = _layout(boxes, arrows)
    half = 0.28  # of a box's height; rows are one apart
    look = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0, "snap": False}
    for path in paths:
        corners = [(x[name], side - row[name]) for name in path for side in (half, -half)]
        *rest, tail, tip = corners[1:-1]
        ax.plot(*zip(*rest, tail, strict=True), color=MUTED, lw=1, snap=False)
        ax.annotate("", tip, tail, arrowprops=look)
    for name, text in boxes.items():
        box = FancyBboxPatch(
            (x[name] - 0.45, -row[name] - half),
            0.9,
            2 * half,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#cfe3f1" if name in filled else "white",
            edgecolor=MUTED,
        )
        ax.add_patch(box)
        ax.text(x[name], -row[name], text, ha="center", va="center", fontsize=8)
    left, right, lowest = min(x.values()), max(x.values()), max(row.values())
    ax.set(xlim=(left - 0.55, right + 0.55), ylim=(-lowest - 0.45, 0.45))
    ax.set_axis_off()
    return right - left + 1.1, lowest + 1


def _layout(
    boxes: Mapping[str, str], arrows: Sequence[tuple[str, str]]
) -> tuple[dict[str, float], dict[str, int], list[list[str]]]:
    """Place boxes and arrows: horizontal position and row by name, and the names on each arrow."""
    names = list(boxes)
    for start, end in arrows:
        if start not in boxes or end not in names[names.index(start) + 1 :]:
            raise ValueError(
                f"no box {start!r} with a box {end!r} after it: list the boxes in the order in "
                "which the arrows lead"
            )
    row: dict[str, int] = {}
    for name in boxes:
        row[name] = 1 + max((row[start] for start, end in arrows if end == name), default=-1)
    # An arrow over several rows gets a place in each of them, so that it runs beside the boxes.
    paths, above = [], {name: list[str]() for name in boxes}
    for start, end in dict.fromkeys(arrows):
        between = {f"{start}>{end}>{k}": k for k in range(row[start] + 1, row[end])}
        row.update(between)
        paths.append([start, *between, end])
        for upper, lower in pairwise(paths[-1]):
            above.setdefault(lower, []).append(upper)
    x: dict[str, float] = {}
    for level in range(max(row.values()) + 1):
        # Each name belongs below the mean of its inputs; in that order, side by side, at least one
        # apart, and centered on these means.
        means = {
            name: float(np.mean([x[upper] for upper in inputs] or [0]))
            for name, inputs in above.items()
            if row[name] == level
        }
        places = sorted(means, key=lambda name: means[name])
        at = np.array([means[name] for name in places])
        for k in range(1, len(at)):
            at[k] = max(at[k], at[k - 1] + 1)
        at += np.mean(list(means.values())) - at.mean()
        x.update(zip(places, at.tolist(), strict=True))
    return x, row, paths
