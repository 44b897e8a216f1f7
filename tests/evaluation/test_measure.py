"""Intervals and tests against closed forms, other libraries and their own promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cvlab.evaluation import measure


@given(st.integers(1, 2000), st.data())
def test_wilson_equals_scipy(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, total))
    ours = measure.wilson_interval(correct, total)
    reference = stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert ours.value in ours
    assert 0 <= ours.low <= ours.high <= 1


def test_wilson_by_hand() -> None:
    # 0 of 10: the upper bound is z² / (n + z²).
    z = 1.959963984540054
    assert measure.wilson_interval(0, 10).high == pytest.approx(z**2 / (10 + z**2))


def test_intervals_as_text() -> None:
    interval = measure.Interval(-0.0083, -0.0174, 0.001)
    assert interval.points() == "-0.8 points (-1.7 to 0.1)"
    assert interval.points(2) == "-0.83 points (-1.74 to 0.10)"
    assert measure.Interval(0.717, 0.688, 0.744).percent() == "71.7 % (68.8 to 74.4 %)"


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="not an accuracy"):
        measure.wilson_interval(correct, total)


def test_thousand_test_pictures_give_about_three_points() -> None:
    # Erratum 10: at 71 % an interval over 1,000 images is 2.8 points to either side.
    interval = measure.wilson_interval(710, 1000)
    assert 0.025 < interval.high - interval.value < 0.03


def test_wilson_covers_as_promised() -> None:
    # 4,000 draws of 200 trials at p = 0.9: Wilson's true coverage there is 94.5 to 96 %
    # (computed below, not assumed); the sample must agree within 4 standard errors.
    trials, p, draws = 200, 0.9, 4000
    covers = np.array([p in measure.wilson_interval(k, trials) for k in range(trials + 1)])
    exact = float(covers @ stats.binom.pmf(np.arange(trials + 1), trials, p))
    assert 0.94 < exact < 0.96
    drawn = np.random.default_rng(1).binomial(trials, p, draws)
    assert abs(covers[drawn].mean() - exact) < 4 * np.sqrt(exact * (1 - exact) / draws)


def test_accuracy_counts_columns_and_rows_alike() -> None:
    interval = measure.accuracy(np.array([[1], [0], [1], [1]]), [1, 0, 0, 1])
    assert interval == measure.wilson_interval(3, 4)


def test_accuracy_refuses_other_lengths() -> None:
    with pytest.raises(ValueError, match="3 values against 2"):
        measure.accuracy([1, 0, 1], [1, 0])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_mean_interval_equals_scipy(values: list[float]) -> None:
    ours = measure.mean_interval(values)
    if np.std(values) < 1e-9:
        assert ours.low == pytest.approx(ours.high, abs=1e-6)
        return
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high))


def test_accuracy_takes_classes_and_refuses_probabilities() -> None:
    """Compared with labels, nearly every probability would count as wrong."""
    for labels in (np.array([0, 1, 1]), np.array([False, True, True]), np.array([0.0, 1.0, 1.0])):
        assert measure.accuracy([0, 1, 0], labels) == measure.wilson_interval(2, 3)
    assert measure.accuracy(["cat", "dog"], ["cat", "cat"]) == measure.wilson_interval(1, 2)
    with pytest.raises(ValueError, match=r"predicted holds 0\.3, which is not a class"):
        measure.accuracy([0.3, 0.8], [0, 1])


def test_mean_interval_needs_two_seeds() -> None:
    with pytest.raises(ValueError, match="at least 2 runs, got 1"):
        measure.mean_interval([0.9])


def test_mcnemar_by_hand() -> None:
    # 1 against 9 discordant pictures: p = 2 * (C(10, 0) + C(10, 1)) / 2^10.
    first = [True] * 20 + [True] * 1 + [False] * 9
    second = [True] * 20 + [False] * 1 + [True] * 9
    result = measure.mcnemar(first, second)
    assert (result.only_first, result.only_second) == (1, 9)
    assert result.p_value == pytest.approx(2 * 11 / 1024)
    assert result.better == "second"
    assert measure.mcnemar(second, first).better == "first"


def test_mcnemar_equals_scipy_for_every_split() -> None:
    for total in range(1, 41):
        for wins in range(total + 1):
            first = np.arange(total) < wins
            expected = stats.binomtest(wins, total).pvalue
            assert measure.mcnemar(first, ~first).p_value == pytest.approx(expected, rel=1e-9)


def test_mcnemar_says_neither_for_equal_models() -> None:
    result = measure.mcnemar([True, False], [True, False])
    assert (result.p_value, result.better) == (1.0, "neither")


def test_the_better_model_is_the_one_that_wins_more_images() -> None:
    assert measure.PairedTest(9, 1, 0.049).better == "first"
    assert measure.PairedTest(2, 10, 0.049).better == "second"  # by number, not by first digit
    assert measure.PairedTest(9, 1, 0.05).better == "neither"


def test_mcnemar_false_alarms_stay_below_five_percent() -> None:
    # Two equally good, independent models: the exact test errs in at most 5 % of the cases;
    # 1,000 draws may show 3 standard errors more.
    rng = np.random.default_rng(2)
    right = rng.random((1000, 2, 200)) < 0.8
    alarms = np.mean([measure.mcnemar(a, b).better != "neither" for a, b in right])
    assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_overfitting_epoch_of_a_parabola() -> None:
    loss = [(epoch - 6) ** 2 / 50 + 0.5 for epoch in range(1, 16)]
    assert measure.overfitting_epoch(loss) == 6


def test_overfitting_epoch_is_none_while_the_loss_falls() -> None:
    assert measure.overfitting_epoch([1 / epoch for epoch in range(1, 20)]) is None


def test_overfitting_epoch_is_not_fooled_by_one_lucky_epoch() -> None:
    loss = [(epoch - 10) ** 2 / 100 + 0.5 for epoch in range(1, 21)]
    loss[2] = 0.55
    assert measure.overfitting_epoch(loss) == 10


def test_overfitting_epoch_needs_a_real_rise() -> None:
    assert measure.overfitting_epoch([0.9, 0.8, 0.7, 0.6, 0.5, 0.51, 0.5, 0.51, 0.5]) is None


@pytest.mark.parametrize(
    "loss",
    [
        [0.69, 0.55, 0.60, 0.62, 0.50],  # ends with its lowest value
        [0.69, 0.50, 0.60, 0.70, 0.80, 0.90, 1.00],  # rises, and is one epoch too short
        [0.69, 0.65, 0.60, 0.58, 0.57, 0.56, 0.50, 0.70, 0.90],  # lowest two epochs ago
    ],
)
def test_overfitting_epoch_is_silent_where_little_was_seen(loss: list[float]) -> None:
    assert measure.overfitting_epoch(loss) is None


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=40))
def test_no_later_epoch_is_better_than_the_overfitting_epoch(loss: list[float]) -> None:
    epoch = measure.overfitting_epoch(loss)
    if epoch is not None:
        assert len(loss) >= 8
        assert epoch <= len(loss) - 3
        assert min(loss[:epoch]) == min(loss)


def test_overfitting_epoch_is_not_before_the_lowest_loss() -> None:
    """A recorded training: the mean over three epochs is lowest at 9, the loss at 13."""
    loss = [0.69] * 6 + [0.67, 0.66, 0.63, 0.60, 0.93, 0.69, 0.58, 0.80, 0.66, 0.67, 0.65, 0.76]
    assert measure.overfitting_epoch(loss) == 13


def test_overfitting_epoch_explains_bad_input() -> None:
    with pytest.raises(ValueError, match="empty"):
        measure.overfitting_epoch([])


def test_a_diverged_training_is_named() -> None:
    with pytest.raises(ValueError, match="val_loss holds nan at position 2: the training diverged"):
        measure.overfitting_epoch([0.7, float("nan"), 0.6])


@pytest.mark.parametrize(("end", "epoch"), [(1.049, None), (1.051, 4)])
def test_overfitting_is_a_rise_by_a_twentieth(end: float, epoch: int | None) -> None:
    # Over three epochs the mean is lowest around the fourth, and at the end it is `end`.
    assert measure.overfitting_epoch([3, 2, 1, 1, 1, end, end, end]) == epoch
