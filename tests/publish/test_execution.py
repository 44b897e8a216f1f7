"""One notebook: it passes, it fails, its kernel dies, its outputs are refreshed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError

from cvlab.course import findings
from cvlab.publish import execution, tags
from cvlab.publish.outcomes import Record
from tests.small_project import write


@pytest.fixture(autouse=True)
def _this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv(findings.FOLDER_VARIABLE, "")  # `execute` sets it; put back afterwards


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


def test_a_kernel_that_dies_leaves_a_record_and_the_outputs(tmp_path: Path) -> None:
    source = write(tmp_path / "04_b.ipynb", "print('before')", "import os\nos._exit(137)")
    target = tmp_path / "out/04_b.ipynb"
    record = execution.execute(source, target, "quick")
    assert (record.verdict, record.cell) == ("failed", 0)
    assert "before" in printed(target.with_name("04_b.failed.ipynb"))
    assert not target.exists()
    assert record.error.startswith("the kernel died, most likely because it ran out of memory")


# What C++ code writes goes to the file descriptor, past Python's sys.stderr.
PAST_PYTHON = "import os\nos.write(2, b'start-up message of a library\\n')\nprint('result')"


def test_messages_from_below_python_do_not_show(
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


def test_a_recorded_run_gives_the_committed_notebook_its_outputs(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", "PROFILE * 2")
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    execution.execute(path, tmp_path / "out/01_a.ipynb", "quick")
    execution.adopt(tmp_path / "out/01_a.ipynb", path)
    *_, cell = nbformat.read(path, as_version=4).cells
    assert cell.outputs[0].data["text/plain"] == "'quickquick'"
    assert (cell.execution_count, cell.outputs[0].execution_count) == (2, 2)
    assert [cell.id for cell in nbformat.read(path, as_version=4).cells] == ids


def test_outputs_of_another_notebook_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", "print(1)")
    execution.execute(path, tmp_path / "out/01_a.ipynb", "quick")
    write(path, "print(2)")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"01_a.ipynb was changed after .* was made from it"):
        execution.adopt(tmp_path / "out/01_a.ipynb", path)
    assert path.read_bytes() == before


def test_refresh_leaves_a_failing_notebook_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(PapermillExecutionError):
        execution.refresh(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_has_run_from_the_same_inputs_is_not_run_again(tmp_path: Path) -> None:
    count = "import pathlib\nfile = pathlib.Path('runs')\nprint(file.open('a').write('x'))"
    source, target = write(tmp_path / "01_a.ipynb", count), tmp_path / "out/01_a.ipynb"
    first = execution.execute(source, target, "quick", inputs="key")
    assert execution.execute(source, target, "quick", inputs="key") == first
    execution.execute(source, target, "quick", inputs="another key")
    assert (tmp_path / "runs").read_text() == "xx"
