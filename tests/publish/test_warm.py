"""Forks of a warm process: they end as programs do, and their kernels have Keras already."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cvlab.publish import warm
from tests.small_project import PROJECT, command, environment, write


def in_a_process_of_its_own(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter: a fork of this one would have TensorFlow's locks."""
    head = "import os, signal, subprocess, sys, tempfile, time\nfrom cvlab.publish import warm\n"
    return subprocess.run(
        [sys.executable, "-c", head + code],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("return None", 0, ""),
        ("return 3", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(4)", 4, ""),
        ("sys.exit('no such notebook')", 1, "no such notebook"),
        ("1 / 0", 1, "ZeroDivisionError"),
    ],
)
def test_a_fork_ends_as_a_program_does(body: str, status: int, says: str) -> None:
    done = in_a_process_of_its_own(f"def run():\n    {body}\nprint(warm.Fork(run).wait())")
    assert done.stdout == f"{status}\n"
    assert says in done.stderr
    assert bool(done.stderr) == bool(says)


def test_a_fork_can_be_waited_for_and_ended() -> None:
    done = in_a_process_of_its_own("""
fork = warm.Fork(lambda: time.sleep(60))
try:
    fork.wait(0.1)
except subprocess.TimeoutExpired:
    print("runs", fork.poll())
fork.terminate()
print(fork.wait(), -signal.SIGTERM)
fork.kill()  # nothing happens to a process that has ended
""")
    assert done.stdout == "runs None\n-15 -15\n", done.stderr


def test_a_program_has_its_arguments_variables_and_output() -> None:
    done = in_a_process_of_its_own("""
os.environ.pop("COLUMNS", None)
with tempfile.TemporaryFile() as output:
    command = [sys.executable, "-m", "json.tool", "--help"]
    status = warm.start(command, {"COLUMNS": "200"}, output, modules=["keras"]).wait()
    output.seek(0)
    print(status, "COLUMNS" in os.environ, output.read().decode().splitlines()[0])
""")
    assert done.stdout.startswith("0 False usage: "), done.stderr
    assert done.stderr == "", "what TensorFlow says when it is imported stays out"


# Keras is there before it is imported, nothing of another notebook is, and a bar is not drawn.
ALONE = (
    "import sys\nprint('keras' in sys.modules, hasattr(sys, 'left_here'))\nimport keras",
    "sys.left_here = float(keras.ops.sum(keras.ops.ones(3)))\nprint(sys.left_here)\n"
    "from tqdm import tqdm\nfor _ in tqdm([1]): pass",
)
SAID = ["True False\n", "3.0\n"]


def printed(folder: Path, name: str) -> list[str]:
    """What the cells of an executed notebook wrote."""
    executed = json.loads((folder / f"build/quick/{name}.ipynb").read_text())
    return ["".join(one["text"]) for cell in executed["cells"] for one in cell.get("outputs", [])]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder and its run: notebooks that look at what they start with, and one that dies."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("04_alone", "05_alone"):
        write(folder / f"lectures/{name}.ipynb", *ALONE)
    for name, code in {
        "01_fit": "import keras; print(keras.Model.fit.__code__.co_filename)",
        "02_threads": "import keras, threadpoolctl\n"
        "print({one['num_threads'] for one in threadpoolctl.threadpool_info()})",
        "03_dies": "import keras, os\nos.write(2, b'out of luck')\nos.kill(os.getpid(), 9)",
    }.items():
        write(folder / f"lectures/{name}.ipynb", *code.split("\n", 1))
    return folder, command(folder, "lectures", "-j2", OMP_NUM_THREADS="7")


def test_kernels_start_with_keras_without_bars_and_each_by_itself(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    assert run[1].stdout.count("passed in") == 4, run[1].stderr
    assert printed(run[0], "04_alone") == printed(run[0], "05_alone") == SAID


def test_so_do_those_that_check_notebooks(tmp_path: Path) -> None:
    for name in ("01_a", "02_b"):
        path = write(tmp_path / f"lectures/{name}.ipynb", *ALONE)
        notebook = json.loads(path.read_text())
        for cell, text in zip(notebook["cells"][2:], SAID, strict=True):  # what is compared
            output = {"output_type": "stream", "name": "stdout", "text": text}
            cell |= {"outputs": [output], "execution_count": 1}
        path.write_text(json.dumps(notebook))
    done = command(tmp_path, "check", "-j2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed in") == 2


def test_a_kernel_takes_the_waits_out_of_keras(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    assert printed(run[0], "01_fit")[-1].endswith("cvlab/publish/waits.py\n")


def test_it_does_so_too_where_keras_was_not_imported_before_the_fork(tmp_path: Path) -> None:
    imported = "keras = __import__('keras')"  # as on a GPU, not known beforehand
    write(tmp_path / "lectures/01_a.ipynb", imported, "print(keras.Model.fit.__code__.co_filename)")
    done = command(tmp_path, "lectures")
    assert done.returncode == 0, done.stderr
    assert printed(tmp_path, "01_a")[-1].endswith("cvlab/publish/waits.py\n")


def test_numpy_in_a_kernel_keeps_to_its_part_of_the_cores(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert printed(run[0], "02_threads") == [f"{{{share}}}\n"]


def test_a_kernel_that_dies_is_reported_with_what_it_wrote(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = run[1]
    assert done.returncode == 1
    assert "the kernel died, most likely because it ran out of memory" in done.stderr
    assert "out of luck" in done.stdout + done.stderr


def test_a_kernel_ends_with_its_program_even_where_that_is_killed(tmp_path: Path) -> None:
    here = tmp_path / "lectures/pids"
    pids = "import os, pathlib, time\n"
    pids += "pathlib.Path('pids').write_text(f'{os.getppid()} {os.getpid()}.')\ntime.sleep(60)"
    write(tmp_path / "lectures/01_a.ipynb", pids)
    call = [sys.executable, "-m", "cvlab", "lectures"]
    with subprocess.Popen(
        call, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ):
        wait_for(lambda: here.exists() and here.read_text().endswith("."))
        program, kernel = map(int, here.read_text().rstrip(".").split())
        os.kill(program, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{kernel}").exists())


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_only_what_is_wanted_and_safe_is_imported_before_a_fork(tmp_path: Path) -> None:
    with_keras = write(tmp_path / "01_a.ipynb", "import keras")
    without = write(tmp_path / "02_b.ipynb", "1 + 1")
    assert "keras" in warm.libraries([without, with_keras], "tensorflow", gpu=False)
    assert warm.libraries([without], "tensorflow", gpu=False) == ()
    assert warm.libraries([with_keras], "tensorflow", gpu=True) == ()
    assert warm.libraries([with_keras], "jax", gpu=False) == ()


def test_a_notebook_without_keras_does_not_wait_for_it(tmp_path: Path) -> None:
    write(tmp_path / "lectures/01_a.ipynb", "import sys\nassert 'keras' not in sys.modules")
    done = command(tmp_path, "lectures")
    assert done.returncode == 0, done.stderr
