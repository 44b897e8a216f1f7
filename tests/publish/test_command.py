"""`python -m cvlab`: what runs, what runs again, what is said, and the Makefile around it."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from cvlab.publish import command
from tests.knocks import twice as knocks_twice
from tests.small_project import PROJECT, environment, lay_out, write
from tests.small_project import command as cvlab


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two small notebooks in a folder whose name needs care."""
    folder = lay_out(tmp_path / "with space and 'quote'")
    write(
        folder / "lectures/01_a.ipynb",
        "import os\nprint(*(os.environ[f'CVLAB_{n}'] for n in ('PHOTOS', 'BASE')))",
    )
    write(folder / "lectures/04_b.ipynb", "x = 1")
    return folder


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", [])).strip()


def passed(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The notebooks that ran now and passed."""
    return sorted(re.findall(r"^(\w+): passed", result.stdout, flags=re.MULTILINE))


def test_each_notebook_runs_once_and_again_only_when_something_changed(project: Path) -> None:
    first = cvlab(project, "lectures")
    assert first.returncode == 0, first.stderr
    assert passed(first) == ["01_a", "04_b"]
    assert re.search(r"^total +\d", first.stdout, flags=re.MULTILINE)
    assert "report: build/quick/index.html" in first.stdout
    report = project / "build/quick/index.html"
    assert "2 of 2 notebooks passed" in report.read_text(encoding="utf-8")

    # The table is there even if nothing runs; a newer time alone changes nothing.
    later = time.time() + 2
    os.utime(project / "lectures/04_b.ipynb", (later, later))
    again = cvlab(project, "lectures")
    assert again.returncode == 0
    assert passed(again) == []
    assert "total" in again.stdout

    base = cvlab(project, "lectures", "--base", "MobileNet(alpha=0.5)")
    assert passed(base) == ["01_a", "04_b"]
    assert printed(project / "build/quick/01_a.ipynb") == "MobileNet(alpha=0.5)"

    # What is edited while the clock is set back looks older than what was made before.
    write(project / "lectures/04_b.ipynb", "x = 2")
    os.utime(project / "lectures/04_b.ipynb", (0, 0))
    changed = cvlab(project, "lectures", CVLAB_BASE="MobileNet(alpha=0.5)")
    assert passed(changed) == ["04_b"]


def test_photos_without_a_profile_mean_laptop(project: Path) -> None:
    (project / "photos.zip").touch()
    result = cvlab(project, "lectures", "01", "--photos", "photos.zip")
    assert "this is the profile laptop" in result.stdout
    assert passed(result) == ["01_a"]
    assert printed(project / "build/laptop/01_a.ipynb") == str(project / "photos.zip")
    (project / "others.zip").touch()
    named = cvlab(project, "lectures", "01", "--profile=laptop", CVLAB_PHOTOS="others.zip")
    assert "this is the profile" not in named.stdout
    assert passed(named) == ["01_a"], "other photos"


def test_14_runs_after_the_others_and_again_when_they_found_something_else(project: Path) -> None:
    finding = (
        "import json, os, pathlib\nfolder = pathlib.Path(os.environ['CVLAB_RECORDS'])\n"
        "folder.mkdir(exist_ok=True)\n"
        "found = dict(profile='quick', claims=[], notebook='{}')\n"
        "(folder / '01.claims.json').write_text(json.dumps(found))"
    )
    (project / "lectures/04_b.ipynb").unlink()
    write(project / "lectures/01_a.ipynb", finding.format(1))
    look = "import os\nprint(sorted(os.listdir(os.environ['CVLAB_RECORDS'])))"
    write(project / "lectures/14_b.ipynb", look)
    assert passed(cvlab(project, "lectures", "-j4")) == ["01_a", "14_b"]
    assert "01_a.json" in printed(project / "build/quick/14_b.ipynb")
    assert passed(cvlab(project, "lectures")) == []

    write(project / "lectures/01_a.ipynb", finding.format(2))
    assert passed(cvlab(project, "lectures")) == ["01_a", "14_b"]

    # A failure does not keep 13 from saying what there is.
    write(project / "lectures/01_a.ipynb", "1 / 0")
    failed = cvlab(project, "lectures")
    assert failed.returncode == 1
    assert passed(failed) == ["14_b"]


def test_a_failing_notebook_stops_no_other_and_runs_again(project: Path) -> None:
    write(project / "lectures/01_a.ipynb", "raise RuntimeError('no luck')")
    failed = cvlab(project, "lectures")
    assert failed.returncode == 1
    assert passed(failed) == ["04_b"]
    assert "01_a: failed in" in failed.stdout
    assert "01_a: cell 3 failed: raise RuntimeError('no luck')" in failed.stderr
    report = (project / "build/quick/index.html").read_text(encoding="utf-8")
    assert "1 of 2 notebooks passed" in report
    assert "RuntimeError: no luck" in report

    write(project / "lectures/01_a.ipynb", "print('mended')")
    resumed = cvlab(project, "lectures")
    assert resumed.returncode == 0, resumed.stderr
    assert passed(resumed) == ["01_a"]


@pytest.mark.parametrize(
    ("number", "group", "status"),
    [(signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)],
    ids=["told to end", "interrupted by keyboard"],
)
def test_a_stopped_run_leaves_nothing_half_finished_and_resumes(
    project: Path, number: int, group: bool, status: int
) -> None:
    write(project / "lectures/01_a.ipynb", "print('short')")
    pid = "import os, pathlib, time\npathlib.Path('started').write_text(str(os.getpid()))\n"
    write(project / "lectures/04_b.ipynb", pid + "time.sleep(60)")
    running = subprocess.Popen(
        [sys.executable, "-m", "cvlab", "lectures", "-j2"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, children included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    started, done = project / "lectures/started", project / "build/quick/01_a.ipynb"
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text() and done.exists()):
        assert running.poll() is None
        assert time.monotonic() < deadline, "04_b never started"
        time.sleep(0.1)
    if group:
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode == status
    assert [path.name for path in (project / "build/quick").glob("*.ipynb")] == ["01_a.ipynb"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)

    write(project / "lectures/04_b.ipynb", "print('short')")
    resumed = cvlab(project, "lectures")
    assert resumed.returncode == 0, resumed.stderr
    assert passed(resumed) == ["04_b"]


def test_the_settings_of_a_run_reach_its_notebooks(project: Path) -> None:
    names = "KERAS_BACKEND", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS", "CVLAB_CACHE"
    write(project / "lectures/01_a.ipynb", f"import os\nprint(*map(os.getenv, {names}), sep='|')")
    executed, build = project / "build/quick/01_a.ipynb", project / "build"
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    cvlab(project, "lectures", "01", "-j2", KERAS_BACKEND="tensorflow")
    assert printed(executed) == f"tensorflow|{share}|1|{build / 'cache'}"
    other = {"TF_ENABLE_ONEDNN_OPTS": "0", "CVLAB_CACHE": "elsewhere"}
    cvlab(project, "lectures", "01", "-j1", "--base=VGG16", **other)
    assert printed(executed) == f"tensorflow|None|0|{project / 'elsewhere'}", "it ran before"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_that_is_not_installed_is_refused_at_once(project: Path, backend: str) -> None:
    if importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is installed")
    write(project / "lectures/01_a.ipynb", "print(1)")
    refused = cvlab(project, "lectures", f"--backend={backend}")
    assert refused.returncode == 1
    assert f"pip install -e '.[{backend}]'" in refused.stderr
    assert not (project / "build/quick/01_a.ipynb").exists()


def test_notebooks_are_compared_with_their_committed_outputs(project: Path) -> None:
    write(project / "lectures/01_a.ipynb", "print('now', 'this')")
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    threads = f"import os\nassert os.environ['OMP_NUM_THREADS'] == '{share}'"
    onednn = "assert os.environ['TF_ENABLE_ONEDNN_OPTS'] == '1'"
    write(project / "lectures/04_b.ipynb", f"{threads}\n{onednn}")
    refreshed = cvlab(project, "refresh", "lectures/01_a.ipynb")
    assert refreshed.returncode == 0, refreshed.stderr
    assert printed(project / "lectures/01_a.ipynb") == "now this"
    assert cvlab(project, "check", "01").returncode == 0

    content = (project / "lectures/01_a.ipynb").read_text()
    (project / "lectures/01_a.ipynb").write_text(content.replace("now this", "then that"))
    compared = cvlab(project, "check", "-j2")
    assert compared.returncode == 1
    assert passed(compared) == ["04_b"]
    assert re.search(r"01_a: failed(.*\n)*.*1 failed, 1 passed", compared.stdout)


def test_two_runs_are_compared_but_for_their_clock(project: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "first", tmp_path / "second"]
    write(project / "lectures/01_a.ipynb", "import os\nprint(os.environ['CVLAB_CACHE'])")
    for out in runs:
        knocks_twice.run(project, out, tmp_path / f"cache {out.name}", "quick", environment())
    outs = [out / "quick" for out in runs]
    (output,) = knocks_twice.differences(*outs)
    assert output.startswith("01_a.ipynb, compared cell")

    record = outs[1] / "records/04_b.json"
    written = record.read_text()
    record.write_text(written.replace("passed", "failed"))
    assert "04_b.json: the records differ" in knocks_twice.differences(*outs)
    record.unlink()
    assert "04_b.json: only one run has this record" in knocks_twice.differences(*outs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lectures", "--profile", "fast"], "invalid choice: 'fast'"),
        (["lectures", "--backend", "paper"], "invalid choice: 'paper'"),
        (["lectures", "--photos", "nowhere.zip"], "nowhere.zip: check PHOTOS="),
        (["lectures", "--other", "nowhere"], "nowhere: check OTHER="),
        (["lectures", "--weights", "nowhere.h5"], "nowhere.h5: check WEIGHTS="),
        (["lectures", "--notebooks", "nowhere"], "There are no notebooks in nowhere"),
        (["lectures", "-j", "0"], "argument -j/--jobs: 0 is too few"),
        (["lectures", "06_c"], "There is no notebook 06_c in lectures: it has 01_a, 04_b"),
        (["compare", "build/quick"], "the following arguments are required: RUN"),
        (["compare", "build/quick", "build/laptop"], "No notebook has run in build/quick"),
        (["record"], "No notebook has run in build/quick"),
        (["report"], "`python -m cvlab lectures --profile quick`"),
        (["contents"], "01_a: the first cell needs a line **Time**"),
        (["lecture"], "invalid choice: 'lecture'"),
    ],
)
def test_wrong_arguments_are_explained(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(project)
    for name in ("CVLAB_PHOTOS", "CVLAB_OTHER", "CVLAB_WEIGHTS", "CVLAB_BASE", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    try:
        status = command.main(arguments)
    except SystemExit as refusal:
        status = int(str(refusal.code))
    assert status != 0
    assert message in capsys.readouterr().err


def test_the_notebooks_are_found_from_anywhere(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = ("--notebooks", str(project / "lectures"), "--out", str(elsewhere / "made"))
    assert "2 notebooks without solutions" in cvlab(elsewhere, "student", *arguments).stdout
    copies = sorted(path.name for path in (elsewhere / "made/student").iterdir())
    assert copies == ["01_a.ipynb", "04_b.ipynb"]
    assert "1 notebooks as slides" in cvlab(elsewhere, "slides", "04", *arguments).stdout
    assert (elsewhere / "made/quick/slides/04_b.html").exists()
    # Without a folder of notebooks here, those beside the package are taken.
    assert "18 notebooks without" in cvlab(elsewhere, "student").stdout


def test_lab_opens_the_first_notebook(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[str]] = []
    monkeypatch.chdir(project)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(os, "execv", lambda program, arguments: opened.append(arguments))
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    for given, opens in ([], "build/course/01_a.ipynb"), (["--masters"], "lectures/01_a.ipynb"):
        command.main(["lab", *given])  # it returns only in this test
        assert opened.pop() == [sys.executable, "-m", "jupyterlab", opens, *as_root]
    assert (project / "build/course/04_b.ipynb").exists()


def test_contents_that_differ_are_named_and_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    for path in (project / "lectures").iterdir():
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source = f"# {path.stem}\n\n**Time**: a while."
        notebook.cells.append(nbformat.v4.new_markdown_cell("## Onward\n\nNext.", id="last"))
        nbformat.write(notebook, path)
    before = (project / "lectures/01_a.ipynb").read_bytes()
    assert command.main(["contents", "--check"]) == 1
    assert "lectures/01_a.ipynb: contents, times or links differ" in capsys.readouterr().out
    assert (project / "lectures/01_a.ipynb").read_bytes() == before
    assert command.main(["contents"]) == 0
    assert command.main(["contents", "--check"]) == 0


def test_the_contents_of_the_course_are_written() -> None:
    assert cvlab(PROJECT, "contents", "--check").returncode == 0


def test_help_comes_at_once_and_without_keras() -> None:
    code = (
        "import sys\nfrom cvlab.publish.command import main\nassert main(['help']) == 0\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'matplotlib', 'nbformat', 'papermill'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    experiments = ("pretrain", "ladder", "sheets", "photo-features", "vgg16", "batch-and-rate")
    for name in ("lectures", "check", "refresh", *experiments):
        assert re.search(rf"^    {name}\s", shown.stdout, flags=re.MULTILINE)
    assert "execute one notebook" not in shown.stdout.lower()


def test_the_experiments_have_options_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["sheets", "--help"])
    assert "--seed" in capsys.readouterr().out


# --- the Makefile --------------------------------------------------------------------------------


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_passes_everything_on_as_it_is(project: Path) -> None:
    photos = project / 'ph\'otos $(HOME) `x` "y".zip'
    photos.touch()
    share = "import os\nprint(os.environ['CVLAB_PHOTOS'], os.environ['OMP_NUM_THREADS'])"
    write(project / "lectures/01_a.ipynb", share)
    run = make(project, "lectures", "PROFILE=quick", f"PHOTOS={photos.name}", "-j2")
    assert run.returncode == 0, run.stderr
    assert passed(run) == ["01_a", "04_b"]
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert printed(project / "build/quick/01_a.ipynb") == f"{photos} {threads}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lectures", "PROFILE=fast"), "There is no profile 'fast'"),
        (
            ("test", "BACKEND=paper"),
            "There is no backend 'paper': use BACKEND=tensorflow",
        ),
        (("compare", "A=build/quick"), "the following arguments are required: RUN"),
    ],
)
def test_make_explains_bad_arguments(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = make(project, *arguments)
    assert result.returncode != 0
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("lectures",), ".venv/bin/python -m cvlab lectures"),
        (("lectures", "BACKEND=jax"), ".venv-jax/bin/python -m cvlab lectures"),
        (("setup", "BACKEND=jax"), ".ci/setup .venv-jax requirements-jax.lock"),
        (("setup", "GPU=1"), ".ci/setup .venv requirements-gpu.lock"),
        (("-j3", "refresh"), "cvlab refresh -j 3"),
        (("lab", "MASTERS=1"), "cvlab lab --masters"),
        (("app", "MODEL=a b.keras"), "cvlab app --model 'a b.keras'"),
        (("release", "VERSION=0.2.0", "NOTEBOOKS=00 05"), "cvlab release '0.2.0' 00 05"),
        (("record", "PROFILE=laptop"), "cvlab record --profile 'laptop'"),
        (("test", "BACKEND=torch"), ".venv/bin/python -m pytest -n 2 --dist worksteal"),
    ],
)
def test_make_is_a_list_of_aliases(
    project: Path, arguments: tuple[str, ...], expected: str
) -> None:
    for lock in ("requirements-jax.lock", "requirements-gpu.lock"):
        (project / lock).touch()
    assert expected in make(project, "--dry-run", *arguments).stdout


def test_make_help_lists_every_public_target(project: Path) -> None:
    shown = make(project, "help").stdout
    makefile = (PROJECT / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY"))
    public = phony.split(":")[1].split()
    assert {"lectures", "test", "knocks", "distclean"} <= set(public)
    for target in public:
        assert f"make {target} " in shown
    assert len(makefile.splitlines()) <= 90
