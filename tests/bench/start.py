"""Start-up of package and notebooks, and the recorded times of `quick` and `laptop`.

    python -m tests.bench.start [--rounds 3]

Notebooks that only import Keras show what a start costs: forked from one warm process
(`cvlab.publish.warm`), and as papermill starts them, each in new processes.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cvlab.course import recorded
from tests import small_project
from tests.bench import bench

# Seconds that `import cvlab` may take, and that the notebooks of `quick` may take, two at a time.
IMPORT_LIMIT = 0.3
QUICK_LIMIT = 360.0
LAPTOP_LIMIT = 1500.0
# Seconds of `python -m cvlab lectures` when there is nothing to run.
AGAIN_LIMIT = 10.0
KERAS_NOTEBOOKS = 4


def start(code: str) -> float:
    """Seconds of a fresh interpreter that runs `code`."""
    command = [sys.executable, "-c", code]
    return bench.seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def started(rounds: int) -> list[bench.Row]:
    """Notebooks that import Keras, and the same command again when there is nothing left to do."""
    ours, theirs, again = [], [], []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        paths = [
            small_project.write(folder / f"lectures/{number:02}_start.ipynb", "import keras")
            for number in range(KERAS_NOTEBOOKS)
        ]

        def lectures() -> None:
            done = small_project.command(folder, "lectures", "-j1")
            assert done.returncode == 0, done.stderr

        def papermill() -> None:
            for path in paths:
                command = [sys.executable, "-m", "papermill", "-k", "python3", str(path)]
                subprocess.run(
                    [*command, str(folder / "out.ipynb")],
                    env=small_project.environment(),
                    check=True,
                    capture_output=True,
                )

        for _ in range(rounds):
            shutil.rmtree(folder / "build", ignore_errors=True)
            ours.append(bench.seconds(lectures))
            again.append(bench.seconds(lectures))
            theirs.append(bench.seconds(papermill))
    name = f"{KERAS_NOTEBOOKS} notebooks that import Keras, one after the other, and the report"
    limit = [AGAIN_LIMIT] * rounds
    return [
        bench.compared(name, "papermill, without a report", ours, theirs, unit="s"),
        bench.compared(
            "the same command, nothing to run",
            f"limit of {AGAIN_LIMIT:g} s",
            again,
            limit,
            unit="s",
            goal=1,
        ),
    ]


def recorded_run(profile: str, limit: float) -> list[bench.Row]:
    """The whole of a profile and its slowest notebook, in the run that is kept with the course."""
    seconds = recorded.load(profile).seconds
    slowest = max(seconds, key=lambda name: seconds[name])
    return [
        bench.compared(
            f"{profile}, recorded: half of all notebooks' seconds",
            f"limit of {limit / 60:g} minutes with -j2",
            [sum(seconds.values()) / 2],
            [limit],
            unit="s",
            goal=1,
        ),
        bench.compared(
            f"{profile}, recorded: slowest notebook, {slowest[:2]}",
            "an equal share of that limit, two at a time",
            [seconds[slowest]],
            [2 * limit / len(seconds)],
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
            *started(options.rounds),
            *recorded_run("quick", QUICK_LIMIT),
            *recorded_run("laptop", LAPTOP_LIMIT),
        ]
    )


if __name__ == "__main__":
    main()
