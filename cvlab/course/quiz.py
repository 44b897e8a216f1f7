"""The lecture's seven questions about convolutional networks, and a place for your answers.

`answer(2, "Yes, because ...")` writes an answer to a small JSON file in the cache folder;
`answers()` reads them all back, in this notebook, in another one, or next week. Notebook 14 asks
again (`again=True`), and `compare()` shows both answers beside what the course has shown. The
questions are listed in `lecture.toml`.
"""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvlab.cache import cache_root, locked
from cvlab.course import statements
from cvlab.course.tables import Shown, html_table

QUESTIONS: Final = statements.QUESTIONS
PLACEHOLDER: Final = "..."
_MISSING: Final = "(no answer yet)"


def path(*, again: bool = False) -> Path:
    """Return the path of the answers: `quiz.json` in the folder `cache_root()`.

    Args:
        again: Whether to return the path of the second answers, `quiz-again.json`.
    """
    return cache_root() / ("quiz-again.json" if again else "quiz.json")


def answer(number: int, text: str, *, again: bool = False) -> None:
    """Keep your answer to a question; a new answer replaces the old one.

    Blank answers and the placeholder `...` are not kept, so running a cell that you have not
    filled in yet does no harm.

    Args:
        number: 1 to 7.
        text: Your answer, in your own words.
        again: Whether this is a second answer; the first one stays as it is.

    Raises:
        ValueError: If there is no such question, or the file of earlier answers is damaged.
        TypeError: If the answer is not text.
    """
    if number not in QUESTIONS:
        raise ValueError(f"There is no question {number}: they are numbered 1 to {len(QUESTIONS)}")
    if not isinstance(text, str):
        raise TypeError(f"The answer to question {number} is {text!r}: write it as text, in quotes")
    text = text.strip()
    if text in ("", PLACEHOLDER):
        return
    file = path(again=again)
    # Two notebooks that answer at the same time must not lose each other's answers.
    with locked(file):
        kept = answers(again=again) | {number: text}
        # Written to a draft and moved: an interruption leaves the old answers whole.
        draft = file.with_name(f"{file.name}.draft")
        text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(file)


def answers(*, again: bool = False) -> dict[int, str]:
    """Return your answers so far, by the number of the question.

    Args:
        again: Whether to return the second answers instead of the first.

    Raises:
        ValueError: If the file is damaged; the message says where it is.
    """
    file = path(again=again)
    if not file.exists():
        return {}
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {int(number): str(text) for number, text in sorted(kept.items())}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{file} does not hold quiz answers ({error}): delete it and answer again"
        ) from error


def sheet() -> str:
    """Return the seven questions as text, each with your answer, if you have given one."""
    kept = answers()
    return "\n\n".join(
        f"{number}. {question.text}\n   {kept.get(number, _MISSING)}"
        for number, question in QUESTIONS.items()
    )


@dataclass(frozen=True)
class Comparison(Shown):
    """Both answers to each question, with what the course has shown, as a table.

    Attributes:
        first: Answers before the course, by the number of the question.
        again: Answers after it.
    """

    first: Mapping[int, str]
    again: Mapping[int, str]

    def __str__(self) -> str:
        """Return the comparison as text, question by question."""
        return "\n\n".join(
            f"{number}. {question.text}\n"
            f"   at first: {self.first.get(number, _MISSING)}\n"
            f"   now:      {self.again.get(number, _MISSING)}\n"
            f"   shown:    {question.shown} (02, {question.section})"
            for number, question in QUESTIONS.items()
        )

    def _repr_html_(self) -> str:
        return html_table(
            ("Question", "You, at first", "You, now", "Shown in the course"),
            (
                (
                    f"{number}. {html.escape(question.text)}",
                    html.escape(self.first.get(number, _MISSING)),
                    html.escape(self.again.get(number, _MISSING)),
                    f"{html.escape(question.shown)} (02, {question.section})",
                )
                for number, question in QUESTIONS.items()
            ),
        )


def compare() -> Comparison:
    """Return your first and second answers with what the course has shown."""
    return Comparison(answers(), answers(again=True))
