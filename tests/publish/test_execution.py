"""Notebook execution: a passing, a failing and an interrupted notebook, and Make around them."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError

from cvlab.course import claims
from cvlab.publish import execution, outcomes, tags
from cvlab.publish.outcomes import Record
from tests.knocks import twice as knocks_twice
from tests.small_project import PROJECT, environment, lay_out, write


@pytest.fixture(autouse=True)
def _this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv(claims.FOLDER_VARIABLE, "")  # `execute` sets it; put back afterwards


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


def test_execute_passes_the_profile_and_runs_beside_the_source(tmp_path: Path) -> None:
    source = write(tmp_path / "lectures/01_a.ipynb", "import os\nprint(PROFILE, os.getcwd())")
    record = execution.execute(source, tmp_path / "out/01_a.ipynb", "laptop")
    assert (record.verdict, record.profile, record.notebook) == ("passed", "laptop", "01_a")
    assert printed(tmp_path / "out/01_a.ipynb").strip() == f"laptop {source.parent}"
    assert Record.load(tmp_path / "out", "01_a") == record


def test_failure_names_the_cell_of_the_source_and_keeps_the_outputs(tmp_path: Path) -> None:
    source = write(tmp_path / "04_b.ipynb", "print('before')", "wrong = 1 / 0\n", "print('after')")
    target = tmp_path / "out/04_b.ipynb"
    record = execution.execute(source, target, "quick")
    assert record.verdict == "failed"
    assert record.cell == 4  # title, parameters, before, wrong
    assert record.error == "wrong = 1 / 0 -> ZeroDivisionError: division by zero"
    assert not target.exists()
    failed = printed(target.with_name("04_b.failed.ipynb"))
    assert "before" in failed
    assert "after" not in failed

    text, problems = outcomes.table(tmp_path / "out", ["04_b"])
    assert "failed" in text
    assert problems[0].startswith("04_b: cell 4 failed: wrong = 1 / 0")


def test_a_kernel_that_dies_leaves_a_record_and_the_outputs(tmp_path: Path) -> None:
    source = write(tmp_path / "04_b.ipynb", "print('before')", "import os\nos._exit(137)")
    target = tmp_path / "out/04_b.ipynb"
    record = execution.execute(source, target, "quick")
    assert (record.verdict, record.cell) == ("failed", 0)
    assert "before" in printed(target.with_name("04_b.failed.ipynb"))
    assert not target.exists()
    _, problems = outcomes.table(tmp_path / "out", ["04_b"])
    assert problems[0].startswith("04_b: failed: the kernel died, most likely for want of memory")


# What C++ code writes goes to the file descriptor, past Python's sys.stderr.
PAST_PYTHON = "import os\nos.write(2, b'start-up message of a library\\n')\nprint('result')"


def test_messages_from_below_python_do_not_cut_the_progress_bar(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "04_b.ipynb", PAST_PYTHON)
    execution.execute(source, tmp_path / "out/04_b.ipynb", "quick")
    execution.refresh(source)
    assert "start-up message" not in capfd.readouterr().err
    assert printed(tmp_path / "out/04_b.ipynb").splitlines()[-1] == "result"


def test_they_are_shown_when_the_kernel_dies(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "04_b.ipynb", PAST_PYTHON, "os._exit(139)")
    execution.execute(source, tmp_path / "out/04_b.ipynb", "quick")
    assert "start-up message of a library" in capfd.readouterr().err


def test_execute_refuses_a_missing_notebook_and_an_unknown_profile(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no notebook"):
        execution.execute(tmp_path / "no.ipynb", tmp_path / "out/no.ipynb", "quick")
    with pytest.raises(ValueError, match="quick, laptop, lecture"):
        execution.execute(write(tmp_path / "a.ipynb"), tmp_path / "out/a.ipynb", "slow")


def test_table_adds_up_and_tells_what_has_not_run(tmp_path: Path) -> None:
    Record("01_a", "quick", 1.25, "passed").save(tmp_path)
    Record("04_b", "quick", 2.5, "passed").save(tmp_path)
    text, problems = outcomes.table(tmp_path, ["01_a", "04_b"])
    assert problems == []
    assert text.splitlines()[-1].split() == ["total", "3.8"]
    text, problems = outcomes.table(tmp_path, ["01_a", "03_c"])
    assert "not run" in text
    assert problems == ["03_c: not run to its end; run the same command again to resume"]


def test_the_table_of_a_run_is_read_without_any_library(tmp_path: Path) -> None:
    Record("01_a", "quick", 1.25, "passed").save(tmp_path)
    # -S: not even the folder with the installed packages is known.
    shown = subprocess.run(
        [
            sys.executable,
            "-S",
            "-m",
            "cvlab.publish.outcomes",
            str(tmp_path),
            "lectures/01_a.ipynb",
            "04_b",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[-1].split() == ["total", "1.2"]
    assert "04_b: not run to its end" in shown.stderr


def test_clean_folds_solutions_away() -> None:
    cell = new_code_cell("x = 1", metadata={"tags": [tags.SOLUTION], "collapsed": True})
    cleaned = execution.clean(new_notebook(cells=[cell]))
    assert cleaned.cells[0].metadata == {
        "tags": [tags.SOLUTION],
        "jupyter": {"source_hidden": True},
    }


def test_a_run_forgets_the_claims_of_the_one_before(tmp_path: Path) -> None:
    source = write(tmp_path / "01_a.ipynb", "print(1)")
    stale = tmp_path / "out/records/01.claims.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    record = execution.execute(source, tmp_path / "out/01_a.ipynb", "quick")
    assert not stale.exists()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", record.finished)


def test_clean_keeps_what_teaches(tmp_path: Path) -> None:
    bar = new_output("stream", name="stdout", text="start\n 0%|  \r50%|- \r100%|--\nen")
    rest = new_output("stream", name="stdout", text="d\n")
    cell = new_code_cell(
        "train()",
        outputs=[bar, rest],
        metadata={"tags": ["nbval-ignore-output"], "papermill": {"duration": 1}, "collapsed": True},
    )
    notebook = new_notebook(cells=[cell], metadata={"widgets": {}, "papermill": {}})
    cleaned = execution.clean(notebook)
    assert cleaned.metadata == execution.CLEAN_METADATA
    assert cleaned.cells[0].metadata == {"tags": ["nbval-ignore-output"]}
    assert cleaned.cells[0].outputs[0].text == "start\n100%|--\nend\n"
    assert cleaned.cells[0].source == "train()"


def test_refresh_writes_outputs_back_clean(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", "print(PROFILE)")
    execution.refresh(path)
    notebook = nbformat.read(path, as_version=4)
    assert printed(path) == "quick\n"
    assert notebook.metadata == execution.CLEAN_METADATA
    assert len(notebook.cells) == 3  # nothing injected
    assert list(tmp_path.iterdir()) == [path]


def test_refresh_leaves_a_failing_notebook_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(PapermillExecutionError):
        execution.refresh(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Makefile over two small notebooks, with this interpreter as its environment."""
    folder = lay_out(tmp_path / "with space")
    write(
        folder / "lectures/01_a.ipynb",
        "import os\nprint(os.environ['CVLAB_PHOTOS'], os.environ['CVLAB_BASE'])",
    )
    write(folder / "lectures/04_b.ipynb", "import time\ntime.sleep(float(0.01))")
    return folder


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_runs_each_notebook_once_and_again_only_when_something_changed(project: Path) -> None:
    first = make(project, "lectures", "-j2")
    assert first.returncode == 0, first.stderr
    assert "01_a: passed" in first.stdout
    assert "04_b: passed" in first.stdout
    assert "total" in first.stdout
    report = project / "build/quick/index.html"
    assert str(report.relative_to(project)) in first.stdout
    assert "2 of 2 notebooks passed" in report.read_text(encoding="utf-8")

    again = make(project, "lectures")
    assert again.returncode == 0
    assert ": passed" not in again.stdout  # nothing ran, yet the table is there
    assert "total" in again.stdout

    base = make(project, "lectures", "BASE=MobileNet(alpha=0.5)")
    assert base.stdout.count(": passed") == 2
    assert "MobileNet(alpha=0.5)" in printed(project / "build/quick/01_a.ipynb")
    assert ": passed" not in make(project, "lectures", "BASE=MobileNet(alpha=0.5)").stdout

    (project / "photos.zip").touch()
    photos = make(project, "lectures", "PHOTOS=photos.zip")
    assert photos.stdout.count(": passed") == 2
    assert printed(project / "build/quick/01_a.ipynb").strip() == str(project / "photos.zip")

    later = time.time() + 2
    os.utime(project / "lectures/04_b.ipynb", (later, later))
    changed = make(project, "lectures", "PHOTOS=photos.zip")
    assert "01_a: passed" not in changed.stdout
    assert "04_b: passed" in changed.stdout


def test_make_runs_13_after_the_others_and_again_when_they_did(project: Path) -> None:
    for other in ("01_a", "04_b"):
        (project / f"lectures/{other}.ipynb").unlink()
    write(project / "lectures/05_a.ipynb", "import time\ntime.sleep(1)")
    look = "import os\nprint(sorted(os.listdir(os.environ['CVLAB_RECORDS'])))"
    write(project / "lectures/13_b.ipynb", look)
    first = make(project, "lectures", "-j4")
    assert first.returncode == 0, first.stderr
    assert "05_a.json" in printed(project / "build/quick/13_b.ipynb")

    later = time.time() + 2
    os.utime(project / "lectures/05_a.ipynb", (later, later))
    changed = make(project, "lectures", "-j4")
    assert "05_a: passed" in changed.stdout
    assert "13_b: passed" in changed.stdout

    # A failure below does not keep 13 from saying so.
    write(project / "lectures/05_a.ipynb", "1 / 0")
    failed = make(project, "lectures")
    assert failed.returncode != 0
    assert "13_b: passed" in failed.stdout


def test_notebooks_that_run_at_once_share_the_cores(project: Path) -> None:
    write(project / "lectures/01_a.ipynb", "import os\nprint(os.getenv('TF_NUM_INTRAOP_THREADS'))")
    make(project, "lectures", "-j2")
    executed = project / "build/quick/01_a.ipynb"
    assert printed(executed).strip() == str(max(1, (os.cpu_count() or 1) // 2))
    executed.unlink()
    make(project, "lectures")
    assert printed(executed).strip() == "None"


def test_notebooks_are_compared_each_with_its_part_of_the_cores(project: Path) -> None:
    cores = max(1, (os.cpu_count() or 1) // 2)
    share = f"import os\nassert os.environ['TF_NUM_INTRAOP_THREADS'] == '{cores}'"
    write(project / "lectures/01_a.ipynb", "1 / 0")
    write(project / "lectures/04_b.ipynb", share)
    compared = make(project, "nbval", "-j2", "--keep-going")
    assert compared.returncode != 0
    assert re.search(r"01_a\n(.*\n)*1 failed, 1 passed", compared.stdout)
    assert re.search(r"04_b\n(.*\n)*2 passed", compared.stdout)

    write(project / "lectures/01_a.ipynb", "silent = 1")
    assert make(project, "nbval", "-j2").returncode == 0


def test_notebooks_run_on_the_backend_that_is_asked_for(project: Path) -> None:
    write(project / "lectures/01_a.ipynb", "import os\nprint(os.environ['KERAS_BACKEND'])")
    (project / ".venv").rename(project / ".venv-jax")
    (project / ".venv").symlink_to(".venv-jax")
    for lock in ("requirements-jax.lock", ".venv-jax/.ready-requirements-jax.lock"):
        (project / lock).touch()
    executed = project / "build/quick/01_a.ipynb"
    for arguments, backend in (
        ((), "tensorflow"),
        (("BACKEND=torch",), "torch"),
        (("KERAS_BACKEND=jax",), "jax"),
    ):
        assert make(project, "lectures", *arguments).returncode == 0
        assert printed(executed).strip() == backend, "it ran before, on another"


def test_onednn_is_on_unless_the_user_says_otherwise(project: Path) -> None:
    # nbval's kernel imports Keras before anything of the course could set the variable.
    look = "import os\nassert os.environ['TF_ENABLE_ONEDNN_OPTS'] == '1'"
    write(project / "lectures/01_a.ipynb", look)
    assert make(project, "nbval/01_a").returncode == 0
    assert make(project, "nbval/01_a", "TF_ENABLE_ONEDNN_OPTS=0").returncode != 0


def test_two_runs_are_compared_but_for_their_clock(project: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "first", tmp_path / "second"]
    write(project / "lectures/01_a.ipynb", "import os\nprint(os.environ['CVLAB_CACHE'])")
    for out in runs:
        knocks_twice.run(project, out, tmp_path / f"cache {out.name}", "quick", environment())
    (output,) = knocks_twice.differences(*runs)
    assert output.startswith("01_a.ipynb, compared cell")

    record = runs[1] / "records/04_b.json"
    written = record.read_text()
    record.write_text(written.replace("passed", "failed"))
    assert "04_b.json: the records differ" in knocks_twice.differences(*runs)
    record.unlink()
    assert "04_b.json: only one run has this record" in knocks_twice.differences(*runs)


def test_what_has_run_stays_when_the_package_changes_meanwhile(project: Path) -> None:
    module = project / "cvlab/module.py"
    write(project / "lectures/04_b.ipynb", f"open({str(module)!r}, 'a').write('# edited')")
    write(project / "lectures/13_c.ipynb", "print('last')")
    make(project, "lectures")
    names = sorted(path.name for path in (project / "build/quick").glob("*.ipynb"))
    assert names == ["01_a.ipynb", "04_b.ipynb", "13_c.ipynb"]


def test_make_goes_on_after_a_failure_and_resumes(project: Path) -> None:
    write(project / "lectures/01_a.ipynb", "raise RuntimeError('no luck')")
    failed = make(project, "lectures")
    assert failed.returncode != 0
    assert "04_b: passed" in failed.stdout
    assert "01_a: cell 3 failed: raise RuntimeError('no luck')" in failed.stderr
    report = (project / "build/quick/index.html").read_text(encoding="utf-8")
    assert "1 of 2 notebooks passed" in report
    assert "RuntimeError: no luck" in report

    write(project / "lectures/01_a.ipynb", "print('mended')")
    resumed = make(project, "lectures")
    assert resumed.returncode == 0, resumed.stderr
    assert "01_a: passed" in resumed.stdout
    assert "04_b: passed" not in resumed.stdout


def test_make_resumes_after_an_interruption(project: Path) -> None:
    wait = "import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(60)"
    write(project / "lectures/04_b.ipynb", wait)
    running = subprocess.Popen(
        ["make", "lectures"],
        cwd=project,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (project / "lectures/started").exists():
        assert running.poll() is None
        assert time.monotonic() < deadline, "04_b never started"
        time.sleep(0.2)
    os.killpg(running.pid, 15)
    running.wait(30)
    # The runner shuts its kernel down before it leaves, which takes a moment longer than Make.
    while (project / "build/quick/04_b.partial.ipynb").exists():
        assert time.monotonic() < deadline + 60, "the runner did not stop"
        time.sleep(0.2)
    assert sorted(path.name for path in (project / "build/quick").glob("*.ipynb")) == ["01_a.ipynb"]

    write(project / "lectures/04_b.ipynb", "print('short')")
    resumed = make(project, "lectures")
    assert resumed.returncode == 0, resumed.stderr
    assert "01_a: passed" not in resumed.stdout
    assert "04_b: passed" in resumed.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lectures", "PROFILE=fast"), "There is no profile 'fast'"),
        (("test", "BACKEND=paper"), "BACKEND=tensorflow, jax or torch, not on 'paper'"),
        (("lectures", "PHOTOS=nowhere.zip"), "nowhere.zip: check PHOTOS="),
        (("compare", "A=build/quick"), "Name two runs"),
        (("record",), "No notebook has run in build/quick"),
    ],
)
def test_make_explains_bad_arguments(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = make(project, *arguments)
    assert result.returncode != 0
    assert message in result.stderr


def test_make_student_and_slides(project: Path) -> None:
    assert "2 notebooks without solutions" in make(project, "student").stdout
    copies = sorted(path.name for path in (project / "build/student").iterdir())
    assert copies == ["01_a.ipynb", "04_b.ipynb"]
    assert "2 notebooks as slides" in make(project, "slides").stdout
    assert (project / "build/quick/slides/01_a.html").exists()


def test_make_help_lists_every_public_target(project: Path) -> None:
    shown = make(project, "help").stdout
    phony = next(
        line
        for line in (PROJECT / "Makefile").read_text().splitlines()
        if line.startswith(".PHONY")
    )
    inner = {"help", "executed", "summed", "nbval", "FORCE"}
    public = set(phony.split(":")[1].split()) - inner
    assert {"lectures", "test", "knocks", "distclean"} <= public
    for target in public:
        assert f"make {target}" in shown
