"""Forks of a warm process: they end as programs do, and their kernels have Keras already."""

import json
import os
import subprocess
import sys
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


@pytest.mark.parametrize("how", ["lectures", "check"])
def test_kernels_start_with_keras_without_bars_and_each_by_itself(tmp_path: Path, how: str) -> None:
    ready = "import sys\nprint('keras' in sys.modules, hasattr(sys, 'left_here'))\nimport keras"
    used = "sys.left_here = float(keras.ops.sum(keras.ops.ones(3)))\nprint(sys.left_here)\n"
    used += "from tqdm import tqdm\nfor _ in tqdm([1]): pass  # without a bar"
    for name in ("01_a", "02_b"):
        path = write(tmp_path / f"lectures/{name}.ipynb", ready, used)
        if how == "check":  # what it compares with
            notebook = json.loads(path.read_text())
            for cell, text in zip(notebook["cells"][2:], ("True False", "3.0"), strict=True):
                output = {"output_type": "stream", "name": "stdout", "text": f"{text}\n"}
                cell |= {"outputs": [output], "execution_count": 1}
            path.write_text(json.dumps(notebook))
    done = command(tmp_path, how, "-j2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed in") == 2
    if how == "lectures":
        executed = json.loads((tmp_path / "build/quick/02_b.ipynb").read_text())
        said = [
            "".join(one["text"]) for cell in executed["cells"] for one in cell.get("outputs", [])
        ]
        assert said == ["True False\n", "3.0\n"]


# As on a GPU, the second is not known before the fork.
@pytest.mark.parametrize("imported", ["import keras", "keras = __import__('keras')"])
def test_a_kernel_takes_the_waits_out_of_keras(tmp_path: Path, imported: str) -> None:
    write(tmp_path / "lectures/01_a.ipynb", imported, "print(keras.Model.fit.__code__.co_filename)")
    done = command(tmp_path, "lectures")
    assert done.returncode == 0, done.stderr
    executed = json.loads((tmp_path / "build/quick/01_a.ipynb").read_text())
    (said,) = executed["cells"][-1]["outputs"]
    assert "".join(said["text"]).endswith("cvlab/publish/waits.py\n")


def test_numpy_in_a_kernel_keeps_to_its_part_of_the_cores(tmp_path: Path) -> None:
    asked = "import keras, threadpoolctl\nprint({one['num_threads'] for one in %s})"
    write(tmp_path / "lectures/01_a.ipynb", asked % "threadpoolctl.threadpool_info()")
    done = command(tmp_path, "lectures", "-j2", OMP_NUM_THREADS="7")
    assert done.returncode == 0, done.stderr
    executed = json.loads((tmp_path / "build/quick/01_a.ipynb").read_text())
    (said,) = executed["cells"][-1]["outputs"]
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert "".join(said["text"]) == f"{{{share}}}\n"


def test_a_kernel_that_dies_is_reported_with_what_it_wrote(tmp_path: Path) -> None:
    dying = "import keras, os\nos.write(2, b'out of luck')\nos.kill(os.getpid(), 9)"
    write(tmp_path / "lectures/01_a.ipynb", dying)
    done = command(tmp_path, "lectures")
    assert done.returncode == 1
    assert "the kernel died, most likely because it ran out of memory" in done.stderr
    assert "out of luck" in done.stdout + done.stderr


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
