"""Does what the lecture says hold? The lecture's figure, the measured one, and a verdict.

At its end a notebook hands over what it has measured, by the names in `lecture.toml`:

    checked = claims.check(
        "05",
        PROFILE,
        {
            "small-cnn-parameters": at_150.count_params(),  # a number
            "summary-rows": rows[1:] == LECTURE_SUMMARY,  # a fact, true or false
            "baseline-accuracy": predicted == labels,  # right or wrong, image by image
            "baseline-overfits-epoch": overfits_at,
            ...
        },
    )
    checked  # shows the table; tag this cell nbval-ignore-output

and prints the verdicts in the cell after it, which nbval compares:

    print(checked.verdicts())

The findings are also written to JSON, for notebook 13 and for the report.
"""

import html
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cvlab import profiles
from cvlab.cache import cache_root
from cvlab.course import statements
from cvlab.course.statements import DIFFERS, HOLDS, UNMEASURED, Claim
from cvlab.course.tables import Shown, html_table
from cvlab.evaluation import measure

# The runner sets it to the folder of the run whose notebook it executes.
FOLDER_VARIABLE: Final = "CVLAB_RECORDS"

# What may be handed over for a claim; see `check`.
Measured = bool | int | float | np.generic | measure.Interval | NDArray[np.bool_] | None

_MARKS: Final = {HOLDS: "✓", DIFFERS: "✗", UNMEASURED: "–"}


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim, and the verdict.

    Attributes:
        id: Key of `statements.CLAIMS`.
        verdict: `HOLDS`, `DIFFERS` or `UNMEASURED` of `cvlab.course.statements`.
        value: True or false for a fact, else the measured number; None if there is none.
        low: Lower bound of the 95 % interval, where there is one.
        high: Its upper bound.
        hits: For an accuracy measured image by image, which were right, "1" and "0" in order.
    """

    id: str
    verdict: str
    value: bool | int | float | None = None
    low: float | None = None
    high: float | None = None
    hits: str = ""

    @property
    def claim(self) -> Claim:
        """The lecture's side of it."""
        return statements.CLAIMS[self.id]

    @property
    def today(self) -> str:
        """What is true instead of the statement, if the measurement differs; else empty."""
        return self.claim.today if self.verdict == DIFFERS else ""

    @property
    def interval(self) -> measure.Interval | None:
        """The measured figure with its bounds; None for a fact or a bare number."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return measure.Interval(float(self.value), self.low, self.high)

    @property
    def right(self) -> NDArray[np.bool_] | None:
        """Whether each test image was right, shape (N,); None if that was not kept."""
        return np.array(list(self.hits)) == "1" if self.hits else None

    def measured(self) -> str:
        """Return the measurement as text: `79.7 % (77.1 to 82.1 %)`, `3,453,121`, `not so`."""
        value, interval, percent = self.value, self.interval, self.claim.percent
        if value is None:
            return "–"
        if isinstance(value, bool):
            text = "as stated" if value else "not so"
        elif interval is not None and percent:
            text = interval.percent()
        elif interval is not None:
            text = f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
        elif percent:
            text = f"{100 * value:.1f} %"
        else:
            text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        return text + " with this profile's pictures and base" * (self.verdict == UNMEASURED)


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
        rows += [(f.claim.says, f.measured(), f.verdict) for f in self.findings]
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
                    html.escape(f.measured()),
                    f"{_MARKS[f.verdict]} {f.verdict}",
                )
                for f in self.findings
            ),
            caption=f"Claims of notebook {self.notebook}, profile {self.profile}",
            between="\n",
        )


def verdict_lines(verdicts: Mapping[str, str]) -> str:
    """Lay out verdicts by claim id as `Checked.verdicts` does."""
    width = max(map(len, verdicts), default=0)
    return "\n".join(f"{name:<{width}}  {verdict}" for name, verdict in verdicts.items())


def check(notebook: str, profile: str, measured: Mapping[str, Measured]) -> Checked:
    """Compare a notebook's measurements with what the lecture says, and keep the findings.

    Args:
        notebook: Number of the notebook, for example `05`.
        profile: Name of the profile it runs with.
        measured: One entry for each claim of this notebook in `lecture.toml`:

            - for a fact, whether the lecture's statement holds (so False for most errata);
            - for a figure, a number; or a `measure.Interval`; or, for an accuracy, an array of
              booleans (N,), right or wrong for each test image in the order of the data set, from
              which the interval is computed and by which notebook 13 compares networks image by
              image;
            - for a figure, False if what it is about did not happen (no epoch of overfitting);
            - None only in a profile that cannot decide the claim.

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
    missing, unknown = claims.keys() - measured.keys(), measured.keys() - claims.keys()
    if missing or unknown:
        raise ValueError(
            f"Notebook {notebook} must measure what cvlab/course/lecture.toml lists for it"
            + (f"; not measured: {', '.join(sorted(missing))}" if missing else "")
            + (f"; not listed: {', '.join(sorted(unknown))}" if unknown else "")
        )
    findings = tuple(_find(claim, profile, measured[name]) for name, claim in claims.items())
    checked = Checked(notebook, profile, findings)
    _save(checked)
    return checked


def _find(claim: Claim, profile: str, measured: Measured) -> Finding:
    parts = _parts(claim, measured)
    if profile not in claim.profiles:
        return Finding(claim.id, UNMEASURED, **parts)
    value = parts.get("value")
    if value is None:
        raise ValueError(
            f"The profile {profile} can decide the claim {claim.id!r}: measure it instead of None, "
            "or take the profile out of the claim's `profiles` in cvlab/course/lecture.toml"
        )
    if claim.bounds is None or isinstance(value, bool):
        return Finding(claim.id, HOLDS if value else DIFFERS, **parts)
    low, high = parts.get("low", value), parts.get("high", value)
    agrees = low <= claim.bounds[1] and claim.bounds[0] <= high
    return Finding(claim.id, HOLDS if agrees else DIFFERS, **parts)


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
        parts["hits"] = "".join("1" if right else "0" for right in measured)
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
    if claim.bounds is None and not isinstance(value, bool):
        raise ValueError(
            f"The claim {claim.id!r} is a statement without a figure, and got {measured!r}: pass "
            "True if it holds and False if not, or give it a figure in cvlab/course/lecture.toml"
        )
    if claim.bounds is not None and value is True:
        raise ValueError(
            f"The claim {claim.id!r} is about the figure {claim.figure}: pass the measured one, or "
            "False if there is none"
        )
    return parts


def folder(profile: str) -> Path:
    """Return the folder of a profile's findings: the runner's, else one in the cache."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else cache_root() / "records" / profile


def file_of(records: Path, notebook: str) -> Path:
    """Return the path of one notebook's findings in a folder of records."""
    return records / f"{notebook}.claims.json"


def entry(finding: Finding) -> dict[str, Any]:
    """Return a finding as it is kept in JSON, without empty fields."""
    return {key: value for key, value in asdict(finding).items() if value not in (None, "")}


def _save(checked: Checked) -> None:
    target = file_of(folder(checked.profile), checked.notebook)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "notebook": checked.notebook,
        "profile": checked.profile,
        "claims": [entry(finding) for finding in checked.findings],
    }
    # Written to a draft and moved: notebook 13 never reads half a file.
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(target)


def load(profile: str, records: Path | None = None) -> dict[str, Finding]:
    """Return the findings kept so far, by claim id.

    Args:
        profile: Only findings of this profile are returned.
        records: Folder to read; by default `folder(profile)`.

    Raises:
        ValueError: If a file of findings is damaged; the message names it.
    """
    findings: dict[str, Finding] = {}
    for file in sorted((records or folder(profile)).glob("*.claims.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            kept = [Finding(**found) for found in content["claims"]]
            of_profile = content["profile"] == profile
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{file} does not hold findings ({error!r}): delete it and run notebook "
                f"{file.name[:2]} again"
            ) from error
        if of_profile:
            # A record of an older version may know claims that no longer exist.
            findings |= {found.id: found for found in kept if found.id in statements.CLAIMS}
    return findings
