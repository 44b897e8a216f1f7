"""What a notebook has measured for the lecture's claims, and the JSON files that keep it.

`cvlab.course.claims` makes the findings, notebook 14 and the report read them, and a whole run of
them is kept with the package (`cvlab.course.recorded`).
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvlab.cache import cache_root
from cvlab.course import statements
from cvlab.course.statements import DIFFERS, Claim
from cvlab.evaluation import measure

# The runner sets it to the folder of the run whose notebook it executes.
FOLDER_VARIABLE: Final = "CVLAB_RECORDS"

# What `fit` recorded: one value per epoch in each list.
History = dict[str, list[float]]


def as_text(right: ArrayLike) -> str:
    """Write whether each image was right, shape (N,), as a record keeps it: "1" and "0"."""
    return "".join("1" if one else "0" for one in np.asarray(right))


def from_text(hits: str) -> NDArray[np.bool_]:
    """Read what `as_text` wrote, shape (N,)."""
    return np.array([one == "1" for one in hits], bool)


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim, and the verdict.

    Attributes:
        id: Key of `statements.CLAIMS`.
        verdict: `HOLDS`, `DIFFERS`, `UNDETECTABLE` or `UNDECIDED` of `cvlab.course.statements`.
        value: True or false for a fact, else the measured number; None if there is none.
        low: Lower bound of the 95 % interval, where there is one.
        high: Its upper bound.
        hits: For an accuracy measured image by image, which were right, "1" and "0" in order.
        history: For a network that was trained, what `fit` recorded per epoch.
        decided_by: Name of the recorded run that the verdict is from, if this profile cannot decide
            the claim; else empty.
    """

    id: str
    verdict: str
    value: bool | int | float | None = None
    low: float | None = None
    high: float | None = None
    hits: str = ""
    history: History = field(default_factory=dict)
    decided_by: str = ""

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
        return from_text(self.hits) if self.hits else None

    def measured(self) -> str:
        """Return the measurement as text: `79.7 % (77.1 to 82.1 %)`, `3,453,121`, `not so`."""
        value, percent = self.value, self.claim.percent
        if value is None:
            return "–"
        if isinstance(value, bool):
            return "as stated" if value else "not so"
        if self.interval is not None:
            return self._measured_interval(self.interval)
        if percent:
            return f"{100 * value:.1f} %"
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

    def _measured_interval(self, interval: measure.Interval) -> str:
        if self.claim.percent:
            return interval.percent()
        if self.claim.bounds is None:  # of a difference
            return interval.points()
        return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def folder(profile: str) -> Path:
    """Return the folder of a profile's findings: the runner's, else one in the cache."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else cache_root() / "records" / profile


def file_of(records: Path, notebook: str) -> Path:
    """Return the path of one notebook's findings in a folder of records."""
    return records / f"{notebook}.claims.json"


def entry(finding: Finding) -> dict[str, Any]:
    """Return a finding as it is kept in JSON, without empty fields."""
    return {key: value for key, value in asdict(finding).items() if value not in (None, "", {})}


def save(
    notebook: str, profile: str, findings: Sequence[Finding], images: Sequence[str] = ()
) -> None:
    """Keep the findings of one notebook, and the file names of its test images."""
    target = file_of(folder(profile), notebook)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "notebook": notebook,
        "profile": profile,
        "claims": [entry(finding) for finding in findings],
        "images": list(images),
    }
    # Written to a draft and moved: notebook 14 never reads half a file.
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
    found, _ = _read(profile, records or folder(profile))
    return found


def test_images(profile: str, records: Path) -> tuple[str, ...]:
    """Return the file names of the test images that `Finding.hits` is about, in order.

    Raises:
        ValueError: If a file of findings is damaged, or two notebooks tested on other images.
    """
    _, lists = _read(profile, records)
    if len(lists) > 1:
        raise ValueError(
            f"The notebooks of the run in {records.parent} were tested on different images: "
            "run all of them again with the same photos"
        )
    return next(iter(lists), ())


def _read(profile: str, records: Path) -> tuple[dict[str, Finding], set[tuple[str, ...]]]:
    findings: dict[str, Finding] = {}
    lists = set()
    for file in sorted(records.glob("*.claims.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            kept = [Finding(**found) for found in content["claims"]]
            of_profile = content["profile"] == profile
            images = tuple(content.get("images", ()))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{file} does not hold findings ({error!r}): delete it and run notebook "
                f"{file.name[:2]} again"
            ) from error
        if of_profile:
            # A record of an older version may know claims that no longer exist.
            findings |= {found.id: found for found in kept if found.id in statements.CLAIMS}
            lists |= {images} - {()}
    return findings, lists
