"""Every figure of the course, in one style.

Each function returns a `Figure` that is displayed when it is the last line of a cell, with a text
for screen readers. The figures are opaque and light, so they read the same on a light and a dark
page. Series differ by line style, marker or label as well as by color.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cvlab.evaluation.measure import Interval

# Okabe and Ito's colors, distinguishable with every common color blindness; black is for text.
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
RED, PURPLE, SKY = "#d55e00", "#cc79a7", "#56b4e9"
INK, MUTED, CARD = "#1c1c1e", "#6b6b70", "#fcfcfa"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")

_STYLE: dict[Any, Any] = {
    "figure.facecolor": CARD,
    "axes.facecolor": CARD,
    "savefig.facecolor": CARD,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e2",
    "axes.axisbelow": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "image.cmap": "viridis",
}

# Dots per inch. Readable on a projector, and a notebook of figures stays below 400 KB.
DPI = 88


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that Jupyter shows once, with a text alternative.

    Attributes:
        alt: What the figure shows, in one sentence, for screen readers and where no image can be
            displayed.
        photographic: Whether Jupyter gets it as JPEG, which is five times smaller for a figure made
            of photos; PNG otherwise.
    """

    alt: str = ""
    photographic: bool = False

    def png(self) -> bytes:
        """Return the figure as PNG bytes: the same figure gives the same bytes."""
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(self._encoded("png", metadata={"Software": None}))) as image:
            # 256 colors are enough for lines and text, and take a third of the space.
            drawn = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            drawn.save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    def jpeg(self) -> bytes:
        """Return the figure as JPEG bytes: the same figure gives the same bytes."""
        return self._encoded("jpeg", pil_kwargs={"quality": 88, "subsampling": 0})

    def svg(self) -> str:
        """Return the figure as SVG text, sharp at any size, with `alt` as its title."""
        buffer = io.StringIO()
        with style(), mpl.rc_context({"svg.hashsalt": "cvlab"}):
            self.savefig(buffer, format="svg", metadata={"Date": None, "Title": self.alt})
        # Matplotlib leaves blanks at the ends of lines, which only make differences hard to read.
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"

    def _encoded(self, kind: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        with style():
            self.savefig(buffer, format=kind, dpi=DPI, **options)
        return buffer.getvalue()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what Jupyter displays. With pyplot instead, the figure would be shown twice."""
        kind = "image/jpeg" if self.photographic else "image/png"
        encoded = self.jpeg() if self.photographic else self.png()
        return {kind: encoded, "text/plain": f"[Figure: {self.alt}]"}, {kind: {"alt": self.alt}}


@contextmanager
def style() -> Iterator[None]:
    """Use the course's Matplotlib style for the duration of the block."""
    with mpl.rc_context(_STYLE):
        yield


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 7.5, height: float = 3.2, alt: str
) -> tuple[Figure, NDArray[Any]]:
    """Return an empty figure in the course's style.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Width in inches.
        height: Height in inches.
        alt: What the figure shows, in one sentence, for those who cannot see it.

    Returns:
        The figure and its axes, an array of shape (rows, columns).
    """
    with style():
        fig = Figure(figsize=(width, height), layout="constrained")
        axes = fig.subplots(rows, columns, squeeze=False)
    fig.alt = alt
    return fig, axes


def _grid(
    count: int, titles: Sequence[str], *, columns: int, size: float, title_height: float, alt: str
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, one for each of some images, each under its title."""
    if titles and len(titles) != count:
        raise ValueError(f"{len(titles)} titles for {count} images: pass one for each, or none")
    if columns < 1:
        raise ValueError(f"columns is {columns}: pass at least one image per row")
    columns = min(columns, count)
    rows = -(-count // columns)
    height = rows * (size + (title_height if titles else 0.05))
    fig, axes = figure(rows, columns, width=columns * size, height=height, alt=alt)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title, loc="center", fontsize=8)
    return fig, list(axes.flat[:count])


def photos(
    images: ArrayLike,
    titles: Sequence[str] = (),
    *,
    columns: int = 6,
    size: float = 1.25,
    alt: str = "",
) -> Figure:
    """Show images side by side, each under its title.

    Args:
        images: Color images, shape (N, H, W, 3), uint8 or floats from 0 to 1; or maps of any range,
            shape (N, H, W), each drawn in gray from its own lowest to its highest value.
        titles: One short line per image, or none.
        columns: Images per row.
        size: Inches per image.
        alt: See `figure`; by default the number of images and their titles.

    Raises:
        ValueError: If there are no images, the number of titles differs, or `columns` is not
            positive.
    """
    stack = np.asarray(images)
    if stack.ndim not in (3, 4) or not len(stack):
        raise ValueError(
            f"photos() takes a batch of images (N, H, W, 3) or (N, H, W), got shape "
            f"{stack.shape}: write images[None] for a single image"
        )
    alt = alt or f"{len(stack)} pictures" + (f": {', '.join(titles)}" if titles else "")
    fig, axes = _grid(len(stack), titles, columns=columns, size=size, title_height=0.25, alt=alt)
    fig.photographic = True
    for ax, image in zip(axes, stack, strict=True):
        ax.imshow(image, interpolation="nearest", cmap="gray")
    return fig


@style()
def training_curves(
    history: Mapping[str, Sequence[float]],
    *,
    overfits_at: int | None = None,
    title: str = "",
) -> Figure:
    """Plot accuracy and loss against the epoch, training dashed with dots, validation solid.

    Args:
        history: `History.history`: `accuracy`, `loss`, and both with the prefix `val_`.
        overfits_at: Epoch (from 1) to mark as the one where overfitting begins.
        title: Figure title.

    Raises:
        ValueError: If one of the four curves is missing.
    """
    curves = ["loss", "val_loss", "accuracy", "val_accuracy"]
    if missing := [name for name in curves if not len(history.get(name, ()))]:
        raise ValueError(
            f"history lacks {', '.join(missing)}: pass fit(..., validation_data=...).history of a "
            "model that was compiled with metrics=['accuracy']"
        )
    epochs = np.arange(1, len(history["loss"]) + 1)
    last = f"{history['val_accuracy'][-1]:.0%}"
    alt = f"Training and validation curves over {len(epochs)} epochs, validation ending at {last}"
    fig, axes = figure(1, 2, alt=f"{title}. {alt}" if title else alt)
    for ax, key, label in zip(axes[0], ("accuracy", "loss"), ("Accuracy", "Loss"), strict=True):
        ax.plot(epochs, history[key], ls="--", marker="o", color=ORANGE, label="training")
        ax.plot(epochs, history["val_" + key], ls="-", color=BLUE, label="validation")
        if overfits_at is not None:
            ax.axvline(overfits_at, color=MUTED, ls=":", label=f"overfits from epoch {overfits_at}")
        ax.set(xlabel="epoch", ylabel=label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0, 1].set_ylim(bottom=0)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    fig.suptitle(title, x=0.01, ha="left")
    return fig


@style()
def accuracies(
    measured: Mapping[str, Interval],
    *,
    lecture: Mapping[str, float] | None = None,
    chance: float | None = 0.5,
    xlabel: str = "test accuracy",
) -> Figure:
    """Plot measured accuracies with their intervals, one row each, and the lecture's figures.

    Args:
        measured: Interval by label, drawn from top to bottom; shares from 0 to 1.
        lecture: The lecture's figure for some of the labels, as shares.
        chance: Accuracy at chance level, drawn as a line; None for no line.
        xlabel: Label of the axis.

    Raises:
        ValueError: If there is nothing to draw, or a row is not an interval.
    """
    bare = [label for label, interval in measured.items() if not isinstance(interval, Interval)]
    if bare or not measured:
        what = f"{bare[0]!r} is {measured[bare[0]]!r}" if bare else "measured is empty"
        raise ValueError(
            f"{what}: every row is an interval, from measure.accuracy() or measure.mean_interval()"
        )
    alt = "; ".join(f"{label}: {interval.percent()}" for label, interval in measured.items())
    fig, axes = figure(height=1.1 + 0.42 * len(measured), alt=f"{xlabel}. {alt}")
    ax: Axes = axes[0, 0]
    for row, (label, interval) in enumerate(measured.items()):
        bars = [[interval.value - interval.low], [interval.high - interval.value]]
        ax.errorbar(interval.value, row, xerr=bars, fmt="o", color=BLUE, capsize=4)
        if lecture and label in lecture:
            ax.plot(lecture[label], row, marker="D", mfc="none", ls="none", color=ORANGE, ms=8)
    ax.plot([], [], marker="o", ls="none", color=BLUE, label="measured, 95 % interval")
    if lecture:
        ax.plot([], [], marker="D", mfc="none", ls="none", color=ORANGE, label="lecture")
    if chance is not None:
        ax.axvline(chance, color=MUTED, ls=":", label="guessing")
    ax.set_yticks(range(len(measured)), list(measured))
    ax.set_ylim(len(measured) - 0.4, -0.6)
    # A single narrow interval must not fill the whole width like a large difference.
    left, right = ax.get_xlim()
    room = max(0.0, 0.2 - (right - left)) / 2
    beyond = max(0.0, right + room - max(1.0, right))  # nothing lies beyond 100 %
    ax.set_xlim(left - room - beyond, right + room - beyond)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(xlabel)
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def lines(ax: Axes, x: Sequence[float], series: Mapping[str, Sequence[float | Interval]]) -> None:
    """Draw one line per series; lines differ by color, dash and marker.

    Args:
        ax: Where to draw; the caller sets labels and scales.
        x: Positions that the series share.
        series: Values by label, one for each position. An `Interval` gets its bounds as a bar.
    """
    for number, (label, values) in enumerate(series.items()):
        look: dict[str, Any] = {
            "color": CYCLE[number % len(CYCLE)],
            "ls": DASHES[number % len(DASHES)],
            "marker": MARKERS[number % len(MARKERS)] if len(x) <= 40 else "",
            "label": label,
        }
        middle = [v.value if isinstance(v, Interval) else v for v in values]
        if any(isinstance(v, Interval) for v in values):
            ends = [(v.low, v.high) if isinstance(v, Interval) else (v, v) for v in values]
            low, high = np.asarray(ends).T
            ax.errorbar(x, middle, yerr=[middle - low, high - middle], capsize=3, **look)
        else:
            ax.plot(x, middle, **look)


@style()
def truth_table(
    cells: Mapping[str, Mapping[str, str]],
    *,
    marked: Sequence[str] = (),
    alt: str,
) -> Figure:
    """Draw words in a grid: one row per case, one column per question, some words white on blue.

    Args:
        cells: Words by column, by row.
        marked: Words to highlight.
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
    fig, axes = figure(height=0.4 + 0.36 * len(cells), alt=f"{alt}. {words}")
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
    return fig


def matrices(
    arrays: Sequence[ArrayLike] | NDArray[Any],
    titles: Sequence[str] = (),
    *,
    size: float = 1.3,
    alt: str,
) -> Figure:
    """Show small matrices side by side: blue below zero, white at zero, red above.

    If the cells are wide enough, each also shows its number.

    Args:
        arrays: Matrices, each of shape (H, W).
        titles: One short line per matrix, or none.
        size: Inches per matrix.
        alt: See `figure`.

    Raises:
        ValueError: If there are no matrices, or the number of titles differs.
    """
    stack = [np.asarray(array, dtype=np.float64) for array in arrays]
    if not stack:
        raise ValueError("matrices() got no arrays: pass at least one of shape (H, W)")
    fig, axes = _grid(len(stack), titles, columns=6, size=size, title_height=0.3, alt=alt)
    for ax, matrix in zip(axes, stack, strict=True):
        most = np.abs(matrix).max() or 1.0
        ax.imshow(matrix, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        if size / matrix.shape[1] >= 0.4:  # inches that a number needs
            for (row, column), value in np.ndenumerate(matrix):
                ink = CARD if abs(value) > 0.6 * most else INK
                text = f"{round(value, 2) + 0:g}"  # + 0 turns -0.0 into 0.0
                ax.text(column, row, text, ha="center", va="center", fontsize=7, color=ink)
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
    fig, panels = figure(1, len(chosen), width=max(1.9 * len(chosen), 2.8), height=2, alt=alt)
    # One cell to the right, upward and into the depth, on the page.
    right, up, inward = np.array([[1.0, 0.0], [0.0, 1.0], [0.45, 0.4]])
    for ax, (title, cells) in zip(panels[0], chosen.items(), strict=True):
        deep, wide, high = cells.shape
        # Corner, edges and darkness of each face: front, top, right.
        faces = [(c * right + h * up, right, up, cells[0, c, h]) for c, h in np.ndindex(wide, high)]
        faces += [
            (c * right + high * up + n * inward, right, inward, cells[n, c, -1])
            for n, c in np.ndindex(deep, wide)
        ]
        faces += [
            (wide * right + h * up + n * inward, inward, up, cells[n, -1, h])
            for n, h in np.ndindex(deep, high)
        ]
        for corner, one, other, dark in faces:
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
def feature_maps(
    maps: Mapping[str, NDArray[Any]], *, channels: int = 8, image: int = 0, size: float = 1.0
) -> Figure:
    """Show the feature maps of one image, one row per layer, from the first layer to the last.

    Each row shows the channels with the highest standard deviation over the image, the highest
    first, each from its own lowest value (black) to its highest (white); a constant channel is
    black. The label gives the layer, the shape of its feature map and the number of constant
    channels.

    Args:
        maps: Feature maps (N, h, w, C) by layer name, from
            `cvlab.evaluation.explain.feature_maps`.
        channels: Channels per row.
        image: Which image of the batch.
        size: Inches per channel.

    Raises:
        ValueError: If there are no maps.
    """
    if not maps:
        raise ValueError("feature_maps() got no maps: name at least one layer")
    shapes = {name: " × ".join(map(str, batch.shape[1:])) for name, batch in maps.items()}
    alt = "; ".join(f"{name} {shape}" for name, shape in shapes.items())
    fig, axes = figure(
        len(maps),
        channels + 1,
        width=(channels + 1.4) * size,
        height=len(maps) * size,
        alt=f"Feature maps of one picture by depth: {alt}",
    )
    for row, (name, batch) in zip(axes, maps.items(), strict=True):
        constant = np.sum(np.ptp(batch[image], axis=(0, 1)) == 0)
        strongest = np.argsort(-batch[image].std(axis=(0, 1)), kind="stable")
        for ax in row:
            ax.set_axis_off()
        label = f"{name}\n{shapes[name]}\n{constant} show nothing"
        row[0].text(1, 0.5, label, ha="right", va="center", fontsize=8, transform=row[0].transAxes)
        for ax, channel in zip(row[1:], strongest[:channels], strict=False):
            ax.imshow(batch[image, ..., channel], interpolation="nearest", cmap="gray")
    return fig


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
