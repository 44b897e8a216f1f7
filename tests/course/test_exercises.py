"""Exercises: solutions pass, stubs and near misses fail, each near miss with its own hint."""

import copy
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cvlab.course import exercises
from cvlab.course.exercises import judging
from cvlab.course.exercises.judging import Exercise, Result, judge

ALL = [pytest.param(number, one, id=number) for number, one in exercises.EXERCISES.items()]
MISTAKES = [
    pytest.param(number, hint, mistaken, id=f"{number}-{k}")
    for number, exercise in exercises.EXERCISES.items()
    for k, (hint, mistaken) in enumerate(exercise.mistakes.items(), 1)
]


@pytest.mark.parametrize(("number", "exercise"), ALL)
def test_the_truth_is_right_and_says_why(number: str, exercise: Exercise) -> None:
    result = exercises.check(number, exercise.truth)
    assert result.right
    assert result.message == exercise.why


@pytest.mark.parametrize(("number", "hint", "mistaken"), MISTAKES)
def test_a_near_miss_gets_the_hint_that_names_it(number: str, hint: str, mistaken: Any) -> None:
    result = exercises.check(number, mistaken)
    assert not result.right
    assert result.message == hint


@pytest.mark.parametrize(("number", "exercise"), ALL)
def test_an_exercise_is_well_formed(number: str, exercise: Exercise) -> None:
    assert re.fullmatch(r"\d\d\.[1-4]", number)
    assert len(exercise.mistakes) >= 2
    for text in (*exercise.mistakes, exercise.why):
        assert text.endswith((".", "?")), text


@pytest.mark.parametrize("number", exercises.EXERCISES)
def test_an_empty_answer_is_told_so(number: str) -> None:
    def stub(*arguments: Any) -> Any:
        raise NotImplementedError("write me")

    assert "Nothing is written here yet" in exercises.check(number, stub).message
    nothing = exercises.check(number, lambda *arguments: None)
    assert not nothing.right
    assert "`return` is missing" in nothing.message


def test_an_unknown_exercise_names_its_neighbors() -> None:
    with pytest.raises(
        ValueError, match=r"no exercise '02\.9' to check; notebook 02 has 02\.1, 02\.2"
    ):
        exercises.check("02.9", lambda: None)


TOY = Exercise(
    truth=lambda values: values**2,
    cases=((np.array([1.0, -2.0, 3.0]),), (np.array([0.5, 0.5, 0.5]),)),
    why="Squares are products.",
    mistakes={
        "Doubled.": lambda values: 2 * values,
        "Twice.": lambda values: np.concatenate([values, values]),
    },
)


def message(answer: Any) -> str:
    result = judge("99.1", TOY, answer)
    assert not result.right
    return result.message


def test_the_message_says_what_is_wrong_and_not_what_is_right() -> None:
    assert message(np.zeros(3)).startswith(
        "The check needs the function itself, and got array (3,)"
    )
    assert message(lambda v: v.sum()).endswith(
        "its shape is (), and (3,) is asked for. It differs in 2 of 2 cases."
    )
    assert "1 of 3 numbers are off" in message(lambda v: np.where(v < 0, 0, v**2))
    assert "It differs in 1 of 2 cases" in message(lambda v: np.where(v < 0, 0, v**2))
    assert "not finite" in message(lambda v: np.where(v < 0, np.inf, v**2))
    assert "it is 'nine', and a number or an array is asked for" in message(lambda v: "nine")
    assert "must be a number" in message(lambda v: v > 0)
    assert message(lambda v: v / "x").startswith("It stops for (array (3,)) with ")
    assert message(lambda: 0).startswith("It stops for (array (3,)) with TypeError: ")


def test_parts_and_tolerance_are_those_of_the_exercise() -> None:
    parts = Exercise(
        truth=lambda x: (x, np.full(4, x)),
        cases=((1000.0,),),
        why="",
        mistakes={},
        tolerance=1e-4,
    )
    assert judge("99.1", parts, lambda x: [x, np.full(4, x + 0.01)]).right
    wrong = judge("99.1", parts, lambda x: [x, np.array([x + 0.01, x, x, 2 * x])]).message
    assert "part 2: 1 of 4 numbers are off" in wrong


def test_an_answer_that_changes_its_input_spoils_nothing() -> None:
    before = copy.deepcopy(TOY.cases)

    def in_place(values: Any) -> Any:
        values *= values
        return values

    assert judge("99.1", TOY, in_place).right
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(before, TOY.cases, strict=True))


def test_what_is_looked_at_may_be_a_property() -> None:
    root = Exercise(
        truth=lambda square: square**0.5,
        cases=((4.0,), (9.0,)),
        why="Either root will do.",
        mistakes={},
        look=lambda answer, square: bool(np.isclose(answer**2, square)),
    )
    assert judge("99.1", root, lambda square: -(square**0.5)).right
    assert not judge("99.1", root, lambda square: square).right


def test_the_result_wraps_its_text() -> None:
    text = repr(Result("05.1", True, "word " * 50))
    assert text.startswith("Exercise 05.1: right. word")
    assert max(map(len, text.splitlines())) <= 88


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(arrays.arrays(np.float64, arrays.array_shapes(max_dims=3), elements=numbers))
def test_arrays_are_the_same_as_themselves_and_not_as_moved_ones(array: Any) -> None:
    assert judging.same(array, array.copy(), 1e-6)
    assert judging.same(array.tolist(), array, 1e-6)
    assert not judging.same(array, array + 1e-3 * (1 + np.abs(array)), 1e-6)
    assert not judging.same(array, array[None], 1e-6)


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (" Later", "later", True),
        ("later", "earlier", False),
        ({"Batch", "weight "}, {"weight", "batch"}, True),
        ({"batch"}, {"batch", "weight"}, False),
        ((1, "a"), (1.0, "A"), True),
        ((1, "a"), (1, "a", 2), False),
        ({"r": 1.0}, {"r": 1}, True),
        ({"r": 1.0}, {"d": 1.0}, False),
        (True, 1, False),
        (True, np.True_, True),
        (None, 0, False),
        ("1", 1, False),
        (3, 3.0, True),
    ],
)
def test_what_counts_as_the_same(first: Any, second: Any, equal: bool) -> None:
    assert judging.same(first, second, 1e-6) is equal
    assert judging.same(second, first, 1e-6) is equal


def test_no_number_is_given_twice() -> None:
    listed = [number for part in exercises._PARTS for number in part.EXERCISES]
    assert len(listed) == len(set(listed))


def test_the_exercises_of_a_notebook_are_counted_from_one() -> None:
    for notebook in {number[:2] for number in exercises.EXERCISES}:
        numbers = [number for number in exercises.EXERCISES if number[:2] == notebook]
        assert numbers == [f"{notebook}.{k}" for k in range(1, len(numbers) + 1)]
