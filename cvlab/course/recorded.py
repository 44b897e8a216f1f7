"""The course's own runs: seconds, machine, settings and findings, kept in the package.

`python -m cvlab record` keeps what `python -m cvlab lectures` has just measured, as one file per
run in `runs`. A run is named after its profile, and after its base if that is not the profile's
own. The times in the first cells of the notebooks are read from here; so is what notebook 14
compares where the reader has not run the notebooks before it, and the verdicts that drawn images
cannot decide.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cvlab import profiles
from cvlab.course import statements
from cvlab.course.findings import Finding, History
from cvlab.evaluation.measure import Interval

FOLDER: Final = Path(__file__).with_name("runs")

# The runs on photos whose verdicts count where a profile cannot decide, the lecture's own first.
DECIDING: Final = ("lecture", "laptop")


@dataclass(frozen=True)
class Recorded:
    """A run of one profile.

    Attributes:
        seconds: Wall time of each notebook by its name, for example `06_baseline`.
        machine: Facts about date, machine, versions and base, as the report shows them.
        findings: What was measured, by claim id.
        settings: The profile, as it was: epochs, learning rates, seeds and all other numbers.
        images: File names of the test images, in the order of `Finding.hits`.
    """

    seconds: dict[str, float]
    machine: dict[str, str]
    findings: dict[str, Finding]
    settings: dict[str, Any] = field(default_factory=dict)
    images: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The machine in few words: `2 cores`, `NVIDIA H100`."""
        gpu = self.machine.get("GPU", "none")
        return f"{self.machine.get('Cores', '?')} cores" if gpu == "none" else gpu

    @property
    def base(self) -> str:
        """The pretrained base it used: `VGG16`."""
        return self.machine.get("Pretrained base") or self.settings.get("base", "")


def load(name: str, folder: Path = FOLDER) -> Recorded:
    """Read a recorded run; an empty one if there is none.

    Args:
        name: A profile, and for another base than its own the base behind it: `laptop-VGG16`.
        folder: Where the runs are kept.

    Raises:
        ValueError: If there is no such profile.
    """
    profiles.get(name.partition("-")[0])
    file = folder / f"{name}.json"
    kept: dict[str, Any] = {"seconds": {}, "machine": {}, "claims": []}
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
    findings = [Finding(**entry) for entry in kept["claims"] if entry["id"] in statements.CLAIMS]
    return Recorded(
        kept["seconds"],
        kept["machine"],
        {found.id: found for found in findings},
        kept.get("settings", {}),
        tuple(kept.get("images", ())),
    )


def on_photos(claim: str, folder: Path = FOLDER) -> dict[str, tuple[Recorded, Finding]]:
    """Return the recorded runs on photos that measured a claim, the lecture's own first.

    Args:
        claim: Key of `statements.CLAIMS`.
        folder: Where the runs are kept.

    Returns:
        Run and finding by the name of the run.
    """
    runs = {name: load(name, folder) for name in DECIDING}
    return {name: (run, run.findings[claim]) for name, run in runs.items() if claim in run.findings}


def curves(claim: str, folder: Path = FOLDER) -> dict[str, tuple[History, Interval]]:
    """Return the curves that runs on photos recorded, as `plots.recorded_curves` takes them.

    Args:
        claim: Key of `statements.CLAIMS`, of an accuracy.
        folder: Where the runs are kept.

    Returns:
        Training history and test accuracy of the runs that kept both, by the run's name and
        machine, with the base where one was trained on (from notebook 09 on).
    """
    return {
        f"{name}: {f'{run.base}, ' * (found.claim.notebook > '08')}{run.place}": (
            found.history,
            found.interval,
        )
        for name, (run, found) in on_photos(claim, folder).items()
        if found.history and found.interval
    }


def deciding(claim: str, folder: Path = FOLDER) -> tuple[str, Finding] | None:
    """Return the recorded run that decides a claim, by its name, and what it found; None if none.

    Args:
        claim: Key of `statements.CLAIMS`.
        folder: Where the runs are kept.
    """
    for name, (_, finding) in on_photos(claim, folder).items():
        if name in finding.claim.profiles and not finding.decided_by:
            return name, finding
    return None
