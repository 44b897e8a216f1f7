"""The course's own run of each profile: seconds, machine and findings, kept in the package.

`make record PROFILE=quick` keeps what `make lectures` has just measured. The times in the first
cells of the notebooks are read from here, and so is what notebook 13 compares where the reader has
not run the notebooks before it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cvlab import profiles
from cvlab.course import statements
from cvlab.course.claims import Finding

FILE: Final = Path(__file__).with_name("recorded.json")


@dataclass(frozen=True)
class Recorded:
    """A whole run of one profile.

    Attributes:
        seconds: Wall time of each notebook by its name, for example `05_baseline`.
        machine: Facts about the machine, as the report shows them.
        findings: What was measured, by claim id.
    """

    seconds: dict[str, float]
    machine: dict[str, str]
    findings: dict[str, Finding]


def load(profile: str, file: Path = FILE) -> Recorded:
    """Read the recorded run of a profile; an empty one if there is none.

    Raises:
        ValueError: If there is no such profile.
    """
    profiles.get(profile)
    kept = content(file).get(profile, {"seconds": {}, "machine": {}, "claims": []})
    findings = [Finding(**entry) for entry in kept["claims"] if entry["id"] in statements.CLAIMS]
    return Recorded(kept["seconds"], kept["machine"], {found.id: found for found in findings})


def content(file: Path = FILE) -> dict[str, Any]:
    """Return the content of the file, by profile; empty if there is none."""
    if not file.exists():
        return {}
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return kept
