"""How the notebooks of a run ended: what `cvlab.publish.execution` leaves beside each of them.

Nothing here needs a library, so that reading a record costs no start-up.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """How the execution of one notebook ended.

    Attributes:
        notebook: File name without its suffix, for example `06_baseline`.
        profile: Profile it ran with.
        seconds: Wall time, start of the kernel included.
        verdict: `passed` or `failed`.
        cell: Number of the failing cell, counted from 1 over all cells; 0 if none failed, or if
            the kernel died and it is not known in which.
        error: The failing cell's first line and its exception, why the kernel died, or an empty
            string.
        finished: When the run ended, UTC, for example `2026-01-31 17:05`.
        inputs: Key of what its outputs depend on (`cvlab.publish.inputs`), or an empty string.
    """

    notebook: str
    profile: str
    seconds: float
    verdict: str
    cell: int = 0
    error: str = ""
    finished: str = ""
    inputs: str = ""

    @staticmethod
    def path(folder: Path, notebook: str) -> Path:
        """Where the record of `notebook` lies in a run's folder."""
        return folder / "records" / f"{notebook}.json"

    def save(self, folder: Path) -> None:
        """Write the record as JSON, all or nothing."""
        target = self.path(folder, self.notebook)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        partial.replace(target)

    @classmethod
    def load(cls, folder: Path, notebook: str) -> "Record | None":
        """Read a record back; None if the notebook has not run, or was interrupted."""
        try:
            return cls(**json.loads(cls.path(folder, notebook).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None  # a file that is no record is as good as none

    @classmethod
    def current(cls, folder: Path, notebook: str, inputs: str) -> "Record | None":
        """Return the record of a notebook that has passed with these inputs; None if it has not."""
        record = cls.load(folder, notebook)
        done = record is not None and record.verdict == "passed" and record.inputs == inputs
        return record if done and (folder / f"{notebook}.ipynb").exists() else None


def table(folder: Path, notebooks: Sequence[str]) -> tuple[str, list[str]]:
    """The closing table of a run: notebook, seconds, verdict.

    Args:
        folder: Folder of the run, for example `build/quick`.
        notebooks: Names of the notebooks that should have run.

    Returns:
        The table as text, and one line for each notebook that did not pass.
    """
    width = max((len(name) for name in notebooks), default=8)
    lines = [f"{'notebook':<{width}}  seconds  verdict"]
    problems = []
    total = 0.0
    for name in notebooks:
        record = Record.load(folder, name)
        if record is None:
            lines.append(f"{name:<{width}}  {'-':>7}  not run")
            problems.append(f"{name}: not run to its end; run the same command again to resume")
            continue
        total += record.seconds
        lines.append(f"{name:<{width}}  {record.seconds:7.1f}  {record.verdict}")
        if record.verdict != "passed":
            where = f"cell {record.cell} failed" if record.cell else "failed"
            problems.append(
                f"{name}: {where}: {record.error}\n    see {folder / (name + '.failed.ipynb')}"
            )
    lines.append(f"{'total':<{width}}  {total:7.1f}")
    return "\n".join(lines), problems
