"""The uncertainty of measured figures: intervals, paired tests, and where overfitting starts.

The lecture reports the best validation accuracy of a single run. Here every accuracy comes with
an interval and every claimed difference with a test. The module does not need Keras: its functions
take counts, arrays of right and wrong, or the lists in `History.history`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

# The interval holds the middle 95 % of a distribution.
_QUANTILE: Final = 0.975
# Overfitting is a rise of the validation loss by this factor, seen in a training of at least so
# many epochs, of which at least so many come after the lowest loss.
_RISE: Final = 1.05
_FEWEST_EPOCHS: Final = 8
_FEWEST_AFTER: Final = 3


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence bounds, all three in the unit of the estimate."""

    value: float
    low: float
    high: float

    def __contains__(self, figure: float) -> bool:
        """Return whether `figure` lies between the bounds, both included."""
        return self.low <= figure <= self.high

    def percent(self) -> str:
        """Return the estimate of a share as text, for example `71.7 % (68.8 to 74.4 %)`."""
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f} %)"

    def points(self, digits: int = 1) -> str:
        """Return a difference of two shares as text, for example `-0.8 points (-1.7 to 0.1)`."""
        return (
            f"{100 * self.value:.{digits}f} points "
            f"({100 * self.low:.{digits}f} to {100 * self.high:.{digits}f})"
        )


def wilson_interval(correct: int, total: int) -> Interval:
    """Return the 95 % interval of an accuracy of `correct` out of `total` independent predictions.

    This is Wilson's score interval. Its coverage is right near 0 and 1 too, where that of the usual
    "plus or minus 1.96 standard errors" is not. It covers the random choice of the test images, not
    the random initialization of the network: for that, train several seeds and use `mean_interval`.

    Args:
        correct: Right predictions, between 0 and `total`.
        total: Predictions, at least 1.

    Returns:
        The interval; 95 % of such intervals contain the true accuracy.

    Raises:
        ValueError: If the counts are impossible.

    Source:
        E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
        Journal of the American Statistical Association 22 (1927).
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(
            f"{correct} right out of {total} is not an accuracy: pass 0 <= correct <= total and "
            "total >= 1"
        )
    z = float(special.ndtri(_QUANTILE))  # of the normal distribution
    share = correct / total
    center = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    # Rounding may push a bound slightly past the estimate that it encloses.
    return Interval(share, max(0.0, min(center - half, share)), min(1.0, max(center + half, share)))


def accuracy(predicted: ArrayLike, labels: ArrayLike) -> Interval:
    """Return the share of `predicted` classes equal to `labels`, with its Wilson interval.

    Args:
        predicted: Classes of any integer or boolean dtype, shape (N,) or (N, 1).
        labels: True classes, shape (N,) or (N, 1).

    Raises:
        ValueError: If the two differ in length, or hold values that are not classes.
    """
    _same_length(predicted, labels)
    hits = _classes("predicted", predicted) == _classes("labels", labels)
    return wilson_interval(int(hits.sum()), hits.size)


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean over seeds, or other independent values, with Student's 95 % t interval.

    Args:
        values: One figure per seed, or one per image, at least two.

    Returns:
        The interval; 95 % of such intervals contain the true mean.

    Raises:
        ValueError: If there are fewer than two values (one run has no spread), or one of them is
            not finite.
    """
    _check_finite("values", values)
    if len(values) < 2:
        raise ValueError(
            f"An interval over seeds needs at least 2 runs, got {len(values)}: "
            "train more seeds, or use wilson_interval for a single run"
        )
    mean = float(np.mean(values))
    standard_error = float(np.std(values, ddof=1)) / sqrt(len(values))
    half = float(special.stdtrit(len(values) - 1, _QUANTILE)) * standard_error
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same test images.

    Attributes:
        only_first: Images that only the first model got right.
        only_second: Images that only the second model got right.
        p_value: Probability of a split at least as uneven if both models were equally good.
    """

    only_first: int
    only_second: int
    p_value: float

    @property
    def better(self) -> str:
        """`first`, `second`, or `neither` when the p-value is 0.05 or more."""
        if self.p_value >= 0.05:
            return "neither"
        return max((self.only_first, "first"), (self.only_second, "second"))[1]


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> PairedTest:
    """Run the exact McNemar test of two models on the same images.

    Images that both get right, or both wrong, say nothing about which model is better; of the
    others each model is expected to win half if both are equally good.

    Args:
        first_right: Whether the first model was right, booleans of shape (N,).
        second_right: The same for the second model, same images in the same order.

    Raises:
        ValueError: If the two differ in length, or hold other values than right and wrong.

    Source:
        Q. McNemar, Psychometrika 12 (1947); the exact binomial form.
    """
    _same_length(first_right, second_right)
    first, second = _right("first_right", first_right), _right("second_right", second_right)
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    discordant = only_first + only_second
    # The exact binomial test: both tails of as many tosses of a fair coin. They overlap at a tie.
    one_tail = float(special.bdtr(min(only_first, only_second), discordant, 0.5))
    return PairedTest(only_first, only_second, min(1.0, 2 * one_tail))


def overfitting_epoch(val_loss: Sequence[float]) -> int | None:
    """Return the epoch (from 1) after which the validation loss only got worse.

    A single epoch is noisy, so the mean over three epochs decides whether the loss rises: its last
    value must be at least 5 % above its lowest. The epoch is the last one at which the loss itself,
    or its mean over the epoch and its two neighbors, is lowest. So no later epoch has a lower loss,
    and the epoch that `ModelCheckpoint` keeps is never a later one.

    Args:
        val_loss: `History.history["val_loss"]`, one value per epoch.

    Returns:
        The epoch; None where the loss does not rise, and where too little was seen to say so: in a
        training of fewer than eight epochs, or with fewer than three epochs after the lowest.

    Raises:
        ValueError: If `val_loss` is empty or holds a value that is not finite.
    """
    if not len(val_loss):
        raise ValueError("val_loss is empty: fit the model with validation_data first")
    _check_finite("val_loss", val_loss)
    if len(val_loss) < _FEWEST_EPOCHS:
        return None
    smoothed = np.convolve(val_loss, np.full(3, 1 / 3), mode="valid")
    # The first mean is that of epochs 1 to 3, around epoch 2.
    epoch = max(int(np.argmin(val_loss)) + 1, int(np.argmin(smoothed)) + 2)
    rises = smoothed[-1] >= _RISE * smoothed.min()
    return epoch if rises and len(val_loss) - epoch >= _FEWEST_AFTER else None


def _check_finite(name: str, values: Sequence[float]) -> None:
    for place, value in enumerate(values, 1):
        if not np.isfinite(value):
            raise ValueError(
                f"{name} holds {value} at position {place}: the training diverged; lower its "
                "learning rate and train again"
            )


def _classes(name: str, values: ArrayLike) -> NDArray[Any]:
    """Refuse probabilities: compared with labels, nearly every one of them would be wrong."""
    classes = np.ravel(values)
    if classes.dtype.kind == "f":
        between = classes[classes != np.round(classes)]
        if between.size:
            raise ValueError(
                f"{name} holds {between[0]:g}, which is not a class: turn probabilities into "
                "classes first, for two classes (p > 0.5).astype(int)"
            )
    return classes


def _right(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    right = np.ravel(values)
    others = right[(right != 0) & (right != 1)]
    if others.size:
        raise ValueError(
            f"{name} holds {others[0]}: pass whether each image was right, predicted == labels"
        )
    return right.astype(bool)


def _same_length(first: ArrayLike, second: ArrayLike) -> None:
    if np.size(first) != np.size(second):
        raise ValueError(
            f"{np.size(first)} values against {np.size(second)}: "
            "both must belong to the same images in the same order"
        )
