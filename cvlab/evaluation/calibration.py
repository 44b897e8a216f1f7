"""Calibration: whether the confidence of a two-class network agrees with its accuracy.

Of the predictions with confidence 0.9, nine in ten should be right. The functions take arrays of
probabilities or logits and do not need Keras.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from cvlab.evaluation.measure import Interval, wilson_interval

BINS: Final = 10
_DRAWS: Final = 1000
# Bounds of the temperature that is looked for, as natural logarithms.
_COLDEST, _HOTTEST = -4.0, 4.0


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in one bin of a reliability diagram.

    Attributes:
        low: Lower bound of the confidence.
        high: Upper bound of the confidence.
        confidence: Mean confidence of its predictions.
        accuracy: Share of them that is right, with Wilson's interval.
        count: Number of them, at least 1.
    """

    low: float
    high: float
    confidence: float
    accuracy: Interval
    count: int


def reliability(probability: ArrayLike, labels: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Sort predictions into bins of equal width by their confidence, from 0.5 to 1.

    The confidence is the probability of the predicted class, so it is never below 0.5.

    Args:
        probability: Predicted probabilities of class 1, shape (N,) or (N, 1).
        labels: 0 or 1, shape (N,).
        bins: Number of bins.

    Returns:
        The bins that are not empty, by increasing confidence.

    Raises:
        ValueError: If the lengths differ, there are no predictions, a probability is not between 0
            and 1, a label is not 0 or 1, or `bins` is not positive.
    """
    confidence, right, place = _binned(probability, labels, bins)
    edges = np.linspace(0.5, 1, bins + 1)
    found = []
    for number in range(bins):
        inside = place == number
        if count := int(inside.sum()):
            accuracy = wilson_interval(int(right[inside].sum()), count)
            mean = float(confidence[inside].mean())
            low, high = float(edges[number]), float(edges[number + 1])
            found.append(Bin(low, high, mean, accuracy, count))
    return found


def expected_calibration_error(
    probability: ArrayLike, labels: ArrayLike, bins: int = BINS, *, seed: int = 0
) -> Interval:
    """Return the expected calibration error (ECE) with a 95 % bootstrap interval over images.

    The ECE is the mean over images of the distance between accuracy and confidence in their bin.
    Chance alone makes this distance positive, so the estimate is too high on average, and so are
    those of the bootstrap. The basic bootstrap interval, which reflects their quantiles at the
    estimate, corrects for it. Compare with `ece_if_calibrated`.

    Args:
        probability: As for `reliability`.
        labels: As for `reliability`.
        bins: As for `reliability`.
        seed: Of the bootstrap.

    Returns:
        The error as a share, from 0 to 1.

    Raises:
        ValueError: As `reliability`.

    Source:
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
        ICML 2017; for the interval A. C. Davison, D. V. Hinkley, "Bootstrap Methods and their
        Application" (1997), section 2.4.
    """
    confidence, right, place = _binned(probability, labels, bins)
    count = len(place)
    member = place[:, None] == np.arange(bins)
    gaps = member * (right - confidence)[:, None] / count
    value = float(np.abs(gaps.sum(axis=0)).sum())
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    low, high = np.quantile(np.abs(times @ gaps).sum(axis=1), (0.025, 0.975))
    return Interval(value, max(0.0, 2 * value - float(high)), max(value, 2 * value - float(low)))


def ece_if_calibrated(probability: ArrayLike, bins: int = BINS, *, seed: int = 0) -> Interval:
    """Return the expected calibration error that a perfectly calibrated network would show.

    It has the given probabilities, and its labels are sampled with exactly these probabilities. An
    error inside this range is no evidence of bad calibration.

    Args:
        probability: As for `reliability`.
        bins: As for `reliability`.
        seed: Of the sampled labels.

    Returns:
        Mean, and the range of 95 % of the samples.

    Raises:
        ValueError: As `reliability`.

    Source:
        J. Bröcker, L. A. Smith, "Increasing the Reliability of Reliability Diagrams", Weather and
        Forecasting 22 (2007).
    """
    confidence, _, place = _binned(probability, np.zeros(np.size(probability)), bins)
    member = (place[:, None] == np.arange(bins)) / len(place)
    sampled = np.random.default_rng(seed).random((_DRAWS, len(place))) < confidence
    errors = np.abs((sampled - confidence) @ member).sum(axis=1)
    low, high = np.quantile(errors, (0.025, 0.975))
    return Interval(float(errors.mean()), float(low), float(high))


def log_loss(logits: ArrayLike, labels: ArrayLike, temperature: float = 1.0) -> float:
    """Return the mean binary cross-entropy of logits that are divided by a temperature.

    Args:
        logits: Of class 1, shape (N,) or (N, 1).
        labels: 0 or 1, shape (N,).
        temperature: More than 0.

    Raises:
        ValueError: If the lengths differ, a logit is not finite or a label is not 0 or 1.
    """
    z, sign = _logits(logits, labels)
    return float(np.logaddexp(0, -sign * z / temperature).mean())


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature with the lowest cross-entropy; more than 1 means overconfident.

    Fit it on validation images: on training images the network is nearly always right, and no
    confidence seems too high.

    Args:
        logits: Of class 1, shape (N,) or (N, 1).
        labels: 0 or 1, shape (N,).

    Returns:
        T. The calibrated probability is the sigmoid of logit / T; no prediction changes.

    Raises:
        ValueError: As `log_loss`, and if there is no best temperature: with no error at all the
            loss falls as T goes to 0, at chance level as it grows.

    Source:
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
        ICML 2017, section 4.2.
    """
    z, sign = _logits(logits, labels)

    def loss(logarithm: float) -> float:
        return float(np.logaddexp(0, -sign * z / np.exp(logarithm)).mean())

    found = optimize.minimize_scalar(loss, bounds=(_COLDEST, _HOTTEST), method="bounded")
    if not _COLDEST + 0.01 < found.x < _HOTTEST - 0.01:
        errors = int((sign * z <= 0).sum())
        raise ValueError(
            f"no temperature fits these {len(z)} predictions, of which {errors} are wrong: pass "
            "validation images, more of them if there is no error, and logits of class 1"
        )
    return float(np.exp(found.x))


def _logits(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Return logits and, for each, +1 for class 1 and -1 for class 0."""
    z = np.ravel(logits).astype(float)
    if not np.isfinite(z).all():
        raise ValueError(
            "a logit is not finite, so a probability was exactly 0 or 1: pass the output before "
            "the sigmoid"
        )
    return z, np.where(_labels(labels, len(z)) == 1, 1, -1)


def _labels(labels: ArrayLike, count: int) -> NDArray[np.int_]:
    truth = np.ravel(labels)
    if truth.size != count or not count:
        raise ValueError(f"{count} predictions for {truth.size} labels: pass one of each per image")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError(f"labels hold {np.unique(truth)[:5]}: pass 0 and 1 only")
    return truth.astype(int)


def _binned(
    probability: ArrayLike, labels: ArrayLike, bins: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int_]]:
    """Return for each prediction its confidence, whether it is right, and its bin from 0."""
    p = np.ravel(probability).astype(float)
    truth = _labels(labels, len(p))
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"probabilities from {p.min():g} to {p.max():g}: pass the output of a sigmoid, not "
            "logits"
        )
    if bins < 1:
        raise ValueError(f"bins is {bins}: pass at least 1")
    confidence = np.maximum(p, 1 - p)
    place = np.minimum((2 * (confidence - 0.5) * bins).astype(int), bins - 1)
    return confidence, (p > 0.5) == (truth == 1), place
