"""Every figure of the course, in one style.

Each function returns a `Figure` that shows itself when it is the last line of a cell, with a text
for screen readers. The figures are opaque light cards, so they read the same on a light and a
dark page, and they tell series apart by line style, marker or label as well as by color.
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

# Okabe and Ito's colors, told apart with every common color blindness; black is the text's.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)
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

# Dots an inch. Readable on a projector, and a notebook of figures stays below 400 KB.
DPI = 88


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that Jupyter shows once, and that says in words what it shows.

    Attributes:
        alt: The sentence that a screen reader speaks, and that stands where no picture can.
        photographic: Whether Jupyter gets it as JPEG, which takes a fifth of the room where a
            figure is made of photos; PNG otherwise.
    """

    alt: str = ""
    photographic: bool = False

    def png(self) -> bytes:
        """The figure as PNG bytes: the same figure gives the same bytes."""
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(self._encoded("png", metadata={"Software": None}))) as image:
            # 256 colors are enough for lines and text, and take a third of the room.
            drawn = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            drawn.save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    def jpeg(self) -> bytes:
        """The figure as JPEG bytes: the same figure gives the same bytes."""
        return self._encoded("jpeg", pil_kwargs={"quality": 88, "subsampling": 0})

    def svg(self) -> str:
        """The figure as SVG text, sharp at any size, with its words as the title for readers."""
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
        """What Jupyter displays. Going through pyplot instead would show the figure twice."""
        kind, encoded = (
            ("image/jpeg", self.jpeg()) if self.photographic else ("image/png", self.png())
        )
        words = {"text/plain": f"[Figure: {self.alt}]"}
        return {kind: encoded, **words}, {kind: {"alt": self.alt}}


@contextmanager
def style() -> Iterator[None]:
    """The course's Matplotlib style, for as long as the block lasts."""
    with mpl.rc_context(_STYLE):
        yield


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 7.5, height: float = 3.2, alt: str
) -> tuple[Figure, NDArray[Any]]:
    """An empty figure in the course's style.

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


def _check_columns(columns: int) -> None:
    if columns < 1:
        raise ValueError(f"columns is {columns}: draw at least one in a row")


@style()
def photos(
    images: ArrayLike,
    titles: Sequence[str] = (),
    *,
    columns: int = 6,
    size: float = 1.25,
    alt: str = "",
) -> Figure:
    """Pictures side by side, each under its title.

    Args:
        images: Pictures in color, shape (N, H, W, 3), uint8 or floats from 0 to 1; or maps of any
            range, shape (N, H, W), each drawn in gray from its own lowest to its highest value.
        titles: One short line a picture, or none.
        columns: Pictures in a row.
        size: Inches a picture.
        alt: See `figure`; by default the number of pictures and their titles.

    Raises:
        ValueError: If there are no pictures, or titles for another number of them.
    """
    stack = np.asarray(images)
    if stack.ndim not in (3, 4) or not len(stack):
        raise ValueError(
            f"photos() takes a batch of pictures (N, H, W, 3) or (N, H, W), got shape "
            f"{stack.shape}: write images[None] for a single picture"
        )
    if titles and len(titles) != len(stack):
        raise ValueError(f"{len(titles)} titles for {len(stack)} pictures: give one each, or none")
    _check_columns(columns)
    columns = min(columns, len(stack))
    rows = -(-len(stack) // columns)
    fig, axes = figure(
        rows,
        columns,
        width=columns * size,
        height=rows * (size + (0.25 if titles else 0.05)),
        alt=alt or f"{len(stack)} pictures" + (f": {', '.join(titles)}" if titles else ""),
    )
    fig.photographic = True
    for index, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if index < len(stack):
            ax.imshow(stack[index], interpolation="nearest", cmap="gray")
            if titles:
                ax.set_title(titles[index], loc="center", fontsize=8)
    return fig


@style()
def training_curves(
    history: Mapping[str, Sequence[float]],
    *,
    overfits_at: int | None = None,
    title: str = "",
) -> Figure:
    """Accuracy and loss against the epoch, training dashed with dots, validation solid.

    Args:
        history: `History.history`: `accuracy`, `loss`, and both with the prefix `val_`.
        overfits_at: Epoch (from 1) to mark as the one where overfitting sets in.
        title: Figure title.

    Raises:
        ValueError: If one of the four curves is missing.
    """
    curves = ["loss", "val_loss", "accuracy", "val_accuracy"]
    if missing := [name for name in curves if not len(history.get(name, ()))]:
        raise ValueError(
            f"history lacks {', '.join(missing)}: pass fit(..., validation_data=...).history of a "
            f"model that was compiled with metrics=['accuracy']"
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
    """Measured accuracies with their intervals, one row each, the lecture's figure beside.

    Args:
        measured: Interval by label, drawn from top to bottom; shares from 0 to 1.
        lecture: The lecture's figure for some of the labels, as shares.
        chance: Accuracy of guessing, drawn as a line; None for no line.
        xlabel: Label of the axis.

    Raises:
        ValueError: If there is nothing to draw, or a figure without its interval.
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
    # A single narrow interval must not fill the whole width as if it were a large difference.
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
    """Draw one line for each series, told apart by color, dash and marker.

    Args:
        ax: Where to draw; labels and scales are the caller's.
        x: Positions the series share.
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
    """Words in a grid: one row a case, one column a question, some words white on blue.

    Args:
        cells: Words by column, by row.
        marked: Words to set apart.
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
            x, y = [column, column + 1, column + 1, column], [row, row, row + 1, row + 1]
            dark = word in marked
            face = BLUE if dark else "white"
            ax.fill(x, y, facecolor=face, edgecolor=MUTED, lw=0.8, clip_on=False)
            ink = CARD if dark else INK
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
    """Small matrices of signed numbers side by side: blue below zero, white at it, red above.

    Where the cells are wide enough, each also carries its number.

    Args:
        arrays: Matrices, each of shape (H, W).
        titles: One short line a matrix, or none.
        size: Inches a matrix.
        alt: See `figure`.

    Raises:
        ValueError: If there are no matrices, or titles for another number of them.
    """
    stack = [np.asarray(array, dtype=np.float64) for array in arrays]
    if not stack:
        raise ValueError("matrices() got no arrays: pass at least one of shape (H, W)")
    if titles and len(titles) != len(stack):
        raise ValueError(f"{len(titles)} titles for {len(stack)} matrices: give one each, or none")
    columns = min(6, len(stack))
    rows = -(-len(stack) // columns)
    height = rows * (size + (0.3 if titles else 0.05))
    fig, axes = figure(rows, columns, width=columns * size, height=height, alt=alt)
    for index, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if index >= len(stack):
            continue
        matrix = stack[index]
        most = np.abs(matrix).max() or 1.0
        ax.imshow(matrix, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        if titles:
            ax.set_title(titles[index], loc="center", fontsize=8)
        if size / matrix.shape[1] >= 0.4:  # inches that a number takes
            for (row, column), value in np.ndenumerate(matrix):
                ink = CARD if abs(value) > 0.6 * most else INK
                text = f"{round(value, 2) + 0:g}"  # + 0 turns -0.0 into 0.0
                ax.text(column, row, text, ha="center", va="center", fontsize=7, color=ink)
    return fig


def cubes(
    chosen: Mapping[str, NDArray[np.bool_]], *, axes: tuple[str, str, str], alt: str
) -> Figure:
    """Boxes of cells seen from the front, the upper side and the right, some of them dark.

    Args:
        chosen: By title, which cells are dark; booleans of shape (deep, wide, high). Cell
            (0, -1, -1) is the corner nearest to the reader.
        axes: Names of the axes: along the width, into the depth, up the height.
        alt: See `figure`.
    """
    fig, panels = figure(1, len(chosen), width=max(1.9 * len(chosen), 2.8), height=2, alt=alt)
    slant = np.array([0.45, 0.4])  # one cell into the depth, in cells on the page
    for ax, (title, cells) in zip(panels[0], chosen.items(), strict=True):
        deep, wide, high = cells.shape
        up, right = np.array([0.0, 1.0]), np.array([1.0, 0.0])
        faces = [(np.array([c, h]), right, up, cells[0, c, h]) for c, h in np.ndindex(wide, high)]
        faces += [
            (np.array([c, high]) + n * slant, right, slant, cells[n, c, -1])
            for n, c in np.ndindex(deep, wide)
        ]
        faces += [
            (np.array([wide, h]) + n * slant, slant, up, cells[n, -1, h])
            for n, h in np.ndindex(deep, high)
        ]
        for corner, one, other, dark in faces:
            outline = np.array([corner, corner + one, corner + one + other, corner + other])
            ax.fill(*outline.T, facecolor=BLUE if dark else "white", edgecolor=MUTED, lw=0.8)
        ax.set_title(title, loc="center")
        ax.text(wide / 2, -0.3, axes[0], ha="center", va="top", fontsize=8)
        ax.text(-0.3, high / 2, axes[2], ha="right", va="center", rotation=90, fontsize=8)
        middle = np.array([wide, 0]) + deep / 2 * slant + [0.25, -0.25]
        ax.text(*middle, axes[1], rotation=42, ha="left", va="center", fontsize=8)
        ax.set_axis_off()
        ax.set_aspect("equal")
    return fig


@style()
def feature_maps(
    maps: Mapping[str, NDArray[Any]], *, channels: int = 8, picture: int = 0, size: float = 1.0
) -> Figure:
    """Feature maps of one picture, one row a layer, from the first layer to the last.

    Each row shows the channels that vary most over the picture, the most varied first, each from
    its own darkest to its brightest value; a channel with one value all over is black. The label
    gives the layer, the shape of its feature map and how many of its channels show nothing.

    Args:
        maps: Feature maps (N, h, w, C) by the layer's name, as from `cvlab.evaluation.explain.feature_maps`.
        channels: Channels in a row.
        picture: Which picture of the batch.
        size: Inches a channel.

    Raises:
        ValueError: If there are no maps.
    """
    if not maps:
        raise ValueError("feature_maps() got no maps: name at least one layer")
    shapes = {name: batch.shape[1:] for name, batch in maps.items()}
    alt = "; ".join(f"{name} {h} × {w} × {c}" for name, (h, w, c) in shapes.items())
    fig, axes = figure(
        len(maps),
        channels + 1,
        width=(channels + 1.4) * size,
        height=len(maps) * size,
        alt=f"Feature maps of one picture by depth: {alt}",
    )
    for row, (name, batch) in zip(axes, maps.items(), strict=True):
        spread = np.ptp(batch[picture], axis=(0, 1))
        strongest = np.argsort(-batch[picture].std(axis=(0, 1)), kind="stable")
        height, width, count = shapes[name]
        for ax in row:
            ax.set_axis_off()
        label = f"{name}\n{height} × {width} × {count}\n{np.sum(spread == 0)} show nothing"
        row[0].text(1, 0.5, label, ha="right", va="center", fontsize=8, transform=row[0].transAxes)
        for ax, channel in zip(row[1:], strongest[:channels], strict=False):
            ax.imshow(batch[picture, ..., channel], interpolation="nearest", cmap="gray")
    return fig


def diagram(
    ax: Axes,
    boxes: Mapping[str, str],
    arrows: Sequence[tuple[str, str]],
    *,
    filled: Collection[str] = (),
) -> tuple[float, int]:
    """Draw boxes from top to bottom, each below all it takes from, and the arrows between them.

    Args:
        ax: Where to draw; it becomes as wide and high as there are boxes.
        boxes: Text by name, in an order in which each box comes after those it takes from.
        arrows: Pairs of names, from and to.
        filled: Names of the boxes to fill.

    Returns:
        How many boxes the drawing is wide and high, to size the figure by: boxes of 1.6 x 0.6
        inches hold two lines of text.

    Raises:
        ValueError: If an arrow leads from or to a box that is not there, or upward in `boxes`.
    """
    order = {name: number for number, name in enumerate(boxes)}
    for start, end in arrows:
        if start not in order or end not in order or order[start] >= order[end]:
            raise ValueError(
                f"no box {start!r} with a box {end!r} after it: list the boxes in the order in "
                "which the arrows lead"
            )
    row: dict[str, int] = {}
    for name in boxes:
        row[name] = 1 + max((row[start] for start, end in arrows if end == name), default=-1)
    # An arrow over several rows gets a place in each of them, so that it passes beside the boxes.
    paths = {
        (start, end): [start, *(f"{start}>{end}>{k}" for k in range(row[start] + 1, row[end])), end]
        for start, end in dict.fromkeys(arrows)
    }
    above: dict[str, list[str]] = {name: [] for name in boxes}
    for path in paths.values():
        for upper, lower in pairwise(path):
            above.setdefault(lower, []).append(upper)
            row[lower] = row[upper] + 1 if lower not in boxes else row[lower]
    x: dict[str, float] = {}
    for level in range(max(row.values()) + 1):
        places = [name for name in above if row[name] == level]
        wish = {name: float(np.mean([x[up] for up in above[name]] or [0])) for name in places}
        places.sort(key=lambda name: wish[name])
        # Side by side in the order of their wishes, at least one apart, centered on them.
        at = np.array([wish[name] for name in places])
        for k in range(1, len(at)):
            at[k] = max(at[k], at[k - 1] + 1)
        at += np.mean(list(wish.values())) - at.mean()
        x.update(zip(places, at.tolist(), strict=True))
    half = 0.28  # of a box's height; rows are one apart
    look = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0, "snap": False}
    for path in paths.values():
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
    ax.set_xlim(left - 0.55, right + 0.55)
    ax.set_ylim(-lowest - 0.45, 0.45)
    ax.set_axis_off()
    return right - left + 1.1, lowest + 1
