"""The lecture's seven questions about convolutional networks, and a place for your answers.

`answer(2, "Yes, because ...")` writes an answer to a small JSON file in the cache folder;
`answers()` reads them all back, in this notebook, in another one, or next week.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cvlab import storage

PLACEHOLDER = "..."


@dataclass(frozen=True)
class Question:
    """One of the seven.

    Attributes:
        text: The question, as the lecture asks it, with its gaps filled.
        section: Where notebook 01 answers it.
    """

    text: str
    section: str


QUESTIONS: dict[int, Question] = {
    1: Question("How many feature maps are there in a layer?", "section 4"),
    2: Question("Does a CNN have backprop?", "section 6"),
    3: Question("Is the backprop also a convolution?", "section 6"),
    4: Question("Why even bother adding a pooling layer?", "section 5"),
    5: Question("What is the difference between a kernel and a filter?", "section 4"),
    6: Question(
        "How do you define the shape of a filter, say for a whisker of a cat, the tail of a horse "
        "or the leg of a cow?",
        "section 7",
    ),
    7: Question(
        "What is a filter, and how do you tell which filters, and how many, to use in a CNN?",
        "sections 4, 7 and 8",
    ),
}


def path() -> Path:
    """The file that keeps the answers: `quiz.json` in the folder `storage.cache_root()`."""
    return storage.cache_root() / "quiz.json"


def answer(number: int, text: str) -> None:
    """Keep your answer to a question; a new answer replaces the old one.

    Blank answers and the placeholder `...` are not kept, so running a cell that you have not
    filled in yet does no harm.

    Args:
        number: 1 to 7.
        text: Your answer, in your own words.

    Raises:
        ValueError: If there is no such question, or the file of earlier answers is damaged.
    """
    if number not in QUESTIONS:
        raise ValueError(f"There is no question {number}: they are numbered 1 to {len(QUESTIONS)}")
    text = text.strip()
    if text in ("", PLACEHOLDER):
        return
    kept = answers() | {number: text}
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and moved into place: an interruption leaves the old answers whole.
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(
        json.dumps({str(n): kept[n] for n in sorted(kept)}, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    draft.replace(file)


def answers() -> dict[int, str]:
    """Your answers so far, by the number of the question; empty if there are none.

    Raises:
        ValueError: If the file is damaged; the message says where it lies.
    """
    file = path()
    if not file.exists():
        return {}
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {int(number): str(text) for number, text in sorted(kept.items())}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{file} does not hold quiz answers any more ({error}): delete it and answer again"
        ) from error


def sheet() -> str:
    """The seven questions, each with your answer or a blank line, as text."""
    kept = answers()
    return "\n\n".join(
        f"{number}. {question.text}\n   {kept.get(number, '(no answer yet)')}"
        for number, question in QUESTIONS.items()
    )
