"""Start-up: `import cvlab` in a fresh interpreter, and the times of the last run of `quick`.

python -m tests.bench.start [--rounds 3]
"""

import argparse
import subprocess
import sys
from pathlib import Path

from cvlab.publish import results
from tests.bench import bench

# Seconds that `import cvlab` may take, and that the notebooks of `quick` may take, two at a time.
IMPORT_LIMIT = 0.3
QUICK_LIMIT = 480.0


def start(code: str) -> float:
    """Seconds of a fresh interpreter that runs `code`."""
    command = [sys.executable, "-c", code]
    return bench.seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def last_quick_run(folder: Path) -> list[bench.Row]:
    """The whole of `quick` and its slowest notebook, if all of it has run."""
    try:
        run = results.load(folder)
    except FileNotFoundError:
        return []
    if len(run.records) < len(list(Path("lectures").glob("[0-9][0-9]_*.ipynb"))):
        return []
    slowest = max(run.records, key=lambda name: run.records[name].seconds)
    share = QUICK_LIMIT / len(run.records)
    return [
        bench.compared(
            "quick: half of all notebooks' seconds",
            f"limit of {QUICK_LIMIT / 60:g} minutes with -j2",
            [run.seconds / 2],
            [QUICK_LIMIT],
            unit="s",
            goal=1,
        ),
        bench.compared(
            f"quick: slowest notebook, {slowest[:2]}",
            "an equal share of that limit, two at a time",
            [run.records[slowest].seconds],
            [2 * share],
            unit="s",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lean = (
        "import sys, cvlab; assert not {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)"
    )
    start(f"{lean}; import keras")  # fills the disk's cache
    ours, keras = [], []
    for _ in range(options.rounds):
        ours.append(start(lean))
        keras.append(start("import keras"))
    name = "import cvlab, interpreter included"
    limit = [IMPORT_LIMIT] * len(ours)
    bench.rows(
        [
            bench.compared(name, f"limit of {IMPORT_LIMIT} s", ours, limit, unit="s", goal=1),
            bench.compared(name, "import keras", ours, keras, unit="s"),
            *last_quick_run(Path("build/quick")),
        ]
    )


if __name__ == "__main__":
    main()
