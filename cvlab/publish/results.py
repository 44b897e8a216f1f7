"""What a run of the notebooks leaves in its folder: records, findings, machine."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

from cvlab import profiles
from cvlab.course import claims, findings, machine, recorded, statements
from cvlab.course.findings import Finding
from cvlab.evaluation.measure import Interval
from cvlab.publish.outcomes import Record

NOT_RUN: Final = "not run"


@dataclass(frozen=True)
class Run:
    """What a run left behind.

    Attributes:
        folder: Its folder, for example `build/quick`.
        profile: Its profile.
        records: How each notebook ended, by its name; notebooks that did not run are left out.
        findings: What was measured, by claim id.
        facts: The machine, what Keras ran on and the pretrained base, one fact by its name.
    """

    folder: Path
    profile: str
    records: dict[str, Record]
    findings: dict[str, Finding]
    facts: dict[str, str]

    @property
    def seconds(self) -> float:
        """Wall time of all notebooks together, as if they had run one after the other."""
        return sum(record.seconds for record in self.records.values())

    def verdict(self, claim: str) -> str:
        """The verdict on a claim, `NOT_RUN` if its notebook did not get that far."""
        return self.findings[claim].verdict if claim in self.findings else NOT_RUN

    def measured(self, claim: str) -> str:
        """The measurement for a claim as text."""
        return claims.evidence(self.findings[claim]) if claim in self.findings else "–"

    def ladder(self) -> dict[str, Interval]:
        """The rungs that were measured, from the bottom up."""
        return ladder_of(self.findings)


def ladder_of(found: Mapping[str, Finding]) -> dict[str, Interval]:
    """The accuracy of each rung among findings by claim id, from the bottom up."""
    return {
        rung: interval
        for claim, (rung, _) in statements.LADDER.items()
        if claim in found and (interval := found[claim].interval)
    }


def load(folder: Path) -> Run:
    """Read a run back from its folder.

    Raises:
        FileNotFoundError: If no notebook has run there.
        ValueError: If a file of findings is damaged. A damaged record counts as not run.
    """
    records = folder / "records"
    names = [file.stem for file in sorted(records.glob("[0-9][0-9]_*.json"))]
    found = {name: record for name in names if (record := Record.load(folder, name))}
    if not found:
        raise FileNotFoundError(
            f"No notebook has run in {folder}: start with "
            f"`python -m cvlab lectures --profile {folder.name}`"
        )
    profile = next(iter(found.values())).profile
    facts = records / "machine.json"
    return Run(
        folder,
        profile,
        found,
        findings.load(profile, records),
        json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {},
    )


def note_machine(folder: Path, profile: str) -> None:
    """Record on which machine, backend and base a run was made, unless nothing ran since.

    Args:
        folder: The run's folder, with at least one record.
        profile: The run's profile.
    """
    records = folder / "records"
    target = records / "machine.json"
    newest = max(file.stat().st_mtime for file in records.glob("*.json") if file != target)
    if target.exists() and target.stat().st_mtime >= newest:
        return
    # Asking Keras takes seconds; without a driver there is no GPU that it could name.
    found = machine.check(gpu=shutil.which("nvidia-smi") is not None)
    facts = {
        "Date": date.today().isoformat(),
        "System": found.system,
        "Cores": str(found.cores),
        "Memory": "unknown" if found.memory_gib is None else f"{found.memory_gib:.1f} GiB",
        "Multiplies bfloat16": "yes" if found.bfloat16 else "no",
        "GPU": ", ".join(found.gpus or ()) or "none",
        "Python": found.python,
        **{name: version or "not installed" for name, version in found.packages.items()},
        # The command line sets it. Asking Keras would import it.
        "Keras runs on": os.environ.get("KERAS_BACKEND") or "what its settings say",
        "Pretrained base": profiles.get(profile).chosen_base,
    }
    target.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def record(folder: Path, target: Path = recorded.FOLDER) -> Path:
    """Keep a run in which every notebook passed with the package.

    Long runs are made in pieces, so notebooks may be missing; the record lacks their claims.

    Args:
        folder: Folder of the run, for example `build/quick`.
        target: Where recorded runs are kept; the others stay as they are.

    Returns:
        The file of the run.

    Raises:
        FileNotFoundError: If no notebook has run there.
        ValueError: If a notebook failed, or notebooks were tested on different images.
    """
    run = load(folder)
    failed = [name for name, found in run.records.items() if found.verdict != "passed"]
    if failed:
        raise ValueError(
            f"Notebooks of the run in {folder} failed: {', '.join(failed)}. Run `python -m cvlab "
            f"lectures --profile {run.profile}` to its end first"
        )
    profile = profiles.get(run.profile)
    # The command line notes the base; another one than the profile's own is another run.
    base = run.facts.get("Pretrained base", profile.base)
    name = run.profile if base == profile.base else f"{run.profile}-{base}"
    content = {
        "machine": run.facts,
        "settings": asdict(profile),
        "seconds": {name: round(found.seconds, 1) for name, found in sorted(run.records.items())},
        "claims": [
            findings.entry(run.findings[name]) for name in statements.CLAIMS if name in run.findings
        ],
        "images": findings.test_images(run.profile, folder / "records"),
    }
    file = target / f"{name}.json"
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
