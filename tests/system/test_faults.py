"""Killed, out of room, read-only, clock set back, twice at once: nothing lost, nothing believed.

The long forms are `tests/knocks/kill.py` and `tests/knocks/disk.py` (`make knocks`); a few cases of
each run here.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import small_project
from tests.knocks import disk as knocks_disk
from tests.knocks import kill as knocks_kill
from tests.knocks.kill import DECODING, DRAWING, FEATURES, SUBSET, TRAINING, Work

pytestmark = pytest.mark.knocks
KILLS = 1


@pytest.mark.parametrize(
    "work", [SUBSET, DECODING, DRAWING, FEATURES, TRAINING], ids=lambda work: work.name
)
def test_killed_work_ends_as_if_it_had_not_been(work: Work) -> None:
    tally = knocks_kill.kill(work, KILLS)
    assert tally.lost == []
    assert tally.kills >= KILLS


def test_the_harness_sees_what_is_lost() -> None:
    # Written in place and believed: the mistake that the course must not make.
    careless = Work(
        "careless work",
        "from pathlib import Path",
        "    file = Path(cache, 'numbers')\n"
        "    if file.exists(): return\n"
        "    file.parent.mkdir(parents=True, exist_ok=True)\n"
        "    with file.open('w', buffering=1) as stream:\n"
        "        for number in range(100):\n"
        "            print(number, file=stream); time.sleep(0.003)",
        share=0,
    )
    tally = knocks_kill.kill(careless, 5)
    assert tally.lost
    assert all("has other bytes" in what for what in tally.lost)


@pytest.fixture(scope="module")
def disks() -> dict[str, tuple[int, list[str]]]:
    if not knocks_disk.possible():
        pytest.skip("this machine mounts no disk of our own (unshare --map-root-user --mount)")
    return knocks_disk.disk(cases=8)


@pytest.mark.parametrize("fault", ["full disk", "read-only disk"])
def test_disks_that_take_nothing_more(disks: dict[str, tuple[int, list[str]]], fault: str) -> None:
    found = {kind: result for kind, result in disks.items() if kind.startswith(fault)}
    assert len(found) == len(knocks_disk.WORKS)
    assert all(cases >= 2 for cases, _ in found.values())
    assert [what for _, lost in found.values() for what in lost] == []


def test_two_processes_that_want_the_same() -> None:
    assert knocks_disk.together(DRAWING, 2) == (2, [])


# --- python -m cvlab lectures --------------------------------------------------------------------


def _older(folder: Path, seconds: float) -> None:
    """Give every file a time as many seconds ago, but for the cache, which does not ask for age."""
    for path in set(folder.rglob("*")) - set((folder / "build/cache").rglob("*")):
        found = path.stat()
        os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds))


def test_a_run_killed_twice_at_once_and_with_the_clock_set_back(tmp_path: Path) -> None:
    # One story, since each run starts two kernels.
    alone = knocks_kill.project(tmp_path / "alone")
    start = time.monotonic()
    assert knocks_kill.lectures(alone)[0] == 0
    seconds = time.monotonic() - start
    expected = knocks_kill.run_state(alone)
    assert sorted(name for name in expected if "/" not in name) == ["01_a.ipynb", "04_b.ipynb"]
    assert {"records/01_a.json", "records/04_b.json"} <= expected.keys()

    folder = knocks_kill.project(tmp_path / "killed")
    status, _ = knocks_kill.lectures(folder, after=0.7 * seconds)
    # On a machine that speeds up in between it may have ended.
    assert status in (-signal.SIGKILL, 0)

    # Again, and by two at once.
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "cvlab", "lectures"],
            cwd=folder,
            env=small_project.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert knocks_kill.run_state(folder) == expected  # and so two runs record the same

    # The clock is set back: what is edited now looks older than what was made before.
    _older(folder, -86_400)
    notebook = folder / "lectures/01_a.ipynb"
    notebook.write_text(notebook.read_text().replace("6 * 7", "6 * 9"))
    status, output = knocks_kill.lectures(folder)
    assert status == 0, output
    assert "01_a: passed" in output
    assert "04_b: passed" not in output
    changed = knocks_kill.run_state(folder)
    different = {name for name in expected if changed[name] != expected[name]}
    assert different == {"01_a.ipynb", "records/01_a.json"}  # the record names its inputs
