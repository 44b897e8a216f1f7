"""What the lecture says: its questions, steps, errata, ladder, and every claim that is tested.

The content is in `lecture.toml`, beside this module; the comments there say how to add to it. The
notebooks measure, and `cvlab.course.claims` compares the measurements with what is listed here.
"""

import inspect
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from cvlab import profiles

T = TypeVar("T")

FILE: Final = Path(__file__).with_name("lecture.toml")

HOLDS: Final = "holds"
DIFFERS: Final = "differs"
# A difference whose interval includes zero: it may be there, and these images cannot show it.
UNDETECTABLE: Final = "not detectable here"
# Only while a run is missing that could decide; a test makes sure that none is.
UNDECIDED: Final = "not decided"

ALL: Final = tuple(profiles.PROFILES)


@dataclass(frozen=True)
class Question:
    """One of the lecture's seven questions about convolutional networks.

    Attributes:
        text: The question, as the lecture asks it, with its gaps filled.
        section: Where notebook 02 answers it.
        shown: The answer that it finds there, in a sentence.
    """

    text: str
    section: str
    shown: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of the lecture that a notebook tests.

    Attributes:
        id: Short name, the same everywhere: in the notebook, in records and in the report.
        notebook: Number of the notebook that measures it, for example `06`.
        says: The statement, as close to the lecture's words and figures as one line allows.
        step: The lecture's step (key of `STEPS`) it belongs to.
        erratum: The key of `ERRATA`, if the statement does not hold, or does not hold today.
        figure: The lecture's figure: one number, or the lowest and highest that agree with its
            words ("70+ %": 0.70 to 0.80). None if the statement is a fact, true or false.
        percent: Whether `figure` is a share, to be shown in percent.
        today: What is true instead, in a few words without measured numbers; shown where the
            verdict is `differs`.
        profiles: Profiles that can decide the claim. In the others the measurement, if there is
            one, is shown, and the verdict is that of a recorded run.
        quick: The verdict that the profile `quick` comes to, where it can decide; tests compare.
    """

    id: str
    notebook: str
    says: str
    step: int
    erratum: int | None = None
    figure: float | tuple[float, float] | None = None
    percent: bool = False
    today: str = ""
    profiles: tuple[str, ...] = ALL
    quick: str = HOLDS

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The lowest and the highest figure that agree with the lecture; None for a fact."""
        if self.figure is None or isinstance(self.figure, tuple):
            return self.figure
        return (self.figure, self.figure)


@dataclass(frozen=True)
class Lecture:
    """The content of `lecture.toml`; the attributes are the constants of this module."""

    questions: dict[int, Question]
    steps: dict[int, str]
    errata: dict[int, str]
    ladder: dict[str, tuple[str, float]]
    claims: dict[str, Claim]


def read(file: Path = FILE) -> Lecture:
    """Read what the lecture says, and check it.

    Args:
        file: A file like `lecture.toml`.

    Raises:
        ValueError: If the file is not TOML, or an entry has an unknown key, lacks one, or has a
            value that makes no sense; the message names the file, the entry and what is wrong.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        unknown = content.keys() - {field.name for field in fields(Lecture)}
        _require(not unknown, f"[{'], ['.join(sorted(unknown))}] is not a part of it")
        steps, errata, questions = (
            _numbered(content, part) for part in ("steps", "errata", "questions")
        )
        claims: dict[str, Claim] = {}
        for notebook, entries in content.get("claims", {}).items():
            for name, entry in entries.items():
                where = f"[claims.{notebook}.{name}]"
                _require(name not in claims, f"{where} has the name of another claim: rename it")
                claim = _made(Claim, where, entry, id=name, notebook=notebook)
                _check(where, claim, steps, errata)
                claims[name] = claim
        ladder: dict[str, tuple[str, float]] = {}
        for name, entry in content.get("ladder", {}).items():
            _require(name in claims, f"{name} in [ladder] is not a claim: use the name of one")
            ladder[name] = _made(_rung, f"{name} in [ladder]", entry)
        asked = {n: _made(Question, f"[questions.{n}]", one) for n, one in questions.items()}
    except ValueError as error:  # tomllib's errors are ValueErrors too
        raise ValueError(f"{file} cannot be used: {error}") from error
    return Lecture(asked, steps, errata, ladder, claims)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _numbered(content: dict[str, Any], part: str) -> dict[int, Any]:
    """Return one part of the file, with numbers in place of TOML's keys, which are text."""
    entries = content.get(part, {})
    for key in entries:
        _require(key.isdecimal(), f"{key} in [{part}] must be a number")
    return {int(key): entry for key, entry in entries.items()}


def _rung(*, rung: str, figure: float) -> tuple[str, float]:
    return rung, figure


def _made(make: Callable[..., T], where: str, entry: dict[str, Any], **names: str) -> T:
    """Call `make` with an entry; it refuses keys that it does not know, and asks for the others."""
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    try:
        return make(**entry | lists, **names)
    except TypeError as error:
        known = ", ".join(key for key in inspect.signature(make).parameters if key not in names)
        reason = str(error).partition(" ")[2]
        raise ValueError(f"{where} {reason}; its keys are {known}") from error


def _check(where: str, claim: Claim, steps: dict[int, str], errata: dict[int, str]) -> None:
    """Refuse a claim with a value that makes no sense."""
    bounds = claim.bounds or (0, 0)
    figures = len(bounds) == 2 and all(isinstance(figure, int | float) for figure in bounds)
    verdicts = (HOLDS, DIFFERS, UNDETECTABLE)
    profile, verdict = " or ".join(ALL), " or ".join(verdicts)
    for key, holds, wanted in (
        ("says", isinstance(claim.says, str), "text"),
        ("step", claim.step in steps, "a number in [steps]"),
        ("erratum", claim.erratum is None or claim.erratum in errata, "a number in [errata]"),
        ("figure", figures and bounds[0] <= bounds[1], "a number, or the lowest and the highest"),
        ("percent", isinstance(claim.percent, bool), "true or false"),
        ("today", isinstance(claim.today, str), "text"),
        ("profiles", set(claim.profiles) <= set(ALL), f"a list of {profile}"),
        ("quick", claim.quick in verdicts, verdict),
    ):
        _require(holds, f"{where} has {key} = {getattr(claim, key)!r}: write {wanted}")


_LECTURE: Final = read()
QUESTIONS: Final = _LECTURE.questions
STEPS: Final = _LECTURE.steps
ERRATA: Final = _LECTURE.errata
# The claim that measures each rung, from the bottom up: the rung's name and the lecture's figure.
LADDER: Final = _LECTURE.ladder
CLAIMS: Final = _LECTURE.claims


def of_notebook(notebook: str) -> list[Claim]:
    """Return the claims that a notebook measures, in the order in which they are listed.

    Args:
        notebook: Its number, for example `06`.
    """
    return [claim for claim in CLAIMS.values() if claim.notebook == notebook]
