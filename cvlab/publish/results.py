"""What a run of the notebooks leaves in its folder: records, findings, machine."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvlab import profiles
from cvlab.course import claims, machine, recorded, statements
from cvlab.course.claims import Finding
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
        return self.findings[claim].measured() if claim in self.findings else "–"

    def ladder(self) -> dict[str, Interval]:
        """The rungs that were measured, from the bottom up."""
        return {
            rung: interval
            for claim, (rung, _) in statements.LADDER.items()
            if (found := self.findings.get(claim)) and (interval := found.interval)
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
        claims.load(profile, records),
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
        "System": found.system,
        "Cores": str(found.cores),
        "Memory": "unknown" if found.memory_gib is None else f"{found.memory_gib:.1f} GiB",
        "Multiplies bfloat16": "yes" if found.bfloat16 else "no",
        "Graphics card": ", ".join(found.gpus or ()) or "none",
        "Python": found.python,
        **{name: version or "not installed" for name, version in found.packages.items()},
        # The command line sets it. Asking Keras would import it.
        "Keras runs on": os.environ.get("KERAS_BACKEND") or "what its settings say",
        "Pretrained base": profiles.get(profile).chosen_base,
    }
    target.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def record(folder: Path, file: Path = recorded.FILE) -> str:
    """Keep a run in which every notebook passed with the package; return its profile.

    Args:
        folder: Folder of the run, for example `build/quick`.
        file: Where recorded runs are kept; those of other profiles stay as they are.

    Raises:
        FileNotFoundError: If no notebook has run there.
        ValueError: If a notebook failed, or a claim was not measured: only whole runs are kept.
    """
    run = load(folder)
    failed = [name for name, found in run.records.items() if found.verdict != "passed"]
    unmeasured = [name for name in statements.CLAIMS if name not in run.findings]
    if failed or unmeasured:
        raise ValueError(
            f"The run in {folder} is not whole"
            + (f"; failed: {', '.join(failed)}" if failed else "")
            + (f"; claims not reached: {', '.join(unmeasured)}" if unmeasured else "")
            + f": run `python -m cvlab lectures --profile {run.profile}` to its end first"
        )
    kept = recorded.content(file)
    kept[run.profile] = {
        "machine": run.facts,
        "seconds": {name: round(found.seconds, 1) for name, found in sorted(run.records.items())},
        "claims": [claims.entry(run.findings[name]) for name in statements.CLAIMS],
    }
    ordered = {name: kept[name] for name in profiles.PROFILES if name in kept}
    file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return run.profile
