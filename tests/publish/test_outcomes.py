"""Records of notebooks, and the table that a run ends with."""

import subprocess
import sys
from pathlib import Path

from cvlab.publish import outcomes
from cvlab.publish.outcomes import Record
from tests.small_project import PROJECT


def test_table_adds_up_and_tells_what_has_not_run(tmp_path: Path) -> None:
    Record("01_a", "quick", 1.25, "passed").save(tmp_path)
    Record("04_b", "quick", 2.5, "passed").save(tmp_path)
    text, problems = outcomes.table(tmp_path, ["01_a", "04_b"])
    assert problems == []
    assert text.splitlines()[-1].split() == ["total", "3.8"]
    text, problems = outcomes.table(tmp_path, ["01_a", "03_c"])
    assert "not run" in text
    assert problems == ["03_c: not run to its end; run the same command again to resume"]


def test_the_table_says_where_a_notebook_failed(tmp_path: Path) -> None:
    Record("04_b", "quick", 1, "failed", 4, "1 / 0 -> ZeroDivisionError: x").save(tmp_path)
    Record("05_c", "quick", 1, "failed", 0, "the kernel died").save(tmp_path)
    text, problems = outcomes.table(tmp_path, ["04_b", "05_c"])
    assert text.count("failed") == 2
    assert problems[0].startswith("04_b: cell 4 failed: 1 / 0 -> ZeroDivisionError: x\n")
    assert problems[1].startswith("05_c: failed: the kernel died\n")
    assert str(tmp_path / "04_b.failed.ipynb") in problems[0]


def test_a_record_is_current_if_it_passed_with_these_inputs(tmp_path: Path) -> None:
    Record("01_a", "quick", 1, "passed", inputs="key").save(tmp_path)
    assert Record.current(tmp_path, "01_a", "key") is None, "its notebook is gone"
    (tmp_path / "01_a.ipynb").touch()
    assert Record.current(tmp_path, "01_a", "key") == Record.load(tmp_path, "01_a")
    assert Record.current(tmp_path, "01_a", "other") is None
    Record("01_a", "quick", 1, "failed", inputs="key").save(tmp_path)
    assert Record.current(tmp_path, "01_a", "key") is None


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    Record("01_a", "quick", 1, "passed").save(tmp_path)
    Record.path(tmp_path, "01_a").write_text('{"notebook": ')
    assert Record.load(tmp_path, "01_a") is None


def test_records_are_read_without_any_library() -> None:
    # -S: not even the folder with the installed packages is known.
    code = "from cvlab.publish import outcomes; print(outcomes.table)"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=PROJECT, check=True)
