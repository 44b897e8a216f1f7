"""Figures of trust: confusion matrix, reliability diagram, accuracy under corruption."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from cvlab.evaluation.calibration import Bin
from cvlab.evaluation.measure import Interval
from cvlab.plots.style import (
    BLUE,
    CARD,
    CYCLE,
    INK,
    MUTED,
    ORANGE,
    RED,
    Figure,
    figure,
    style,
)


@style()
def confusion(probability: ArrayLike, labels: ArrayLike, class_names: tuple[str, str]) -> Figure:
    """Plot the confusion matrix at 0.5, and the confidence of right and wrong predictions.

    Args:
        probability: Of class 1, shape (N,) or (N, 1).
        labels: 0 or 1, shape (N,).
        class_names: Names of class 0 and class 1.

    Raises:
        ValueError: If the lengths differ, or there are no predictions.
    """
    p, truth = np.ravel(probability), np.ravel(labels).astype(int)
    if p.size != truth.size or not p.size:
        raise ValueError(f"{p.size} probabilities for {truth.size} labels: pass one per image")
    predicted = (p > 0.5).astype(int)
    counts = np.array([[np.sum((truth == t) & (predicted == q)) for q in (0, 1)] for t in (0, 1)])
    wrong = predicted != truth
    title = f"{wrong.sum()} of {truth.size} predictions are wrong"
    told = "; ".join(
        f"{counts[t, q]} {class_names[t]}s predicted as {class_names[q]}"
        for t in (0, 1)
        for q in (0, 1)
    )
    fig, axes = figure(1, 2, height=3.2, alt=f"{title}: {told}")
    _matrix(axes[0, 0], counts, class_names)
    confidence = np.maximum(p, 1 - p)
    bins = np.linspace(0.5, 1, 21)
    ax: Axes = axes[0, 1]
    # Counts that differ by a factor of a hundred need a scale on which both are seen.
    for part, color, hatch, name in (
        (confidence[~wrong], BLUE, None, "right"),
        (confidence[wrong], RED, "///", "wrong"),
    ):
        ax.hist(part, bins.tolist(), color=color, hatch=hatch, alpha=0.7, ec=INK, lw=0.4)
        ax.plot([], [], "s", color=color, ms=9, label=f"{name}: {part.size}")
    ax.set_yscale("symlog", linthresh=10)
    ax.set(xlabel="confidence", ylabel="images", title="The confidence of right and wrong")
    ax.legend(loc="upper left")
    fig.suptitle(title, x=0.01, ha="left", fontsize=11)
    return fig


def _matrix(ax: Axes, counts: NDArray[Any], class_names: tuple[str, str]) -> None:
    for truth in (0, 1):
        for predicted in (0, 1):
            right = truth == predicted
            color, hatch = (BLUE, None) if right else (ORANGE, "///")
            corner = (predicted - 0.5, truth - 0.5)
            look: dict[str, Any] = {"facecolor": color, "edgecolor": MUTED, "alpha": 0.45}
            ax.add_patch(Rectangle(corner, 1, 1, hatch=hatch, **look))
            count = counts[truth, predicted]
            ax.text(
                predicted,
                truth,
                f"{count}\n{count / max(1, counts[truth].sum()):.1%} of the {class_names[truth]}s",
                ha="center",
                va="center",
                bbox={"facecolor": CARD, "edgecolor": "none", "pad": 3},
            )
    ax.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), xlabel="predicted class", ylabel="true class")
    ax.set_xticks((0, 1), class_names)
    ax.set_yticks((0, 1), class_names)
    ax.grid(visible=False)


@style()
def reliability(diagrams: Mapping[str, Sequence[Bin]], *, title: str) -> Figure:
    """Plot accuracy against confidence, one panel per diagram; on the diagonal they agree.

    Above each point stands the number of its images.

    Args:
        diagrams: Bins by the title of the panel, from `cvlab.evaluation.calibration.reliability`.
        title: The message of the figure.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not diagrams or not all(len(bins) for bins in diagrams.values()):
        raise ValueError("there are no bins to draw: pass what calibration.reliability() returns")
    told = "; ".join(
        f"{name}: {', '.join(f'{b.accuracy.value:.0%} at confidence {b.confidence:.2f}' for b in bins)}"  # noqa: E501
        for name, bins in diagrams.items()
    )
    fig, axes = figure(1, len(diagrams), height=3.9, alt=f"{title}. {told}")
    for ax, (name, bins) in zip(axes[0], diagrams.items(), strict=True):
        ax.plot([0.5, 1], [0.5, 1], color=MUTED, ls="--", lw=1.2)
        ax.text(1.0, 0.03, "dashed: perfect calibration", ha="right", color=MUTED, fontsize=8)
        x = np.array([one.confidence for one in bins])
        y = np.array([one.accuracy.value for one in bins])
        ends = np.array([[one.accuracy.low, one.accuracy.high] for one in bins]).T
        ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=RED, lw=5, alpha=0.35)
        ax.errorbar(x, y, yerr=[y - ends[0], ends[1] - y], fmt="o", color=BLUE, capsize=3)
        for one in bins:
            place = (one.confidence, one.accuracy.high)
            look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 7.5}
            ax.annotate(f"{one.count:,}", place, (0, 4), **look)
        ax.set(xlim=(0.49, 1.015), ylim=(0, 1.08), xlabel="confidence", title=name)
        ax.set_ylabel("accuracy, 95 % interval")
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    fig.suptitle(title, x=0.01, ha="left", fontsize=11)
    return fig


@style()
def robustness(
    clean: Interval,
    corrupted: Mapping[str, Sequence[Interval]],
    *,
    title: str,
    xlabel: str = "test accuracy, 95 % interval",
) -> Figure:
    """Plot the accuracy under each corruption, one row each, and that of the clean images.

    The number in a marker is the severity.

    Args:
        clean: Accuracy on the clean images.
        corrupted: Accuracies by the name of the corruption, one per severity, mild first.
        title: The message of the figure.
        xlabel: Label of the axis.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not corrupted or not all(len(row) for row in corrupted.values()):
        raise ValueError("there is no corruption to draw: pass one accuracy per severity")
    told = "; ".join(
        f"{name}: {', '.join(f'{one.value:.1%}' for one in row)}" for name, row in corrupted.items()
    )
    alt = f"{title}. Clean: {clean.percent()}; {told}"
    fig, axes = figure(height=1.3 + 0.52 * len(corrupted), alt=alt)
    ax: Axes = axes[0, 0]
    ax.axvspan(clean.low, clean.high, color=MUTED, alpha=0.2, lw=0)
    ax.axvline(clean.value, color=INK, lw=1.2)
    above: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center", "fontsize": 9}
    ax.annotate(f"clean: {clean.value:.1%}", (clean.value, 1.02), **above)
    ax.axvline(0.5, color=MUTED, ls=":")
    ax.annotate("chance level", (0.5, 1.02), **above)
    for row, accuracies in enumerate(corrupted.values()):
        offsets = np.linspace(-0.27, 0.27, len(accuracies)) if len(accuracies) > 1 else [0.0]
        for severity, (one, offset) in enumerate(zip(accuracies, offsets, strict=True), 1):
            y, color = row + offset, CYCLE[(0, 2, 4)[(severity - 1) % 3]]
            bar = [[one.value - one.low], [one.high - one.value]]
            ax.errorbar(one.value, y, xerr=bar, fmt="o", color=color, mfc=CARD, ms=10, capsize=2)
            number: dict[str, Any] = {
                "ha": "center",
                "va": "center_baseline",
                "fontsize": 7,
                "color": color,
            }
            ax.text(one.value, y, str(severity), **number)
    ax.set_yticks(range(len(corrupted)), list(corrupted))
    ax.set_ylim(len(corrupted) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(f"{xlabel}; the number is the severity")
    fig.suptitle(title, x=0.01, ha="left", fontsize=11)
    return fig
