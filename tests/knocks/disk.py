"""Let the course's work run into a full disk, a disk that may only be read, and into itself.

Full: each case gets a disk of its own, too small by some bytes or some files, that lies about its
free space, so that the work begins and stops on its way. The error must be one of the course's
own, nothing half-written may stay, and with more room the work must end as it does undisturbed,
byte for byte. Read-only: what is there is read, what is not is refused by name. At once: two
processes that want the same end as one does.

    python -m tests.knocks.disk [--cases 100] [--seed 0]

The disks are `tmpfs` in a mount namespace, which needs Linux and its permission; `possible` asks.
`tests/system/test_faults.py` runs a few cases of each kind.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from cvlab.cache import DatasetError
from tests.knocks import kill as knocks_kill
from tests.knocks.kill import DECODING, DRAWING, FEATURES, SUBSET, Server, Work
from tests.small_project import PROJECT

NAMESPACE: Final = ("unshare", "--map-root-user", "--mount")
WORKS: Final = (SUBSET, DECODING, DRAWING, FEATURES)
ROOMY: Final = "256m"
_TALKS_OF_ROOM: Final = ("CVLAB_CACHE", "No space left")


def possible() -> bool:
    """Whether this machine lets us mount a disk of our own."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as place:
        command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", place]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _mount(place: Path, *options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(place)], check=True)


def _function(work: Work) -> Callable[[Path], None]:
    """The work as a function of its cache folder, in this process."""
    space: dict[str, Any] = {}
    exec(f"import os\n{work.setup}\ndef work(cache):\n{work.work}", space)
    return lambda cache: space["work"](str(cache))


def _used(place: Path) -> tuple[int, int]:
    """Bytes and files that a disk holds."""
    found = subprocess.run(
        ["stat", "--file-system", "--format", "%b %f %S %c %d", str(place)],
        capture_output=True,
        text=True,
        check=True,
    )
    blocks, free, size, files, unused = map(int, found.stdout.split())
    return (blocks - free) * size, files - unused


class _Disk:
    """A small disk under one kind of work.

    Attributes:
        lost: What went wrong, a line each.
    """

    def __init__(self, work: Work, base: Path, seed: int) -> None:
        self.work = _function(work)
        self.before = _function(work.prepared) if work.prepared is not None else None
        self.place = base / "disk"
        self.place.mkdir()
        self.name = work.name
        self.lost: list[str] = []
        self.random = np.random.default_rng([seed, *work.name.encode()])
        self._fresh()
        self.least = _used(self.place)
        self.work(self.place)
        self.most = _used(self.place)
        self.expected = knocks_kill.state(self.place)
        self._away()

    def _fresh(self) -> None:
        _mount(self.place, "-o", f"size={ROOMY}")
        if self.before is not None:
            self.before(self.place)

    def _away(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)

    def _change(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.place)], check=True)

    def full(self, *, of_files: bool) -> None:
        """One case: room for a part of what the work writes."""
        part = self.random.uniform(0, 0.98)
        kind = 1 if of_files else 0
        room = int(self.least[kind] + part * (self.most[kind] - self.least[kind]))
        self._fresh()
        self._change(f"nr_inodes={room}" if of_files else f"size={max(room, 4096)}")
        what = self._refused(_TALKS_OF_ROOM) or self._nothing_half()
        self._change(f"nr_inodes=100000,size={ROOMY}")
        what = what or self._ends_well()
        self._away()
        if what:
            self.lost.append(f"{self.name}, room for {part:.0%}: {what}")

    def read_only(self) -> None:
        """Two cases: a read-only disk that holds everything, and one that holds nothing new."""
        self._fresh()
        self._change("ro")
        what = self._refused(("CVLAB_CACHE",))
        self._change("rw")
        self.work(self.place)
        self._change("ro")
        what = what or self._ends_well()
        self._away()
        if what:
            self.lost.append(f"{self.name}, read-only: {what}")

    def _refused(self, words: tuple[str, ...]) -> str:
        try:
            self.work(self.place)
        except DatasetError as error:
            named = any(word in str(error) for word in words)
            return "" if named else f"the error does not help: {error}"
        except Exception:
            return f"not an error of the course: {traceback.format_exc()[-600:]}"
        return "no error, though there was no room"

    def _nothing_half(self) -> str:
        found = knocks_kill.state(self.place)
        whole = {name: digest for name, digest in self.expected.items() if name in found}
        return knocks_kill.difference(found, whole)

    def _ends_well(self) -> str:
        try:
            self.work(self.place)
        except Exception:
            return f"fails afterwards: {traceback.format_exc()[-600:]}"
        return knocks_kill.difference(knocks_kill.state(self.place), self.expected)


def inside(cases: int, seed: int) -> dict[str, tuple[int, list[str]]]:
    """Run in a mount namespace: kind of fault to the number of cases and what was lost."""
    tally: dict[str, tuple[int, list[str]]] = {}
    each = max(1, cases // (2 * len(WORKS)))
    for work in WORKS:
        with tempfile.TemporaryDirectory() as base:
            disk = _Disk(work, Path(base), seed)
            honest = shutil.disk_usage
            shutil.disk_usage = lambda _: SimpleNamespace(free=2**40)  # type: ignore[assignment, return-value]
            for _ in range(each):
                disk.full(of_files=False)
                disk.full(of_files=True)
            shutil.disk_usage = honest
            tally[f"full disk: {work.name}"] = 2 * each, list(disk.lost)
            disk.lost.clear()
            disk.read_only()
            tally[f"read-only disk: {work.name}"] = 2, list(disk.lost)
    return tally


def disk(cases: int, seed: int = 0) -> dict[str, tuple[int, list[str]]]:
    """Try full and read-only disks in a namespace of their own."""
    result = subprocess.run(
        [
            *NAMESPACE,
            sys.executable,
            "-m",
            "tests.knocks.disk",
            "--inside",
            f"--cases={cases}",
            f"--seed={seed}",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"the disks could not be tried: {result.stderr[-2000:]}")
    found = json.loads(result.stdout.splitlines()[-1])
    return {kind: (count, lost) for kind, (count, lost) in found.items()}


def together(work: Work, cases: int) -> tuple[int, list[str]]:
    """Let two processes do the same at once; the number of cases and what was lost."""
    lost = []
    with knocks_kill.scratch() as base:
        alone = Server(work, base)
        if work.prepared is not None:
            raise ValueError(f"{work.name} needs a prepared cache: take work that starts empty")
        alone.run(base / "undisturbed")
        expected = knocks_kill.state(base / "undisturbed")
        (base / "other").mkdir()
        other = Server(work, base / "other")
        for case in range(cases):
            cache = base / f"case{case}"
            with ThreadPoolExecutor(2) as pool:
                statuses = list(pool.map(Server.run, (alone, other), (cache, cache)))
            what = knocks_kill.difference(knocks_kill.state(cache), expected)
            if any(statuses) or what:
                lost.append(f"case {case}: {what or (alone.errors() + other.errors())}")
        alone.close()
        other.close()
    return cases, lost


def main(arguments: list[str] | None = None) -> int:
    """Try everything; print a line for each kind; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        print(json.dumps(inside(options.cases, options.seed)))
        return 0
    tally = {}
    if possible():
        tally = disk(options.cases, options.seed)
    else:
        print("No disk of our own can be mounted here: full and read-only disks are not tried.")
    for work in (SUBSET, DRAWING, FEATURES):
        tally[f"two at once: {work.name}"] = together(work, max(1, options.cases // 20))
    print(f"{'fault':50}{'cases':>7}{'survived':>10}{'lost':>6}")
    for kind, (count, lost) in tally.items():
        numbers = f"{count:7}{count - len(lost):10}{len(lost):6}"
        print(f"{kind:50}{numbers}", *lost, sep="\n    ")
    return 1 if any(lost for _, lost in tally.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
