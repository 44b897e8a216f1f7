"""The broken trainings of exercise 01.2: each shows the signs by which it can be told."""

import math

import pytest

from cvlab.course.exercises import broken


@pytest.fixture(scope="module")
def trainings() -> dict[str, broken.Curves]:
    return broken.trainings()


def test_each_training_has_a_cause_of_its_own(trainings: dict[str, broken.Curves]) -> None:
    causes = broken.causes()
    assert list(causes) == list(trainings)
    assert len(set(causes.values())) == len(causes)
    assert set(causes.values()) <= set(broken.CAUSES)


def test_the_curves_show_what_the_hints_say(trainings: dict[str, broken.Curves]) -> None:
    chance = math.log(10)
    a, b, c, d = trainings.values()
    assert a["val_accuracy"][-1] > 0.9
    assert a["loss"][-1] > math.log(1 + 9 / math.e), "the lowest loss of two softmax functions"
    assert b["loss"][-1] < chance < b["val_loss"][-1]
    assert b["val_accuracy"][-1] < 0.2
    assert c["loss"][0] > 3 * chance
    assert d["loss"][0] > d["loss"][-1] > 0.8 * chance
    assert d["val_accuracy"][-1] > d["val_accuracy"][0]


@pytest.mark.parametrize("fault", sorted(set(broken.CAUSES) - set(broken.causes().values())))
def test_the_causes_that_are_not_shown_look_different(fault: str) -> None:
    curves = broken._train(fault, epochs=3)
    assert curves["accuracy"][-1] < 0.2
    if fault == "all weights start at zero":
        assert curves["loss"][0] == pytest.approx(math.log(10))
