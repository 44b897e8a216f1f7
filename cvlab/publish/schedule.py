"""Several notebooks at a time, each in a process of its own: the order, the pool, the display."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, Protocol

from tqdm import tqdm

# Which notebooks wait for which, where both run. 07 and 08 go on from the network of 06. The others
# need the images that 06 prepares: beside it start those that need none. 14 sums up the others.
AFTER: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("05", *(f"{number:02}" for number in (*range(7, 14), 15, 16))), ("06",)),
    "14": tuple(f"{number:02}" for number in range(100) if number != 14),
}
GIB_PER_NOTEBOOK: Final = 2.5
# Eight notebooks of the profile `lecture` took 44 GiB of an H200.
GPU_GIB_PER_NOTEBOOK: Final = 6.0
# What a notebook that was never measured is taken to need.
_USUAL_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Task:
    """A notebook to run.

    Attributes:
        name: File name without suffix; its first two characters are its number.
        command: Returns the command to start when its turn has come, or None if there is nothing
            to do.
        seconds: How long it usually takes; None if that is not known.
    """

    name: str
    command: Callable[[], Sequence[str] | None]
    seconds: float | None = None


class Process(Protocol):
    """A process that runs a task, such as `subprocess.Popen`."""

    returncode: int | None

    def poll(self) -> int | None:
        """Return the status with which it ended, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the status when it has ended, or raise `subprocess.TimeoutExpired`."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


@dataclass(frozen=True)
class _Running:
    task: Task
    process: Process
    output: IO[bytes]
    since: float


def jobs_for(cores: int, memory_gib: float | None, gpu_gib: float | None = None) -> int:
    """Return how many notebooks fit on a machine at a time.

    Args:
        cores: Processor cores.
        memory_gib: Memory in GiB; None if it is not known.
        gpu_gib: Memory of the GPU in GiB; None without a GPU.
    """
    # A notebook that computes on a GPU keeps more than one core busy: it decodes and compiles.
    fitting = [cores if gpu_gib is None else cores // 2]
    if memory_gib is not None:
        fitting.append(int(memory_gib / GIB_PER_NOTEBOOK))
    if gpu_gib is not None:
        fitting.append(int(gpu_gib / GPU_GIB_PER_NOTEBOOK))
    return max(1, min(fitting))


def threads(cores: int, jobs: int) -> dict[str, str]:
    """Return the environment variables that give each of several jobs its part of the cores."""
    if jobs == 1:
        return {}
    return dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), str(max(1, cores // jobs)))


def waits_for(name: str, others: Iterable[str]) -> bool:
    """Return whether a notebook has to wait for one of others, all by name."""
    return any(other[:2] in AFTER.get(name[:2], ()) for other in others)


def ordered(tasks: Iterable[Task]) -> list[Task]:
    """Sort tasks so that those start first after which most time passes, waiting ones included."""
    left = list(tasks)

    def remaining(task: Task) -> float:
        then = [remaining(other) for other in left if waits_for(other.name, [task.name])]
        return (task.seconds or _USUAL_SECONDS) + max(then, default=0.0)

    return sorted(left, key=lambda task: (-remaining(task), task.name))


def popen(command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> Process:
    """Start a command, with variables besides those of this process, and its output in a file."""
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def run(
    tasks: Iterable[Task],
    jobs: int,
    environment: Mapping[str, str],
    start: Callable[[Sequence[str], Mapping[str, str], IO[bytes]], Process] = popen,
) -> list[str]:
    """Run tasks, several at a time, and say how each ended; go on after one that fails.

    When this process is interrupted or told to end, so are the processes that it started.

    Args:
        tasks: What to run.
        jobs: How many at a time.
        environment: Variables of the processes, besides those of this one.
        start: Starts a command with these variables and its output in a file; see `popen`.

    Returns:
        The names of the tasks that failed, in the order in which they ended.
    """
    waiting, running, failed = ordered(tasks), list[_Running](), list[str]()
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    shown = "{n} of {total} notebooks{postfix}"
    bar = tqdm(total=len(waiting), bar_format=shown, leave=False, disable=None)
    try:
        while waiting or running:
            for task in list(waiting):
                open_names = [one.name for one in waiting] + [one.task.name for one in running]
                if len(running) < jobs and not waits_for(task.name, open_names):
                    waiting.remove(task)
                    if command := task.command():
                        output = tempfile.TemporaryFile()  # noqa: SIM115 - until it has ended
                        process = start(command, environment, output)
                        running.append(_Running(task, process, output, time.monotonic()))
                    else:
                        bar.update()
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                bar.update()
                if not _ended(one):
                    failed.append(one.task.name)
            now = time.monotonic()
            told = [f"{one.task.name} {now - one.since:.0f} s" for one in running]
            bar.set_postfix_str(", ".join(told))
            time.sleep(0.1 if running else 0)
    finally:
        _stop(running)
        bar.close()
        signal.signal(signal.SIGTERM, before)
    return failed


def _ended(one: _Running) -> bool:
    """Say how a task ended, with all that it wrote if it failed; return whether it passed."""
    passed = one.process.returncode == 0
    seconds = time.monotonic() - one.since
    tqdm.write(f"{one.task.name}: {'passed' if passed else 'failed'} in {seconds:.0f} s")
    with one.output:
        one.output.seek(0)
        if not passed:
            tqdm.write(one.output.read().decode(errors="replace"))
    sys.stdout.flush()
    return passed


def _stop(running: Iterable[_Running]) -> None:
    """End processes, by force if they take too long."""
    for one in running:
        one.process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for one in running:
        try:
            one.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        one.output.close()
