"""How an answer to an exercise is judged: right or wrong and why, without showing the answer.

An exercise asks for a function. `judge` runs the reader's function and the exercise's own on the
same inputs. If they differ, it compares the reader's function with the known wrong ones, and if one
of them returns the same, it shows the hint for that mistake.

The exercises are listed in `cvlab.course.exercises.start` and its siblings; `Exercise` says how to
write one.
"""

import copy
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Answer = Callable[..., Any]
Array = NDArray[Any]

# Text is wrapped to the width of a notebook's output.
_WIDTH: Final = 88


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise that can be checked.

    Attributes:
        truth: A function that returns right answers, best found in another way than the
            notebook's solution: by a library, by brute force, by finite differences. Import Keras
            inside it, if at all.
        cases: Inputs on which the answers are compared, one tuple of arguments each. On them the
            truth must differ from every mistake, and the mistakes from each other; tests compare.
        why: Why the right answer is right, shown to those who found it.
        mistakes: Functions that make a mistake readers are known to make, by the hint for it: what
            went wrong, in a sentence or two that name the mistake, not the answer.
        tolerance: Relative and absolute difference up to which numbers count as equal.
        look: What of an answer is compared, if it is not the answer itself: a function of the
            answer and the arguments. For exercises with many right answers.
    """

    truth: Answer
    cases: Sequence[tuple[Any, ...]]
    why: str
    mistakes: Mapping[str, Answer]
    tolerance: float = 1e-6
    look: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Result:
    """The judgment of one answer; its `repr` is a line or two of text.

    Attributes:
        number: Number of the exercise.
        right: Whether the answer is right.
        message: Why.
    """

    number: str
    right: bool
    message: str

    def __repr__(self) -> str:
        """Return the judgment in words, wrapped."""
        verdict = "right" if self.right else "not yet"
        return textwrap.fill(f"Exercise {self.number}: {verdict}. {self.message}", _WIDTH)


class _WrongError(Exception):
    """The answer is not right; the message says why."""


def judge(number: str, exercise: Exercise, answer: Answer) -> Result:
    """Run a reader's function on the exercise's inputs; return whether it is right, and why.

    Args:
        number: Number of the exercise.
        exercise: The exercise.
        answer: The reader's function. What it raises becomes part of the message.
    """
    try:
        _compare(exercise, answer)
    except _WrongError as wrong:
        return Result(number, False, str(wrong))
    return Result(number, True, exercise.why)


def _compare(exercise: Exercise, answer: Answer) -> None:
    """Raise `_WrongError` unless an answer returns on every case what is right."""
    if not callable(answer):
        raise _WrongError(
            f"The check needs the function itself, and got {_describe(answer)}: write its name "
            "without parentheses."
        )
    expected = [_run(exercise, exercise.truth, case) for case in exercise.cases]
    given = [_attempt(exercise, answer, case) for case in exercise.cases]
    triples = zip(given, expected, exercise.cases, strict=True)
    differing = [one for one in triples if not same(one[0], one[1], exercise.tolerance)]
    if not differing:
        return
    for hint, mistaken in exercise.mistakes.items():
        known = [_run(exercise, mistaken, case) for case in exercise.cases]
        if same(given, known, exercise.tolerance):
            raise _WrongError(hint)
    first_given, first_expected, case = differing[0]
    reason = _difference(first_given, first_expected, exercise.tolerance)
    count = len(exercise.cases)
    several = f" It differs in {len(differing)} of {count} cases." if count > 1 else ""
    raise _WrongError(f"What it returns{_where(case)} is not right: {reason}.{several}")


def _run(exercise: Exercise, function: Answer, case: tuple[Any, ...]) -> Any:
    """Call a function with copies of its arguments, so that it cannot change the next one's."""
    output = function(*copy.deepcopy(case))
    if exercise.look is None or output is None:
        return output
    return exercise.look(output, *copy.deepcopy(case))


def _attempt(exercise: Exercise, answer: Answer, case: tuple[Any, ...]) -> Any:
    try:
        return _run(exercise, answer, case)
    except NotImplementedError as error:
        raise _WrongError(
            "Nothing is written here yet: replace the line that raises NotImplementedError by "
            "your own code, run that cell, then this one again."
        ) from error
    except Exception as error:  # the reader's own error, so it is shown
        raise _WrongError(f"It stops{_where(case)} with {type(error).__name__}: {error}") from error


def same(first: Any, second: Any, tolerance: float) -> bool:
    """Return whether two answers are equal: numbers within `tolerance`, all else exactly.

    Shapes must agree, and True is not 1. Text may differ in case and in blanks at its ends.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(
            same(first[key], second[key], tolerance) for key in first
        )
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(
            same(a, b, tolerance) for a, b in zip(first, second, strict=True)
        )
    a, b = _array(first), _array(second)
    if a is None or b is None:
        return type(first) is type(second) and bool(_plain(first) == _plain(second))
    return (
        a.shape == b.shape
        and (a.dtype == np.bool_) == (b.dtype == np.bool_)
        and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
    )


def _plain(value: Any) -> Any:
    """Return text, alone or in a set, in lower case and without blanks at its ends."""
    if isinstance(value, set | frozenset):
        return {_plain(item) for item in value}
    return value.strip().lower() if isinstance(value, str) else value


def _array(value: Any) -> Any:
    """Return the value as an array of numbers, None if it is something else."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "biufc" else None


def _difference(given: Any, expected: Any, tolerance: float) -> str:
    """Return how a wrong answer differs from the right one, without showing the right one."""
    if given is None:
        return "it returns nothing, so a `return` is missing"
    if isinstance(expected, tuple | list) and isinstance(given, tuple | list):
        if len(given) != len(expected):
            return f"it has {len(given)} parts, and {len(expected)} are asked for"
        pairs = zip(given, expected, strict=True)
        number, pair = next(
            (n, pair) for n, pair in enumerate(pairs, 1) if not same(*pair, tolerance)
        )
        return f"part {number}: {_difference(*pair, tolerance)}"
    a, b = _array(given), _array(expected)
    if a is not None and b is not None:
        return _difference_of_numbers(a, b, tolerance)
    if type(given) is not type(expected):
        return f"it is {_describe(given)}, and {_kind(expected)} is asked for"
    return f"{_describe(given)} is not the right choice"


def _kind(expected: Any) -> str:
    """Return which kind of answer is asked for."""
    if isinstance(expected, tuple | list):
        return f"a tuple of {len(expected)} parts"
    if isinstance(expected, str):
        return "a text"
    return "another kind of answer" if _array(expected) is None else "a number or an array"


def _difference_of_numbers(a: Any, b: Any, tolerance: float) -> str:
    if a.shape != b.shape:
        return f"its shape is {a.shape}, and {b.shape} is asked for"
    if (a.dtype == np.bool_) != (b.dtype == np.bool_):
        return f"it must be {'true or false' if b.dtype == np.bool_ else 'a number'}"
    if np.all(np.isfinite(b)) and not np.all(np.isfinite(a)):
        return "there are numbers in it that are not finite"
    if a.size != 1:
        off = np.sum(~np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))
        return f"{off} of {a.size} numbers are off"
    if b.dtype == np.bool_:
        return "true and false are mixed up"
    return "the number is too large" if a.item() > b.item() else "the number is too small"


def _where(case: tuple[Any, ...]) -> str:
    return f" for ({', '.join(map(_describe, case))})" if case else ""


def _describe(value: Any) -> str:
    """Return a value in few words: an array by its shape, anything else as Python writes it."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array {value.shape}"
    if callable(value):
        return "a function"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{type(value).__name__} of {len(text)} characters"
