"""The trainings of exercises 01.2 and 06.2: each shows the signs by which it can be told."""

import math

import numpy as np
import pytest

from cvlab.course.exercises import broken


@pytest.fixture(scope="module")
def trainings() -> dict[str, broken.Curves]:
    return broken.trainings()


@pytest.fixture(scope="module")
def poor() -> dict[str, broken.Curves]:
    return broken.poor()


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
    assert abs(a["loss"][0] - chance) < 0.1
    assert b["loss"][-1] < chance < b["val_loss"][-1]
    assert b["val_accuracy"][-1] < 0.2
    assert chance < b["loss"][0] < 1.5 * chance
    assert c["loss"][0] > 3 * chance > math.log(9 + math.e), "the highest loss of two softmaxes"
    assert d["loss"][0] > d["loss"][-1] > 0.8 * chance
    assert d["val_accuracy"][-1] > d["val_accuracy"][0]


@pytest.mark.parametrize("fault", sorted(set(broken.CAUSES) - set(broken.causes().values())))
def test_the_causes_that_are_not_shown_look_different(fault: str) -> None:
    curves = broken._train(3, fault=fault)
    assert curves["accuracy"][-1] < 0.2
    if fault == "all weights start at zero":
        assert curves["loss"][0] == pytest.approx(math.log(10))


def test_the_poor_curves_show_what_the_hints_say(poor: dict[str, broken.Curves]) -> None:
    a, b, c, d = poor.values()
    falls = {letter: np.diff(curves["loss"]) for letter, curves in poor.items()}
    assert max(falls["A"].max(), falls["B"].max(), falls["D"].max()) < 0.05 < falls["C"].max()
    assert a["accuracy"][-1] < 0.8 and a["accuracy"][-1] - a["val_accuracy"][-1] < 0.1
    assert b["accuracy"][-1] == 1 and b["val_accuracy"][-1] < 0.8
    assert max(c["accuracy"][-1], c["val_accuracy"][-1]) < 0.2
    assert abs(c["val_loss"][-1] - math.log(10)) < 0.1
    assert d["val_loss"][-1] < d["val_loss"][-4] < d["val_loss"][-8]
    assert abs(d["loss"][-1] - d["val_loss"][-1]) < 0.1


@pytest.mark.parametrize("letter", broken.needed())
def test_the_right_remedy_helps_most(letter: str) -> None:
    reached = {
        remedy: broken._remedied(letter, remedy)["val_accuracy"][-1] for remedy in broken.REMEDIES
    }
    best, second, *_ = sorted(reached, key=reached.__getitem__, reverse=True)
    assert best == broken.needed()[letter]
    assert reached[best] > reached[second] + 0.02


def test_a_remedy_changes_one_training_and_must_be_known(poor: dict[str, broken.Curves]) -> None:
    changed = broken.poor(A="more hidden units")
    assert changed["A"] != poor["A"]
    assert {**changed, "A": 0} == {**poor, "A": 0}
    for wrong in ({"E": "train longer"}, {"A": "pray"}):
        with pytest.raises(ValueError, match="is not known: the letters are A, B, C, D, the remed"):
            broken.poor(**wrong)
