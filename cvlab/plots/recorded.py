"""Figures of recorded runs: training curves on photos, and the ladder."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cvlab.evaluation.measure import Interval
from cvlab.plots.style import BLUE, CYCLE, INK, MUTED, ORANGE, SKY, Figure, figure, percent, style


@style()
def recorded_curves(
    runs: Mapping[str, tuple[Mapping[str, Sequence[float]], Interval]],
    *,
    lecture: float,
    marks: Sequence[int] = (),
) -> Figure:
    """Plot accuracy against the epoch for recorded runs on photos, one panel each.

    Args:
        runs: By label `History.history` of the training and the test accuracy, as
            `cvlab.course.recorded.curves` returns them.
        lecture: The lecture's figure, as a share.
        marks: Epochs to mark with the best validation accuracy so far, in runs that are as long.

    Raises:
        ValueError: If there is no run.
    """
    if not runs:
        raise ValueError("There is no recorded run to draw: pass recorded.curves(claim)")
    alt = "; ".join(f"{label}: test {test.percent()}" for label, (_, test) in runs.items())
    fig, axes = figure(1, len(runs), height=3.2, alt=f"Recorded on photos. {alt}")
    for ax, (label, (history, test)) in zip(axes[0], runs.items(), strict=True):
        epochs = np.arange(1, len(history["accuracy"]) + 1)
        ax.plot(epochs, history["accuracy"], ls="--", color=ORANGE, label="training")
        ax.plot(epochs, history["val_accuracy"], color=BLUE, label="validation")
        for mark in marks:
            if mark <= epochs.size:
                best = max(history["val_accuracy"][:mark])
                ax.plot(mark, best, marker="v", color=INK, ms=7)
                ax.axvline(mark, color=MUTED, ls=":", lw=1)
                look = {"xycoords": ("data", "axes fraction"), "ha": "right", "va": "bottom"}
                ax.annotate(f"to {mark} \n{best:.1%} ", (mark, 0.02), **look)
        ax.axhspan(test.low, test.high, color=MUTED, alpha=0.25, lw=0, label="test, 95 % interval")
        ax.axhline(lecture, color=INK, ls=":", label="lecture")
        ax.set(title=f"{label}\ntest {test.percent()}", xlabel="epoch", ylabel="accuracy")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(percent)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


@style()
def ladder(
    rungs: Sequence[str],
    climbs: Mapping[str, Sequence[Interval]],
    p_values: Mapping[str, Sequence[float]],
    *,
    pretrained_from: int | None = None,
    title: str = "",
) -> Figure:
    """Plot a ladder of accuracies as stairs, one panel per series, gain and p on each step.

    Args:
        rungs: Names of the rungs, from the bottom up.
        climbs: By label the accuracy of each rung. An interval without width is drawn without one.
        p_values: By label the p-value of each step, one fewer than rungs; labels may be missing.
        pretrained_from: The first rung that uses a pretrained base, counted from 0; it and the
            rungs after it are shaded.
        title: The message of the figure.
    """
    told = {
        label: ", ".join(f"{interval.value:.1%}" for interval in heights)
        for label, heights in climbs.items()
    }
    alt = "; ".join(f"{label}: {heights}" for label, heights in told.items())
    alt = f"The ladder. {title + '. ' if title else ''}{alt}"
    rows = -(-len(climbs) // 2)
    fig, axes = figure(rows, 2, width=12, height=4.1 * rows, alt=alt)
    lowest = min(interval.low for heights in climbs.values() for interval in heights)
    names = [textwrap.fill(rung, 14, break_on_hyphens=False) for rung in rungs]
    for ax, (label, heights), color in zip(axes.flat, climbs.items(), CYCLE, strict=False):
        if pretrained_from is not None:
            ax.axvspan(pretrained_from - 0.5, len(rungs) - 0.5, color=SKY, alpha=0.15, lw=0)
            ax.text(len(rungs) - 0.55, lowest - 0.055, "pretrained base", ha="right", color=MUTED)
        _stairs(ax, heights, p_values.get(label), color)
        ax.set_title(label)
        ax.set_xticks(range(len(rungs)), names, fontsize=8.5)
        ax.yaxis.set_major_formatter(percent)
        ax.set(xlim=(-0.5, len(rungs) - 0.5), ylim=(lowest - 0.07, 1.09))
        ax.set_yticks([tick / 10 for tick in range(int(10 * lowest), 11)])
        ax.grid(visible=False, axis="x")
    for ax in axes.flat[len(climbs) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy")
    if title:
        fig.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold")
    return fig


def _stairs(
    ax: Axes, heights: Sequence[Interval], p_values: Sequence[float] | None, color: str
) -> None:
    """Draw one series: steps, dots with intervals and accuracies, gain and p on each step."""
    middle = np.array([interval.value for interval in heights])
    reach = [
        [interval.value - interval.low for interval in heights],
        [interval.high - interval.value for interval in heights],
    ]
    edges = np.arange(len(heights) + 1) - 0.5
    ax.stairs(middle, edges, baseline=None, color=color, lw=2.5)
    ax.errorbar(range(len(heights)), middle, yerr=reach, fmt="o", ms=6, color=color, capsize=4)
    for rung, interval in enumerate(heights):
        accuracy = f"{100 * interval.value:.1f} %"
        down = -5 if interval.high > interval.low else -9
        ax.annotate(
            accuracy,
            (rung, interval.low),
            (0, down),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
        )
    for step, gain in enumerate(np.diff(middle)):
        text = f"{100 * gain:+.1f}".replace("-", "−")
        look: dict[str, Any] = {}
        if p_values is not None:
            p = p_values[step]
            look = {"fontweight": "bold"} if p < 0.05 else {"color": MUTED}
            text += "\np < 0.001" if p < 0.001 else f"\np = {p:.2g}"
        ax.annotate(
            text,
            (step + 0.5, max(heights[step].high, heights[step + 1].high)),
            (0, 4),
            va="bottom",
            fontsize=9,
            textcoords="offset points",
            ha="center",
            **look,
        )
