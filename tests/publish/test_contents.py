"""The generated parts of the notebooks: in step with each other, recorded runs and setting."""

import copy
import re
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cvlab import profiles
from cvlab.course import claims, recorded, statements
from cvlab.course.recorded import Recorded
from cvlab.publish import contents
from cvlab.publish.pages import title_of

LECTURES = Path(__file__).parents[2] / "lectures"
NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4) for path in sorted(LECTURES.glob("[0-9]*.ipynb"))
}
TITLES = {"00_start": "00 · Start", "05_base": "05 · Base", "14_end": "14 · End"}
RUNS = {
    "quick": Recorded({"00_start": 8.0, "05_base": 95.0}, {"Cores": "2"}, {}),
    "laptop": Recorded({}, {}, {}),
    "lecture": Recorded({"05_base": 700.0}, {"Cores": "16", "GPU": "NVIDIA H100"}, {}),
}


def notebook() -> NotebookNode:
    first = "# 05 · Base\n\n**You will learn** x.\n\n**Time**: a\nwhile.\n**Builds on**: nothing."
    cells = [
        new_markdown_cell(first),
        new_code_cell("1"),
        new_markdown_cell("## Contents\n\nold\ntable\n\n## More\n\ntext"),
        new_markdown_cell("## Onward\n\nNext."),
    ]
    made: NotebookNode = new_notebook(cells=cells)
    return made


def test_times_ways_and_contents_are_written() -> None:
    made = contents.write(notebook(), "05_base", TITLES, RUNS, "")
    assert made.cells[0].source == (
        "# 05 · Base\n\n**You will learn** x.\n\n"
        "**Time**: 1.5 minutes with `quick` (2 cores), 12 minutes with `lecture` (NVIDIA H100).\n"
        "**Builds on**: nothing."
    )
    assert made.cells[-1].source == (
        "## Onward\n\nNext.\n\n---\n\n"
        "← [00 · Start](00_start.ipynb) · [Contents](00_start.ipynb) · [14 · End](14_end.ipynb) →"
    )
    assert made.cells[2].source == (
        "## Contents\n\n| notebook | `quick` | `lecture` |\n|---|---|---|\n"
        "| [00 · Start](00_start.ipynb) | 10 seconds | – |\n"
        "| [05 · Base](05_base.ipynb) | 1.5 minutes | 12 minutes |\n"
        "| [14 · End](14_end.ipynb) | – | – |\n\n## More\n\ntext"
    )
    assert len(made.cells) == 4


def test_the_ends_have_one_neighbor() -> None:
    assert contents.way("00_start", TITLES) == "[05 · Base](05_base.ipynb) →"
    assert contents.way("14_end", TITLES).endswith("[Contents](00_start.ipynb)")


def test_without_a_recorded_run_the_time_stays_as_it_is() -> None:
    made = contents.write(notebook(), "14_end", TITLES, RUNS, "")
    assert "**Time**: a\nwhile.\n**Builds on**" in made.cells[0].source


@pytest.mark.parametrize("course", ["", "someone/course"])
def test_writing_twice_is_writing_once(course: str) -> None:
    once = contents.write(notebook(), "05_base", TITLES, RUNS, course)
    twice = contents.write(copy.deepcopy(once), "05_base", TITLES, RUNS, course)
    assert [cell.source for cell in once.cells] == [cell.source for cell in twice.cells]


def test_a_repository_brings_links_and_a_first_cell_and_its_loss_removes_them() -> None:
    made = contents.write(notebook(), "05_base", TITLES, RUNS, "someone/course")
    nbformat.validate(made)
    title = made.cells[0].source
    assert (
        "colab.research.google.com/github/someone/course/blob/main/lectures/05_base.ipynb" in title
    )
    assert "mybinder.org/v2/gh/someone/course/main?labpath=lectures/05_base.ipynb" in title
    assert "(https://github.com/someone/course/blob/main/lectures/05_base.ipynb)" in title
    assert "git+https://github.com/someone/course" in made.cells[1].source
    lock = (LECTURES.parent / "requirements.lock").read_text(encoding="utf-8")
    (keras,) = re.findall(r"keras==[\d.]+", made.cells[1].source)
    assert f"\n{keras} " in lock
    assert [cell.execution_count for cell in made.cells[1:3]] == [None, None], "never run"
    made.cells[2].execution_count = 1
    made.cells[2].outputs = [new_output("execute_result", execution_count=1)]
    run = contents.write(copy.deepcopy(made), "05_base", TITLES, RUNS, "someone/course")
    assert [cell.execution_count for cell in run.cells[1:3]] == [1, 2]
    assert run.cells[2].outputs[0].execution_count == 2
    gone = contents.write(made, "05_base", TITLES, RUNS, "")
    assert gone.cells[1].execution_count == 1
    assert "Colab" not in "".join(cell.source for cell in gone.cells)
    assert len(gone.cells) == 4


@pytest.mark.parametrize(
    ("on_colab", "installed", "expected"),
    [(True, False, 2), (True, True, 0), (False, False, 0), (False, True, 0)],
)
def test_the_first_cell_installs_on_colab_alone(
    monkeypatch: pytest.MonkeyPatch, on_colab: bool, installed: bool, expected: int
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    else:
        monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    cell = contents.write(notebook(), "05_base", TITLES, RUNS, "someone/course").cells[1]
    exec(cell.source, {})
    assert len(commands) == expected
    for command in commands:
        assert command[:4] == [sys.executable, "-m", "pip", "install"]


def test_a_fork_gets_links_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = tmp_path / "fork"
    (fork / "lectures").mkdir(parents=True)
    path = fork / "lectures/00_start.ipynb"
    nbformat.write(notebook(), path)
    readme = fork / "README.md"
    readme.write_text("# Course\n\nText.\n")
    git = ["git", "-C", str(fork)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "git@github.com:me/fork"], check=True)
    inside = fork / ".venv/site-packages"
    inside.mkdir(parents=True)
    assert contents.origin(inside) == "", "installed inside another repository"

    monkeypatch.setattr(contents, "repository", lambda: "")
    monkeypatch.setattr(contents, "address", lambda: contents.origin(fork))
    for course in ("me/fork", "you/fork"):
        address = f"https://github.com/{course}"
        subprocess.run([*git, "remote", "set-url", "origin", address], check=True)
        assert contents.update([path]) == [path, readme]
        assert contents.update([path]) == []
        made = nbformat.read(path, as_version=4)
        assert contents.linked(made.cells[0].source) == course
        assert f"git+https://github.com/{course}" in made.cells[1].source
        assert contents.linked(readme.read_text()) == course
        assert readme.read_text().count("Open in Colab") == 1
    # A fork of the fork passes the check as it is, unless it says where the course is.
    assert contents.update([path], check=True) == []
    monkeypatch.setattr(contents, "repository", lambda: "they/course")
    assert contents.update([path], check=True) == [path, readme]
    monkeypatch.setattr(contents, "address", str)
    assert contents.update([path]) == [path, readme]
    assert readme.read_text() == "# Course\n\nText.\n"


def test_the_readme_is_in_step() -> None:
    readme = (LECTURES.parent / "README.md").read_text(encoding="utf-8")
    course = contents.repository() or contents.linked(readme)
    assert contents.badges(readme, "00_start_here", course) == readme


def test_a_notebook_without_a_place_for_them_is_named() -> None:
    broken = new_notebook(cells=[new_markdown_cell("# 05"), new_markdown_cell("## Onward")])
    with pytest.raises(ValueError, match=r"05_base: the first cell needs a line \*\*Time\*\*"):
        contents.write(broken, "05_base", TITLES, RUNS, "")


@pytest.mark.parametrize("setting", ["https://github.com/a/b", "name", "a/b/c"])
def test_a_repository_that_is_none_is_refused(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(f'[tool.cvlab]\nrepository = "{setting}"\n')
    with pytest.raises(ValueError, match='must be "owner/name"'):
        contents.repository(file)


@given(st.floats(0.1, 10_000))
def test_a_span_is_within_a_third_or_a_few_seconds(seconds: float) -> None:
    number, unit = contents.span(seconds).split()
    said = float(number) * (60 if unit.startswith("minute") else 1)
    assert abs(said - seconds) <= max(5, seconds / 3)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_committed_notebooks_are_in_step(name: str) -> None:
    """`make contents` would change nothing."""
    titles = {stem: title_of(found) for stem, found in NOTEBOOKS.items()}
    runs = {profile: recorded.load(profile) for profile in profiles.PROFILES}
    committed = NOTEBOOKS[name]
    course = contents.repository() or contents.linked(committed.cells[0].source)
    written = contents.write(copy.deepcopy(committed), name, titles, runs, course)
    assert [cell.source for cell in written.cells] == [cell.source for cell in committed.cells]
    for link in re.findall(r"\]\(([^)]+\.ipynb)\)", written.cells[-1].source):
        assert (LECTURES / link).exists()


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_a_recorded_run_is_whole_and_of_these_notebooks(profile: str) -> None:
    run = recorded.load(profile)
    if not run.seconds:
        pytest.skip(f"no run of the profile {profile} is recorded")
    # The lecture's own run takes hours on a processor and may be recorded in pieces.
    assert set(run.seconds) == set(NOTEBOOKS) or profile == "lecture"
    assert set(run.seconds) <= set(NOTEBOOKS)
    assert all(seconds > 0 for seconds in run.seconds.values())
    numbers = {name[:2] for name in run.seconds}
    of_these = {name for name, claim in statements.CLAIMS.items() if claim.notebook in numbers}
    # A notebook that was stopped after its test has claims there, and no time.
    assert of_these == set(run.findings) or (profile == "lecture" and of_these < set(run.findings))
    if profile == "quick":
        found = {name: finding.verdict for name, finding in run.findings.items()}
        assert found == {name: claims.expected(claim) for name, claim in statements.CLAIMS.items()}


def test_readme_lists_every_notebook_and_every_room_once() -> None:
    readme = (LECTURES.parent / "README.md").read_text(encoding="utf-8")
    package = LECTURES.parent / "cvlab"
    rooms = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    rooms += [path.stem for path in package.glob("*.py") if not path.stem.startswith("__")]
    table = readme.split("| room | what is in it |")[1]
    assert sorted(re.findall(r"^\| `([a-z_/]+)` \|", table, flags=re.MULTILINE)) == sorted(rooms)
    rows = re.findall(r"^\| \[.+\]\(lectures/(\d\d_\w+)\.ipynb\)", readme, flags=re.MULTILINE)
    assert rows == list(NOTEBOOKS)
