"""What the lecture says: its questions, steps, errata, ladder, and every claim that is tested.

The content is in `lecture.toml`, beside this module; the comments there say how to add to it. The
notebooks measure, and `cvlab.course.claims` compares the measurements with what is listed here.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cvlab import profiles

FILE: Final = Path(__file__).with_name("lecture.toml")

HOLDS: Final = "holds"
DIFFERS: Final = "differs"
UNMEASURED: Final = "not measured in this profile"

ALL: Final = tuple(profiles.PROFILES)
# The lecture's accuracies are those of photos; drawn images can neither confirm nor refute them.
PHOTOS: Final = ("laptop", "lecture")


@dataclass(frozen=True)
class Question:
    """One of the lecture's seven questions about convolutional networks.

    Attributes:
        text: The question, as the lecture asks it, with its gaps filled.
        section: Where notebook 01 answers it.
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
        notebook: Number of the notebook that measures it, for example `05`.
        says: The statement, as close to the lecture's words and figures as one line allows.
        step: The lecture's step (key of `STEPS`) it belongs to.
        erratum: The key of `ERRATA`, if the statement does not hold, or does not hold today.
        figure: The lecture's figure: one number, or the lowest and highest that agree with its
            words ("70+ %": 0.70 to 0.80). None if the statement is a fact, true or false.
        percent: Whether `figure` is a share, to be shown in percent.
        today: What is true instead, in a few words without measured numbers; shown where the
            verdict is `differs`.
        profiles: Profiles that can decide the claim. In the others the measurement, if there is
            one, is shown, and the verdict is `UNMEASURED`.
        quick: The verdict that the committed outputs (profile `quick`) show; tests compare. By
            default `HOLDS`, or `UNMEASURED` where `profiles` leaves `quick` out.
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

    def expected(self, profile: str = "quick") -> str:
        """Return the verdict known in advance: of `quick`, or `UNMEASURED` where that is sure."""
        return self.quick if profile in self.profiles else UNMEASURED

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


# The keys of an entry and the types of their values; those of a claim need not all be there.
_FILE: Final = dict.fromkeys(("questions", "steps", "errata", "ladder", "claims"), dict)
_QUESTION: Final = dict.fromkeys(("text", "section", "shown"), str)
_RUNG: Final = {"rung": str, "figure": float}
_CLAIM: Final = {
    "says": str,
    "step": int,
    "erratum": int,
    "figure": int | float | list,
    "percent": bool,
    "today": str,
    "profiles": list,
    "quick": str,
}


def read(file: Path = FILE) -> Lecture:
    """Read what the lecture says, and check it.

    Args:
        file: A file like `lecture.toml`.

    Raises:
        ValueError: If the file is not TOML, or an entry has an unknown key, lacks one, or has a
            value that makes no sense; the message names the file, the entry and the remedy.
    """
    try:
        content = _checked("the file", tomllib.loads(file.read_text("utf-8")), _FILE)
        steps, errata = _numbered(content["steps"]), _numbered(content["errata"])
        claims: dict[str, Claim] = {}
        for notebook, entries in content["claims"].items():
            for name, entry in entries.items():
                where = f"[claims.{notebook}.{name}]"
                _require(name not in claims, f"{where} is the second of its name: rename it")
                claims[name] = _claim(where, entry, steps, errata, id=name, notebook=notebook)
        ladder: dict[str, tuple[str, float]] = {}
        for name, entry in content["ladder"].items():
            where = f"{name} in [ladder]"
            _require(name in claims, f"{where} is not a claim: use the name of one")
            rung = _checked(where, entry, _RUNG)
            ladder[name] = (rung["rung"], rung["figure"])
        questions = {
            number: Question(**_checked(f"[questions.{number}]", entry, _QUESTION))
            for number, entry in _numbered(content["questions"]).items()
        }
    except ValueError as error:  # tomllib's are of this kind
        raise ValueError(f"{file} does not say what the lecture says: {error}") from error
    return Lecture(questions, steps, errata, ladder, claims)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _numbered(entries: dict[str, Any]) -> dict[int, Any]:
    """Turn TOML's keys, which are text, into numbers."""
    for key in entries:
        _require(key.isdecimal(), f"{key!r} must be a number, as the keys beside it")
    return {int(key): entry for key, entry in entries.items()}


def _checked(
    where: str, entry: dict[str, Any], types: Mapping[str, Any], *, needed: Collection[str] = ()
) -> dict[str, Any]:
    """Return the entry, if it has the keys of `types`, or at least those `needed`."""
    for key in entry.keys() - types.keys():
        _require(False, f"{where} has an unknown key {key!r}: use {', '.join(types)}")
    for key in needed or types:
        _require(key in entry, f"{where} has no {key!r}: add it")
    for key, value in entry.items():
        wanted = getattr(types[key], "__name__", str(types[key]))
        _require(isinstance(value, types[key]), f"{where}: {key} = {value!r} must be {wanted}")
    return entry


def _claim(
    where: str, entry: dict[str, Any], steps: dict[int, str], errata: dict[int, str], **names: str
) -> Claim:
    given = dict(_checked(where, entry, _CLAIM, needed=("says", "step")))
    for key, known in (("step", steps), ("erratum", errata)):
        _require(
            key not in given or given[key] in known,
            f"{where}: there is no {key} {given.get(key)}: list it above, or use another number",
        )
    quick = given.get("quick", HOLDS)
    _require(
        quick in (HOLDS, DIFFERS),
        f"{where}: quick = {quick!r} is not a verdict: write {HOLDS!r} or {DIFFERS!r}",
    )
    given["profiles"] = tuple(given.get("profiles", ALL))
    _require(
        set(given["profiles"]) <= set(ALL),
        f"{where}: profiles = {list(given['profiles'])} must be some of {', '.join(ALL)}",
    )
    if isinstance(figure := given.get("figure"), list):
        numbers = [number for number in figure if isinstance(number, int | float)]
        _require(
            len(numbers) == len(figure) == 2 and numbers == sorted(numbers),
            f"{where}: figure = {figure} must be one number, or the lowest and the highest",
        )
        given["figure"] = tuple(figure)
    return Claim(**given, **names)


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
        notebook: Its number, for example `05`.
    """
    return [claim for claim in CLAIMS.values() if claim.notebook == notebook]
