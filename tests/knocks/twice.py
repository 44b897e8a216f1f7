"""Does `make lectures` find the same when it runs twice on one machine?

Runs it two times, two notebooks at a time, each time with an empty cache, and compares what the
runs left: every record but for its seconds and its date, and every text output that nbval compares.
What has no seed shows up here, and so does a result that depends on which thread came first.

    python -m tests.knocks.twice [--profile quick]

`tests/publish/test_execution.py` runs it over two small notebooks.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tests.small_project import PROJECT, timeless


def run(project: Path, out: Path, cache: Path, profile: str, environment: dict[str, str]) -> None:
    """Execute all notebooks of a project.

    Args:
        project: Folder of the Makefile.
        out: Gets the executed notebooks and their records.
        cache: An empty folder, or none yet.
        profile: As in `make lectures PROFILE=...`.
        environment: Variables to start from.

    Raises:
        subprocess.CalledProcessError: If a notebook failed; Make has said which.
    """
    subprocess.run(
        ["make", "-j2", "lectures", f"OUT={out}", f"PROFILE={profile}"],
        cwd=project,
        env=environment | {"CVLAB_CACHE": str(cache), "TQDM_DISABLE": "1"},
        check=True,
    )


def differences(first: Path, second: Path) -> Iterator[str]:
    """Compare what two runs left; yields a line for each difference."""
    records = [_by_name(out / "records", "*.json") for out in (first, second)]
    for name in sorted(set(records[0]) | set(records[1])):
        values = [timeless(one[name]) for one in records if name in one]
        if len(values) == 1:
            yield f"{name}: only one run has this record"
        elif values[0] != values[1]:
            yield f"{name}: the records differ"
    notebooks = [_by_name(out, "*.ipynb") for out in (first, second)]
    for name in sorted(notebooks[0]):
        cells = [_compared(one[name]) for one in notebooks]
        for number, (here, there) in enumerate(zip(*cells, strict=True)):
            if here != there:
                yield f"{name}, compared cell {number}: {here!r} and {there!r}"


def _by_name(folder: Path, pattern: str) -> dict[str, Path]:
    return {path.name: path for path in folder.glob(pattern)}


def _compared(path: Path) -> list[str]:
    """Texts of the cells whose output nbval compares."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        "".join(map(_text, cell.outputs))
        for cell in cells
        if cell.cell_type == "code" and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    ]


def _text(output: NotebookNode) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="quick")
    options = parser.parse_args(arguments)
    # Not the flags of a Make that this was started from.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder, name) for name in ("first", "second")]
        for out in outs:
            run(PROJECT, out, Path(folder, f"cache-{out.name}"), options.profile, environment)
        records = len(_by_name(outs[0] / "records", "*.json"))
        cells = sum(len(_compared(path)) for path in outs[0].glob("*.ipynb"))
        found = list(differences(*outs))
    print(*found, sep="\n")
    print(f"{records} records and {cells} outputs compared, {len(found)} differences")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
