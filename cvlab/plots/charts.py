"""Figures with axes: training curves, accuracies with intervals, lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cvlab.evaluation.measure import Interval
from cvlab.plots.style import (
    BLUE,
    CYCLE,
    DASHES,
    MARKERS,
    MUTED,
    ORANGE,
    Figure,
    figure,
    percent,
    style,
)


@style()
def training_curves(
    history: Mapping[str, Sequence[float]], *, overfits_at: int | None = None, title: str = ""
) -> Figure:
    """Plot accuracy and loss against the epoch, training dashed with dots, validation solid.

    The generalization gap, by which the training accuracy is higher than the validation accuracy,
    is shaded.

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
    gap = history["accuracy"][-1] - history["val_accuracy"][-1]
    lowest = int(np.argmin(history["val_loss"])) + 1
    alt = (
        f"Training and validation curves over {len(epochs)} epochs, training accuracy ending at "
        f"{history['accuracy'][-1]:.0%} and validation ending at {history['val_accuracy'][-1]:.0%}."
        f" The validation loss is lowest at epoch {lowest}"
        + (f"; overfits from epoch {overfits_at}" if overfits_at else "")
    )
    fig, axes = figure(1, 2, alt=f"{title}. {alt}" if title else alt)
    for ax, key in zip(axes[0], ("accuracy", "loss"), strict=True):
        both = {"training": history[key], "validation": history["val_" + key]}
        ax.plot(epochs, both["training"], ls="--", marker="o", color=ORANGE)
        ax.plot(epochs, both["validation"], ls="-", color=BLUE)
        below, above = sorted(both, key=lambda name: both[name][-1])
        _at_the_end(ax, epochs[-1], both[below][-1], below, va="top")
        _at_the_end(ax, epochs[-1], both[above][-1], above, va="bottom")
        if overfits_at is not None:
            ax.axvline(overfits_at, color=MUTED, ls=":")
        ax.set(xlabel="epoch", ylabel=key)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    accuracy, loss = axes[0]
    training, validation = np.asarray(history["accuracy"]), np.asarray(history["val_accuracy"])
    larger = (training > validation).tolist()
    accuracy.fill_between(epochs, training, validation, larger, color=MUTED, alpha=0.15, lw=0)
    if gap > 0.1:
        middle = (training[-1] + validation[-1]) / 2
        text = f"generalization gap\n{100 * gap:.0f} points"
        _at_the_end(accuracy, epochs[-1], middle, text, va="center")
    if overfits_at is not None:
        where = {"transform": loss.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        loss.text(overfits_at, 1.01, f"overfits from epoch {overfits_at}", fontsize=9, **where)
    accuracy.yaxis.set_major_formatter(percent)
    loss.set_ylim(bottom=0)
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def _at_the_end(ax: Axes, epoch: float, value: float, text: str, *, va: str) -> None:
    """Write beside the last point of a curve what the curve is."""
    look: dict[str, Any] = {"va": va, "fontsize": 9, "textcoords": "offset points"}
    ax.annotate(text, (epoch, value), (7, 0), annotation_clip=False, **look)


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
        ax.axvline(chance, color=MUTED, ls=":", label="chance level")
    ax.set_yticks(range(len(measured)), list(measured))
    ax.set_ylim(len(measured) - 0.4, -0.6)
    # A single narrow interval must not fill the whole width like a large difference.
    left, right = ax.get_xlim()
    room = max(0.0, 0.2 - (right - left)) / 2
    beyond = max(0.0, right + room - max(1.0, right))  # nothing lies beyond 100 %
    ax.set_xlim(left - room - beyond, right + room - beyond)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(percent)
    ax.set_xlabel(xlabel)
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def lines(ax: Axes, x: Sequence[float], series: Mapping[str, Sequence[float | Interval]]) -> None:
    """Draw one line per series; lines differ by color, dash and marker.

    Args:
        ax: Where to draw; the caller sets labels and scales.
        x: Values on the x-axis, which the series share.
        series: Values by label, one for each `x`. An `Interval` gets its bounds as a bar.
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


def name_lines(ax: Axes) -> None:
    """Write the label of each line beside its right end, in place of a legend.

    Call it last: where the labels stand depends on the scales and limits of the axes. Labels that
    would overlap are moved apart.

    Args:
        ax: Axes with labelled lines, such as those of `lines`.
    """
    ax.get_xlim(), ax.get_ylim()  # Matplotlib fits the limits to the data only when asked
    ends = []
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        line: Any = handle[0] if isinstance(handle, tuple) else handle
        x, y = (np.asarray(values, float) for values in line.get_data())
        last = np.flatnonzero(np.isfinite(y))[-1]
        across, up = ax.transAxes.inverted().transform(ax.transData.transform((x[last], y[last])))
        ends.append([up, across, label])
    ends.sort()
    apart = 0.09  # of the height of the axes
    for above, below in zip(ends[1:], ends, strict=False):
        above[0] = max(above[0], below[0] + apart)
    for below, above in zip(ends[-2::-1], ends[::-1], strict=False):
        ends[-1][0] = min(ends[-1][0], 1.0)
        below[0] = min(below[0], above[0] - apart)
    for up, across, label in ends:
        ax.annotate(
            label,
            (across, up),
            (8, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )
