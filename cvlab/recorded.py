"""The course's own run of each profile: seconds, machine and findings, kept in the package.

`make record PROFILE=quick` takes over what `make lectures` has just measured. From here come the
times in the notebooks' first cells, and what notebook 13 compares where the reader has not run the
notebooks before it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cvlab import claims, lecture, profiles, report
from cvlab.claims import Finding

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
    kept = _content(file).get(profile, {"seconds": {}, "machine": {}, "claims": []})
    findings = [Finding(**entry) for entry in kept["claims"] if entry["id"] in lecture.CLAIMS]
    return Recorded(kept["seconds"], kept["machine"], {found.id: found for found in findings})


def _content(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def record(folder: Path, file: Path = FILE) -> str:
    """Take over a run in which every notebook passed; returns its profile.

    Args:
        folder: Folder of the run, for example `build/quick`.
        file: Where recorded runs are kept; those of other profiles stay as they are.

    Raises:
        FileNotFoundError: If no notebook has run there.
        ValueError: If a notebook failed, or a claim was not measured: only whole runs are kept.
    """
    run = report.load(folder)
    failed = [name for name, found in run.records.items() if found.verdict != "passed"]
    unmeasured = [name for name in lecture.CLAIMS if name not in run.findings]
    if failed or unmeasured:
        raise ValueError(
            f"The run in {folder} is not whole"
            + (f"; failed: {', '.join(failed)}" if failed else "")
            + (f"; claims not reached: {', '.join(unmeasured)}" if unmeasured else "")
            + f": run `make lectures PROFILE={run.profile}` to its end first"
        )
    content = _content(file)
    content[run.profile] = {
        "machine": run.facts,
        "seconds": {name: round(found.seconds, 1) for name, found in sorted(run.records.items())},
        "claims": [claims.entry(run.findings[name]) for name in lecture.CLAIMS],
    }
    ordered = {name: content[name] for name in profiles.PROFILES if name in content}
    file.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return run.profile


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m cvlab.recorded`; returns the exit status."""
    parser = argparse.ArgumentParser(prog="cvlab.recorded", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a run, for example build/quick")
    options = parser.parse_args(arguments)
    try:
        profile = record(options.folder)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"recorded the run of {profile} in {FILE.name}; `make contents` puts its times in place")
    return 0


if __name__ == "__main__":
    sys.exit(main())
