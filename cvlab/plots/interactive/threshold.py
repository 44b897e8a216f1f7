"""Threshold and confidence: what two sliders change in the predictions of a trained classifier."""

import numpy as np
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from cvlab.plots.interactive.base import Interactive
from cvlab.plots.style import BLUE, INK, ORANGE, Figure, figure, style

BINS = 50


def threshold(
    logits: ArrayLike, labels: ArrayLike, classes: tuple[str, str] = ("cat", "dog")
) -> Interactive:
    """Show predictions with a slider for the threshold and one for the temperature.

    The threshold moves images between right and wrong: counts, accuracy, precision and recall
    follow. The temperature divides the logits: confidence and loss follow, and the accuracy at a
    threshold of 0.5 does not.

    Args:
        logits: Of class 1, shape (N,) or (N, 1); rounded to two digits.
        labels: 0 or 1, shape (N,).
        classes: Names of classes 0 and 1.

    Raises:
        ValueError: If the lengths differ, a label is not 0 or 1, or a logit is not finite.
    """
    rounded = np.round(np.ravel(logits).astype(float), 2)
    truth = np.ravel(labels)
    if rounded.size != truth.size or not rounded.size:
        raise ValueError(
            f"{rounded.size} logits for {truth.size} labels: pass one of each per image"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"labels hold {np.unique(truth)}: pass 0 and 1 only")
    if not np.isfinite(rounded).all():
        raise ValueError(
            "a logit is not finite, so a probability was exactly 0 or 1: pass the output before "
            "the sigmoid, or clip the probabilities first"
        )
    data = {
        "logits": rounded.tolist(),
        "labels": truth.astype(int).tolist(),
        "classes": list(classes),
        "bins": BINS,
        "colors": [ORANGE, BLUE],
    }
    return Interactive("threshold.js", data, _still(rounded, truth.astype(int), classes))


@style()
def _still(
    logits: NDArray[np.float64], labels: NDArray[np.int_], classes: tuple[str, str]
) -> Figure:
    """Draw the histogram of the probabilities by class, with the threshold 0.5."""
    probability = 1 / (1 + np.exp(-logits))
    right = (probability > 0.5) == (labels == 1)
    alt = (
        f"Probabilities of {classes[1]} for {labels.size} images by class, threshold 0.5: "
        f"{int(right.sum())} are right. Controls: threshold and temperature."
    )
    fig, axes = figure(height=3.4, alt=alt)
    ax = axes[0, 0]
    edges = np.linspace(0, 1, BINS + 1)
    for label, sign, color in ((1, 1, BLUE), (0, -1, ORANGE)):
        counts, _ = np.histogram(probability[labels == label], edges)
        ax.bar(edges[:-1], sign * np.log10(1 + counts), 1 / BINS, align="edge", color=color, ec=INK)
        ax.text(0.22, sign * 2.1, f"{classes[label]}s", ha="center", va="center", color=INK)
    ax.axvline(0.5, color=INK, ls="--")
    ax.set(xlabel=f"predicted probability of {classes[1]}", ylabel="images per bin", xlim=(0, 1))
    ticks = np.log10(1 + np.array([1, 10, 100]))
    ax.set_yticks([*-ticks[::-1], 0, *ticks])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{10 ** abs(y) - 1:.0f}"))
    ax.set_title(f"{int(right.sum())} of {labels.size} images are on the right side of 0.5")
    return fig
