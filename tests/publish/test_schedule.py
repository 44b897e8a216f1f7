"""The pool: in which order notebooks start, how many at a time, and what happens when one fails."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cvlab.course import recorded
from cvlab.publish import schedule
from cvlab.publish.schedule import Task

NAMES = [path.stem for path in (Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb")]


def python(code: str) -> Callable[[], Sequence[str]]:
    return lambda: (sys.executable, "-c", code)


def task(name: str, code: str = "", seconds: float | None = None) -> Task:
    return Task(name, python(code), seconds)


@pytest.mark.parametrize("profile", ["quick", "laptop"])
def test_the_longest_way_starts_first(profile: str) -> None:
    seconds = recorded.load(profile).seconds
    tasks = [task(name, seconds=seconds[name]) for name in NAMES]
    order = [one.name[:2] for one in schedule.ordered(tasks)]
    assert order[0] == "06", "07 and 08 wait for it"
    assert order[-1] == "14", "it sums up the others"
    at_once = [name for name in order if not schedule.waits_for(name, ["06_baseline", "14_ladder"])]
    assert set(at_once) == {"06", "00", "02", "03", "04", "17"}, "those that need no images"
    assert set(at_once[:3]) == {"06", "03", "04"}


def test_notebooks_wait_only_for_those_that_run() -> None:
    assert schedule.waits_for("07_a", ["01_b", "06_c"])
    assert not schedule.waits_for("07_a", ["01_b"])
    assert schedule.waits_for("14_a", ["17_b"])
    assert not schedule.waits_for("06_a", ["05_b", "14_c"])


@pytest.mark.parametrize(
    ("cores", "memory", "gpu_memory", "jobs"),
    [
        (2, 24.0, None, 2),
        (8, 11.0, None, 4),
        (2, 1.0, None, 1),
        (4, None, None, 4),
        (16, 126.0, 140.4, 8),
        (8, 64.0, 15.0, 2),
        (1, 64.0, 140.4, 1),
    ],
)
def test_as_many_run_at_a_time_as_fit(
    cores: int, memory: float | None, gpu_memory: float | None, jobs: int
) -> None:
    assert schedule.jobs_for(cores, memory, gpu_memory) == jobs


def test_those_that_run_at_once_share_the_cores() -> None:
    shared = {"TF_NUM_INTRAOP_THREADS": "2", "OMP_NUM_THREADS": "2"}
    assert schedule.threads(5, 2) == shared
    assert schedule.threads(5, 1) == {}
    assert set(schedule.threads(2, 4).values()) == {"1"}


LOG = """
import sys, time, pathlib
with open({log!r}, "a", buffering=1) as log:
    print("start {name}", file=log)
    time.sleep(0.3)
    print("end {name}", file=log)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_run_once_no_more_at_a_time_than_asked(tmp_path: Path, jobs: int) -> None:
    log = tmp_path / "log"
    names = ["01_a", "02_b", "06_c", "07_d", "14_e"]
    tasks = [task(name, LOG.format(log=str(log), name=name)) for name in names]
    assert schedule.run(tasks, jobs, {}) == []
    lines = [line.split() for line in log.read_text().splitlines()]
    running, most = 0, 0
    for what, _ in lines:
        running += 1 if what == "start" else -1
        most = max(most, running)
    assert most == jobs
    assert sorted(name for what, name in lines if what == "start") == names
    assert lines.index(["end", "06_c"]) < lines.index(["start", "07_d"])
    assert [name for _, name in lines[-2:]] == ["14_e", "14_e"]


def test_after_a_failure_the_others_go_on_and_its_output_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = tmp_path / "done"
    failing = task("05_a", "import sys; print('what', 'went wrong'); sys.exit(3)")
    after = task("06_b", f"print('not shown'); open({str(done)!r}, 'w')")
    assert schedule.run([after, failing], 2, {}) == ["05_a"]
    assert done.exists()
    shown = capsys.readouterr().out
    assert "05_a: failed in" in shown
    assert "what went wrong" in shown
    assert "06_b: passed in" in shown
    assert "not shown" not in shown


def test_what_has_nothing_to_do_is_not_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert schedule.run([Task("05_a", lambda: None), task("06_b")], 2, {}) == []
    shown = capsys.readouterr().out
    assert "05_a" not in shown
    assert "06_b: passed" in shown


def test_the_processes_get_the_environment(tmp_path: Path) -> None:
    code = "import os, sys; sys.exit(os.environ['OMP_NUM_THREADS'] != '7')"
    assert schedule.run([task("01_a", code)], 1, {"OMP_NUM_THREADS": "7"}) == []


def test_an_interruption_ends_what_was_started(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    code = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(bool(open({str(ended)!r}, 'w'))))\n"
        f"open({str(tmp_path / 'started')!r}, 'w')\n"
        "time.sleep(60)"
    )

    def interrupt() -> Sequence[str] | None:
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        schedule.run([task("05_a", code, 9), Task("01_b", interrupt, 1)], 2, {})
    assert ended.exists()
