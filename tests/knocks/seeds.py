"""Do the verdicts that nbval compares hold for other random seeds than the profile's?

Runs the notebooks that train under nbval, again and again, each time with all seeds of the quick
profile moved on by 100, and counts the cells whose output is no longer the committed one. An output
that depends on the luck of its seeds shows up here, before a reader's machine finds it.

    python -m tests.knocks.seeds [--seeds 20] [--first 1] [--only 05,07]

A pass takes about as long as a run of the notebooks, twenty of them hours: `--first 11 --seeds 10`
goes on where ten passes ended.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

PROJECT: Final = Path(__file__).parents[2]
# Notebooks with a training whose seeds are the profile's. Two run at a time: 06 and 07 come when 05
# is done, whose network they go on from.
TRAINING: Final = ("06", "12", "10", "07", "08", "11", "03", "04", "13", "02")

# Every kernel runs it when it starts: the notebooks themselves stay as they are.
_STARTUP: Final = """
from dataclasses import fields, replace
from cvlab import profiles
quick = profiles.PROFILES["quick"]
moved = {{}}
for field in fields(quick):
    seeds = getattr(quick, field.name)
    if field.name.endswith("_seed"):
        moved[field.name] = seeds + {offset}
    elif field.name.endswith("_seeds"):
        moved[field.name] = tuple(seed + {offset} for seed in seeds)
profiles.PROFILES["quick"] = replace(quick, **moved)
"""


def changed_cells(notebook: Path, offset: int) -> tuple[int, dict[str, str]]:
    """Run a notebook under nbval with other seeds.

    Args:
        notebook: Committed, with the outputs of the quick profile.
        offset: Added to every seed.

    Returns:
        How many cells were run, and of those whose output was another or an error the name and
        what nbval said.

    Raises:
        RuntimeError: If nbval did not get as far as the cells.
    """
    with tempfile.TemporaryDirectory() as folder:
        startup = Path(folder, "profile_default", "startup")
        startup.mkdir(parents=True)
        (startup / "00-seeds.py").write_text(_STARTUP.format(offset=offset), encoding="utf-8")
        found = Path(folder, "found.xml")
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("--nbval", "--nbval-current-env", "--nbval-cell-timeout=600"),
                *(f"--junitxml={found}", str(notebook)),
            ],
            cwd=PROJECT,
            env={
                **os.environ,
                "IPYTHONDIR": folder,
                "TQDM_DISABLE": "1",
                # Two notebooks run at a time, each on its own part of the cores.
                "TF_NUM_INTRAOP_THREADS": str(max((os.cpu_count() or 1) // 2, 1)),
            },
            check=False,  # it fails where a cell does, and then the cells say so
            capture_output=True,
            text=True,
        )
        if not found.is_file():
            raise RuntimeError(f"nbval did not run {notebook.name}:\n{run.stdout}{run.stderr}")
        cells = list(ElementTree.parse(found).getroot().iter("testcase"))
    changed = {
        cell.get("name", ""): fault.get("message", "")
        for cell in cells
        if (fault := _fault(cell)) is not None
    }
    return len(cells), changed


def _fault(cell: ElementTree.Element) -> ElementTree.Element | None:
    failure = cell.find("failure")
    return cell.find("error") if failure is None else failure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="passes with other seeds")
    parser.add_argument("--first", type=int, default=1, help="number of the first pass")
    parser.add_argument("--only", default=",".join(TRAINING), help="numbers of notebooks")
    options = parser.parse_args(arguments)
    notebooks = [
        next((PROJECT / "lectures").glob(f"{number}_*.ipynb")) for number in options.only.split(",")
    ]
    passes = range(options.first, options.first + options.seeds)
    jobs = [(notebook, 100 * number) for number in passes for notebook in notebooks]
    cells: Counter[str] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    with ThreadPoolExecutor(2) as pool:
        for (notebook, offset), (count, changed) in zip(
            jobs, pool.map(lambda job: changed_cells(*job), jobs), strict=True
        ):
            cells[notebook.stem] += count
            lost.update((notebook.stem, cell) for cell in changed)
            told = f"seeds + {offset}  {notebook.stem}: {count} cells, {len(changed)} changed"
            print(told, *map(": ".join, changed.items()), sep="\n    ", flush=True)
    print(f"\n{'notebook':32}{'cells':>8}{'changed':>9}")
    for name, count in cells.items():
        print(f"{name:32}{count:8}{sum(n for (one, _), n in lost.items() if one == name):9}")
    for (name, cell), count in lost.most_common():
        print(f"{name} {cell}: in {count} of {options.seeds}")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
