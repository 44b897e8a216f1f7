"""Does what the lecture says hold? The lecture's figure, the measured one, and a verdict.

At its end a notebook hands over what it has measured, by the names in `lecture.toml`:

    checked = claims.check(
        "06",
        PROFILE,
        {
            "small-cnn-parameters": at_150.count_params(),  # a number
            "summary-rows": rows[1:] == LECTURE_SUMMARY,  # a fact, true or false
            "baseline-accuracy": predicted == labels,  # right or wrong, image by image
            "baseline-overfits-epoch": overfits_at,
            ...
        },
        histories={"baseline-accuracy": history},  # of what was trained for it
        images=pets.test.file_names,
    )
    checked  # shows the table; tag this cell nbval-ignore-output

and prints the verdicts in the cell after it, which nbval compares:

    print(checked.verdicts())

The findings are also written to JSON, for notebook 14 and for the report. A claim that the profile
cannot decide, because it is about photos, gets the verdict of the course's own run on photos.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cvlab import profiles
from cvlab.course import findings, recorded, statements
from cvlab.course.findings import Finding, History
from cvlab.course.statements import DIFFERS, HOLDS, UNDECIDED, UNDETECTABLE, Claim
from cvlab.course.tables import Shown, html_table
from cvlab.evaluation import measure

# What may be handed over for a claim; see `check`.
Measured = bool | int | float | np.generic | measure.Interval | NDArray[np.bool_] | None

_MARKS: Final = {HOLDS: "✓", DIFFERS: "✗", UNDETECTABLE: "~", UNDECIDED: "–"}


@dataclass(frozen=True)
class Checked(Shown):
    """The claims of one notebook with their verdicts; shows itself as a table.

    Attributes:
        notebook: Number of the notebook.
        profile: Profile it ran with.
        findings: One for each claim, in the order of `lecture.toml`.
    """

    notebook: str
    profile: str
    findings: tuple[Finding, ...]

    def verdicts(self) -> str:
        """Return id and verdict, one claim per line: deterministic, so nbval can compare it."""
        return verdict_lines({finding.id: finding.verdict for finding in self.findings})

    def __str__(self) -> str:
        """Return the table as text."""
        rows = [("the lecture says", "measured", "verdict")]
        rows += [(f.claim.says, evidence(f), f.verdict) for f in self.findings]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {verdict}" for a, b, verdict in rows]
        notes = ["", *(f"\n    today: {f.today}" if f.today else "" for f in self.findings)]
        return "\n".join(line + note for line, note in zip(lines, notes, strict=True))

    def _repr_html_(self) -> str:
        return html_table(
            ("The lecture says", "Measured", "Verdict"),
            (
                (
                    html.escape(f.claim.says)
                    + (f"<br><small>Today: {html.escape(f.today)}</small>" if f.today else ""),
                    html.escape(evidence(f)),
                    f"{_MARKS[f.verdict]} {f.verdict}",
                )
                for f in self.findings
            ),
            caption=f"Claims of notebook {self.notebook}, profile {self.profile}",
            between="\n",
        )


def evidence(finding: Finding) -> str:
    """Return what a verdict rests on as text: what was measured here, or in the recorded run."""
    here = finding.measured()
    if not finding.decided_by:
        return here
    there = recorded.load(finding.decided_by).findings[finding.id].measured()
    return f"{there} on photos (run {finding.decided_by})" + f"; {here} here" * (here != "–")


def expected(claim: Claim) -> str:
    """Return the verdict that the profile `quick` comes to, its own or that of a recorded run."""
    if "quick" in claim.profiles:
        return claim.quick
    _, verdict = _recorded_verdict(claim)
    return verdict


def _recorded_verdict(claim: Claim) -> tuple[str, str]:
    """Return the recorded run that decides a claim, by its name, and its verdict."""
    run, finding = recorded.deciding(claim.id) or ("", None)
    return run, finding.verdict if finding else UNDECIDED


def verdict_lines(verdicts: Mapping[str, str]) -> str:
    """Lay out verdicts by claim id as `Checked.verdicts` does."""
    width = max(map(len, verdicts), default=0)
    return "\n".join(f"{name:<{width}}  {verdict}" for name, verdict in verdicts.items())


def check(
    notebook: str,
    profile: str,
    measured: Mapping[str, Measured],
    *,
    histories: Mapping[str, History] | None = None,
    images: Sequence[str] = (),
) -> Checked:
    """Compare a notebook's measurements with what the lecture says, and keep the findings.

    Args:
        notebook: Number of the notebook, for example `06`.
        profile: Name of the profile it runs with.
        measured: One entry for each claim of this notebook in `lecture.toml`:

            - for a fact, whether the lecture's statement holds (so False for most errata);
            - for a fact about a difference, a `measure.Interval` of the difference that the
              statement expects to be positive: the claim holds if it lies above zero, differs if it
              lies below, and is not detectable here if it includes zero;
            - for a figure, a number; or a `measure.Interval`; or, for an accuracy, an array of
              booleans (N,), right or wrong for each test image in the order of the data set, from
              which the interval is computed and by which notebook 14 compares networks image by
              image;
            - for a figure, False if what it is about did not happen (no epoch of overfitting);
            - None only in a profile that cannot decide the claim.
        histories: What `fit` recorded, for claims about a training; kept with the findings.
        images: File names of the test images; kept with the findings.

    Returns:
        The table. A figure holds if the interval (or the number) and the lecture's range overlap.

    Raises:
        ValueError: If there is no such profile or no claim of that notebook, or a claim of it is
            missing, unknown or measured by a value of the wrong kind; the message names it.
    """
    profiles.get(profile)
    claims = {claim.id: claim for claim in statements.of_notebook(notebook)}
    if not claims:
        numbers = sorted({claim.notebook for claim in statements.CLAIMS.values()})
        raise ValueError(
            f"cvlab/course/lecture.toml lists no claim of a notebook {notebook!r}: name it by its "
            f"number, one of {', '.join(numbers)}"
        )
    histories = histories or {}
    missing = claims.keys() - measured.keys()
    unknown = (measured.keys() | histories.keys()) - claims.keys()
    if missing or unknown:
        raise ValueError(
            f"Notebook {notebook} must measure what cvlab/course/lecture.toml lists for it"
            + (f"; not measured: {', '.join(sorted(missing))}" if missing else "")
            + (f"; not listed: {', '.join(sorted(unknown))}" if unknown else "")
        )
    found = tuple(
        _find(claim, profile, measured[name], histories.get(name, {}))
        for name, claim in claims.items()
    )
    findings.save(notebook, profile, found, images)
    return Checked(notebook, profile, found)


def _find(claim: Claim, profile: str, measured: Measured, history: History) -> Finding:
    parts = _parts(claim, measured)
    if history:
        rounded = {key: [round(value, 4) for value in values] for key, values in history.items()}
        parts["history"] = rounded
    if profile not in claim.profiles:
        run, verdict = _recorded_verdict(claim)
        return Finding(claim.id, verdict, **parts, decided_by=run)
    value = parts.get("value")
    if value is None:
        raise ValueError(
            f"The profile {profile} can decide the claim {claim.id!r}: measure it instead of None, "
            "or take the profile out of the claim's `profiles` in cvlab/course/lecture.toml"
        )
    if isinstance(value, bool):
        return Finding(claim.id, HOLDS if value else DIFFERS, **parts)
    low, high = parts.get("low", value), parts.get("high", value)
    if claim.bounds is not None:
        agrees = low <= claim.bounds[1] and claim.bounds[0] <= high
        return Finding(claim.id, HOLDS if agrees else DIFFERS, **parts)
    return Finding(claim.id, HOLDS if low > 0 else DIFFERS if high < 0 else UNDETECTABLE, **parts)


def _parts(claim: Claim, measured: Measured) -> dict[str, Any]:
    """Convert a measurement to the fields of `Finding`."""
    parts: dict[str, Any] = {}
    if measured is None:
        return parts
    if isinstance(measured, np.ndarray) and measured.ndim:
        if measured.ndim != 1 or measured.dtype != np.bool_:
            raise ValueError(
                f"The claim {claim.id!r} got an array {measured.shape} of {measured.dtype}: pass "
                "booleans of shape (N,), right or wrong for each test image"
            )
        parts["hits"] = findings.as_text(measured)
        measured = measure.wilson_interval(int(measured.sum()), measured.size)
    if isinstance(measured, measure.Interval):
        parts |= {name: float(getattr(measured, name)) for name in ("value", "low", "high")}
    else:
        parts["value"] = np.asarray(measured).item()
    value = parts["value"]
    if not isinstance(value, bool | int | float):
        raise ValueError(
            f"The claim {claim.id!r} got {measured!r}: pass True or False, a number, an Interval "
            "or an array of booleans"
        )
    if claim.bounds is None and not (isinstance(value, bool) or "low" in parts):
        raise ValueError(
            f"The claim {claim.id!r} is a statement without a figure, and got {measured!r}: pass "
            "True if it holds and False if not, the Interval of a difference, or give it a figure "
            "in cvlab/course/lecture.toml"
        )
    if claim.bounds is not None and value is True:
        raise ValueError(
            f"The claim {claim.id!r} is about the figure {claim.figure}: pass the measured one, or "
            "False if there is none"
        )
    return parts
