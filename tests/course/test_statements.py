"""lecture.toml: read once, quickly, and refused with a message that names the entry."""

import time
from pathlib import Path

import pytest

from cvlab.course import quiz, statements

WHOLE = """
steps.1 = "LeNet"
errata.2 = "Not so"
ladder.first = { rung = "from scratch", figure = 0.7 }

[questions.1]
text = "Why?"
section = "section 1"
shown = "Because."

[claims.05.first]
says = "70+ %"
step = 1
erratum = 2
figure = [0.7, 0.8]
percent = true
profiles = ["laptop", "lecture"]

[claims.14.second]
says = "It is so"
step = 1
quick = "differs"
today = "it is not so"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lecture.toml").write_text(WHOLE, encoding="utf-8")
    return tmp_path / "lecture.toml"


def test_a_claim_is_as_it_is_written(file: Path) -> None:
    lecture = statements.read(file)
    assert lecture.steps == {1: "LeNet"}
    assert lecture.errata == {2: "Not so"}
    assert lecture.ladder == {"first": ("from scratch", 0.7)}
    assert lecture.questions == {1: statements.Question("Why?", "section 1", "Because.")}
    first, second = lecture.claims.values()
    assert (first.id, first.notebook, first.bounds) == ("first", "05", (0.7, 0.8))
    assert first.profiles == ("laptop", "lecture")
    assert (second.id, second.notebook, second.bounds) == ("second", "14", None)
    assert second.quick == statements.DIFFERS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("percent = true", "precent = true", r"\[claims.05.first\] got .* 'precent'; its keys are"),
        ("step = 1\nquick", "quick", r"\[claims.14.second\] missing .* 'step'"),
        (
            "step = 1\nquick",
            "step = 3\nquick",
            r"second\] has step = 3: write a number in \[steps\]",
        ),
        ("erratum = 2", "erratum = 5", r"has erratum = 5: write a number in \[errata\]"),
        ('"differs"', '"differ"', "has quick = 'differ': write holds or differs"),
        ('"laptop", ', '"desktop", ', "has profiles = .*: write a list of quick or laptop or"),
        ("[0.7, 0.8]", "[0.8, 0.7]", r"has figure = \(0.8, 0.7\): write a number, or the lowest"),
        ("[0.7, 0.8]", "[0.7]", r"has figure = \(0.7,\): write a number"),
        ("[0.7, 0.8]", '"70+ %"', "has figure = '70. %': write a number"),
        ('says = "It is so"', "says = 7", "has says = 7: write text"),
        ("claims.14.second", "claims.14.first", r"first\] has the name of another claim"),
        ("ladder.first", "ladder.firts", r"firts in \[ladder\] is not a claim"),
        ("rung = ", "name = ", r"first in \[ladder\] got .* 'name'; its keys are"),
        ("steps.1", "steps.one", r"one in \[steps\] must be a number"),
        ("[questions.1]", "[question.1]", r"\[question\] is not a part"),
        ('shown = "Because."', "", r"\[questions.1\] missing .* 'shown'"),
        ("step = 1\n", "step = \n", r"lecture.toml cannot be used: .*line 13"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    file: Path, old: str, new: str, message: str
) -> None:
    assert old in WHOLE
    file.write_text(WHOLE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        statements.read(file)


def test_reading_takes_no_time() -> None:
    """Every notebook does it: the fastest of three, so that a busy machine does not count."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        statements.read()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.02


def test_the_quiz_asks_the_lectures_questions() -> None:
    assert quiz.QUESTIONS is statements.QUESTIONS
