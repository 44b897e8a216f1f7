"""Exercises that tell whether an answer is right, and why.

In a notebook an exercise is three cells:

1. Markdown that starts with its number, `1. **Title.** What to do.`
2. Code with the tag `solution`: exactly one function, with type hints and a docstring that says
   what goes in and what comes out, and nothing else but imports. It uses its arguments and the
   notebook's imports only. `make student` keeps its signature and docstring and replaces the body
   by `raise NotImplementedError`.
3. Code that checks it: `exercises.check("06.1", parameters)`.

The right answers and the known mistakes are listed in one module for each part of the course,
`cvlab.course.exercises.start` and its siblings; `judging.Exercise` says how to write an entry.
"""

from typing import Final

from cvlab.course.exercises import basics, features, physics, scratch, start, today, transfer, trust
from cvlab.course.exercises.judging import Answer, Exercise, Result, judge

_PARTS: Final = (start, basics, scratch, features, transfer, today, trust, physics)
EXERCISES: Final[dict[str, Exercise]] = {
    number: exercise for part in _PARTS for number, exercise in part.EXERCISES.items()
}


def check(number: str, answer: Answer) -> Result:
    """Return whether an answer to an exercise is right, and why.

    Args:
        number: Notebook and exercise, for example `06.1`.
        answer: The function you wrote, without calling it.

    Raises:
        ValueError: If there is no such exercise.
    """
    if number not in EXERCISES:
        of_notebook = [known for known in EXERCISES if known[:2] == number[:2]]
        raise ValueError(
            f"There is no exercise {number!r} to check"
            + (f"; notebook {number[:2]} has {', '.join(of_notebook)}" if of_notebook else "")
        )
    return judge(number, EXERCISES[number], answer)
