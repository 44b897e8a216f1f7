"""Calibration against sums by hand, another library's optimizer, and simulated networks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.linear_model import LogisticRegression

from cvlab.evaluation import calibration, measure


def simulated(count: int, seed: int, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a network that is calibrated at the temperature `factor`, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    return factor * logits, (rng.random(count) < special.expit(logits)).astype(int)


def by_hand(probability: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """The expected calibration error, image by image."""
    total = 0.0
    edges = [0.5 + 0.5 * k / bins for k in range(bins + 1)]
    for low, high in pairwise(edges):
        hits, sums, count = 0, 0.0, 0
        for p, truth in zip(probability, labels, strict=True):
            confidence = max(p, 1 - p)
            if low <= confidence < high or (high == 1 and confidence == 1):
                hits += int((p > 0.5) == (truth == 1))
                sums += confidence
                count += 1
        total += abs(hits - sums) / len(labels)
    return total


@settings(max_examples=25)
@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 10**6))
def test_the_error_is_that_of_a_loop_over_images(count: int, bins: int, seed: int) -> None:
    logits, labels = simulated(count, seed, 2.0)
    p = special.expit(logits)
    found = calibration.expected_calibration_error(p, labels, bins)
    assert found.value == pytest.approx(by_hand(p, labels, bins), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    diagram = calibration.reliability(p, labels, bins)
    assert sum(one.count for one in diagram) == count
    gaps = [one.count * abs(one.accuracy.value - one.confidence) for one in diagram]
    assert sum(gaps) / count == pytest.approx(found.value, abs=1e-9)
    assert all(one.low <= one.confidence <= one.high + 1e-12 for one in diagram)


def test_a_bin_has_the_interval_of_its_images() -> None:
    (one,) = calibration.reliability([0.9, 0.9, 0.1, 0.1], [1, 1, 0, 1], bins=1)
    assert one.accuracy == measure.wilson_interval(3, 4)
    assert (one.low, one.high, one.confidence, one.count) == pytest.approx((0.5, 1, 0.9, 4))


def test_certainty_belongs_to_the_last_bin() -> None:
    (one,) = calibration.reliability([1.0, 0.0], [1, 1])
    assert (one.low, one.high) == pytest.approx((0.95, 1.0))
    assert one.accuracy.value == 0.5


def test_the_interval_covers_the_true_error() -> None:
    # Every prediction has confidence 0.9 or 0.7 and is right in 0.8 or 0.65 of cases, so the true
    # error is 0.075. 200 tests of 500 images: 95 % of the intervals cover it, within 3.5 points
    # (two standard errors are 3.1).
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(200):
        high = rng.random(500) < 0.5
        labels = rng.random(500) < np.where(high, 0.8, 0.65)
        p = np.where(high, 0.9, 0.7)
        found = calibration.expected_calibration_error(p, labels.astype(int), seed=seed)
        covered.append(0.075 in found)
    assert 0.9 < np.mean(covered) <= 0.99


def test_a_calibrated_network_lies_in_the_range_by_chance() -> None:
    inside, values, means = [], [], []
    for seed in range(100):
        logits, labels = simulated(400, seed)
        p = special.expit(logits)
        chance = calibration.ece_if_calibrated(p, seed=seed)
        value = calibration.expected_calibration_error(p, labels).value
        inside.append(value in chance)
        values.append(value)
        means.append(chance.value)
    assert 0.88 < np.mean(inside) <= 1
    assert np.mean(values) == pytest.approx(np.mean(means), rel=0.1)
    logits, labels = simulated(2000, 1, 4.0)
    p = special.expit(logits)
    overconfident = calibration.expected_calibration_error(p, labels)
    assert overconfident.low > calibration.ece_if_calibrated(p).high


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_the_temperature_is_found(factor: float) -> None:
    logits, labels = simulated(20_000, 7, factor)
    found = calibration.fit_temperature(logits, labels)
    # A logistic regression on the logits without intercept has 1 / T as its coefficient.
    regression = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-8)
    regression.fit(logits[:, None], labels)
    assert found == pytest.approx(1 / regression.coef_[0, 0], rel=1e-3)
    assert found == pytest.approx(factor, rel=0.05)
    best = calibration.log_loss(logits, labels, found)
    for other in (0.8 * found, 1.25 * found):
        assert calibration.log_loss(logits, labels, other) > best


def test_the_loss_is_the_cross_entropy() -> None:
    logits, labels = simulated(50, 3)
    p = special.expit(logits / 2)
    expected = -np.mean(np.where(labels == 1, np.log(p), np.log(1 - p)))
    assert calibration.log_loss(logits, labels, 2.0) == pytest.approx(expected)
    assert calibration.log_loss([800.0], [0]) == 800  # no overflow


@pytest.mark.parametrize(
    ("logits", "labels"),
    [([1.0, 2.0, -1.0], [1, 1, 0]), ([1.0, 2.0, -1.0], [0, 0, 1])],
    ids=["no error", "all wrong"],
)
def test_no_temperature_fits_where_none_is_best(logits: list[float], labels: list[int]) -> None:
    with pytest.raises(ValueError, match="no temperature fits these 3 predictions"):
        calibration.fit_temperature(logits, labels)


@pytest.mark.parametrize(
    ("probability", "labels", "message"),
    [
        ([0.2, 0.3], [1], "2 predictions for 1 labels"),
        ([], [], "0 predictions"),
        ([0.2], [2], "pass 0 and 1 only"),
        ([2.5], [1], "output of a sigmoid"),
        ([float("nan")], [1], "output of a sigmoid"),
    ],
)
def test_bad_predictions_are_explained(
    probability: list[float], labels: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        calibration.reliability(probability, labels)
    with pytest.raises(ValueError, match=message):
        calibration.expected_calibration_error(probability, labels)


def test_other_bad_arguments_are_explained() -> None:
    with pytest.raises(ValueError, match="bins is 0"):
        calibration.reliability([0.3], [1], bins=0)
    with pytest.raises(ValueError, match="a logit is not finite"):
        calibration.fit_temperature([np.inf, 1.0], [1, 0])
