"""What the notebooks say about each other: contents, way to the neighbors, times, links to Colab.

`python -m cvlab contents` writes these parts into the notebooks, from the list of notebooks, the
recorded runs (`cvlab.course.recorded`) and the course's address on GitHub. The address is the
setting `repository` in the section `tool.cvlab` of pyproject.toml or, where that is empty, the
checkout's remote `origin`, so a fork has links of its own. Everything else stays as it is.
"""

import copy
import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import nbformat
from nbformat import NotebookNode

from cvlab import profiles
from cvlab.course import recorded
from cvlab.course.recorded import Recorded
from cvlab.publish.pages import asset, title_of

PROJECT: Final = Path(__file__).parents[2]

_TIME: Final = re.compile(r"\*\*Time\*\*.*?(?=\n\*\*|\n\n|\Z)", re.DOTALL)
_OPEN: Final = re.compile(r"\n\n\*\*Open\*\* .*\Z", re.DOTALL)
WAY: Final = re.compile(r"\n\n---\n\n.*\Z", re.DOTALL)
_TABLE: Final = re.compile(r"(?<=## Contents\n\n).*?(?=\n\n## |\Z)", re.DOTALL)

_BADGES: Final = re.compile(r"(?m)^\[!\[Open in Colab\].*\n\n")
# The course whose links a notebook or the README has.
_LINKED: Final = re.compile(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/")

COLAB_CELL: Final = "colab"
# First cell where the address is known. Only a reader on Colab needs it, so it asks first.
_COLAB: Final = str(asset("colab.txt")).strip()


def repository(settings: Path = PROJECT / "pyproject.toml") -> str:
    """The course's "owner/name" on GitHub, empty if it is not set.

    Raises:
        ValueError: If it is set to anything but an owner and a name.
    """
    if not settings.exists():  # installed from a wheel
        return ""
    content = tomllib.loads(settings.read_text(encoding="utf-8"))
    name = str(content.get("tool", {}).get("cvlab", {}).get("repository", ""))
    if name and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ValueError(
            f'repository = "{name}" in {settings.name} must be "owner/name", as in the address of '
            "the course on GitHub, or empty"
        )
    return name


def origin(folder: Path = PROJECT) -> str:
    """The "owner/name" of a checkout whose remote `origin` is on GitHub; empty for any other."""
    if not (folder / ".git").exists():  # installed, perhaps somewhere inside another repository
        return ""
    asked = ["git", "-C", str(folder), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return ""
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", done.stdout.strip())
    return found[1] if found else ""


@cache
def address() -> str:
    """The course's "owner/name": as it is set, else that of the checkout, asked for once."""
    return repository() or origin()


def span(seconds: float) -> str:
    """Round a time as people say it: `10 seconds`, `1.5 minutes`, `12 minutes`."""
    if seconds < 45:
        return f"{max(5, 5 * round(seconds / 5))} seconds"
    halves = max(2, round(seconds / 30))
    if halves < 10:
        return "1 minute" if halves == 2 else f"{halves / 2:g} minutes"
    return f"{round(seconds / 60)} minutes"


def time_line(name: str, runs: Mapping[str, Recorded]) -> str:
    """The sentence about a notebook's time; empty if no recorded run knows it."""
    known = [
        f"{span(run.seconds[name])} with `{profile}` ({run.place})"
        for profile, run in runs.items()
        if name in run.seconds
    ]
    return f"**Time**: {', '.join(known)}." if known else ""


def table(titles: Mapping[str, str], runs: Mapping[str, Recorded]) -> str:
    """The contents as a Markdown table: title with link, time in each recorded profile."""
    recorded_profiles = [profile for profile, run in runs.items() if run.seconds]
    lines = [
        "| notebook |" + "".join(f" `{profile}` |" for profile in recorded_profiles),
        "|---|" + "---|" * len(recorded_profiles),
    ]
    for name, title in titles.items():
        times = [runs[profile].seconds.get(name) for profile in recorded_profiles]
        cells = "".join(f" {span(seconds) if seconds else '–'} |" for seconds in times)
        lines.append(f"| [{title}]({name}.ipynb) |{cells}")
    return "\n".join(lines)


def way(name: str, titles: Mapping[str, str]) -> str:
    """The line with links to the notebook before, the contents and the notebook after."""
    names = list(titles)
    at = names.index(name)
    parts = []
    if at > 0:
        parts.append(f"← [{titles[names[at - 1]]}]({names[at - 1]}.ipynb)")
        parts.append(f"[Contents]({names[0]}.ipynb)")
    if at + 1 < len(names):
        parts.append(f"[{titles[names[at + 1]]}]({names[at + 1]}.ipynb) →")
    return " · ".join(parts)


def tested(package: str, lock: Path = PROJECT / "requirements.lock") -> str:
    """The version of a package in the lock file, with which the tests run."""
    found = re.search(rf"(?m)^{re.escape(package)}==(\S+)", lock.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{lock.name} does not hold {package}")
    return found[1]


def _places(name: str, course: str) -> tuple[str, str, str]:
    """Addresses of a notebook on Colab, Binder and GitHub."""
    file = f"{course}/blob/main/lectures/{name}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{course}/main?labpath=lectures/{name}.ipynb"
    return f"https://colab.research.google.com/github/{file}", binder, f"https://github.com/{file}"


def links(name: str, course: str) -> str:
    """Links that open a notebook on Colab, Binder and GitHub; empty without a course."""
    if not course:
        return ""
    colab, binder, source = _places(name, course)
    there = f"[Colab]({colab}) or [Binder]({binder})"
    return f"**Open** this notebook in {there}, or [suggest a change]({source})."


def badges(readme: str, first: str, course: str) -> str:
    """Return the README with badges that open the first notebook, or without them if no course."""
    plain = _BADGES.sub("", readme)
    if not course:
        return plain
    colab, binder, _ = _places(first, course)
    line = " ".join(
        f"[![{text}]({image})]({target})"
        for text, image, target in (
            ("Open in Colab", "https://colab.research.google.com/assets/colab-badge.svg", colab),
            ("Open in Binder", "https://mybinder.org/badge_logo.svg", binder),
        )
    )
    title, _, rest = plain.partition("\n\n")
    return f"{title}\n\n{line}\n\n{rest}"


def write(
    notebook: NotebookNode,
    name: str,
    titles: Mapping[str, str],
    runs: Mapping[str, Recorded],
    course: str,
) -> NotebookNode:
    """Write the generated parts of one notebook again, in place.

    Args:
        notebook: A notebook whose first cell has a **Time** and whose last cell is Markdown.
        name: Its file name without suffix.
        titles: Titles of all notebooks by name, in order.
        runs: Recorded run by profile.
        course: "owner/name" of the course on GitHub; empty for no links and no cell for Colab.

    Raises:
        ValueError: If the first cell says nothing about the time, or the last is not Markdown.
    """
    first, last = notebook.cells[0], notebook.cells[-1]
    if not _TIME.search(first.source) or last.cell_type != "markdown":
        raise ValueError(
            f"{name}: the first cell needs a line **Time**, and the last cell must be Markdown "
            "with ## Onward; the generated parts have no place otherwise"
        )
    if sentence := time_line(name, runs):
        first.source = _TIME.sub(sentence, first.source, count=1)
    first.source = f"{_OPEN.sub('', first.source)}\n\n{links(name, course)}".rstrip()
    last.source = WAY.sub("", last.source) + f"\n\n---\n\n{way(name, titles)}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _TABLE.sub(lambda _: table(titles, runs), cell.source)
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") != COLAB_CELL]
    if course:
        code = _COLAB.format(repository=course, keras=tested("keras"))
        cell = nbformat.v4.new_code_cell(code)
        cell.id = COLAB_CELL
        notebook.cells.insert(1, cell)
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(cell.execution_count for cell in code_cells):
        number(code_cells)
    return notebook


def number(cells: Sequence[NotebookNode]) -> None:
    """Count code cells as a run from the first to the last does."""
    for count, cell in enumerate(cells, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def linked(text: str) -> str:
    """The "owner/name" of the course that a text has links to; empty without such links."""
    found = _LINKED.search(text)
    return found[1] if found else ""


def update(notebooks: Sequence[Path], *, check: bool = False) -> list[Path]:
    """Write the generated parts of all notebooks again, and the badges of the README beside them.

    Args:
        notebooks: All notebooks, in order.
        check: Only find out what would change. Links to another course than this checkout's are
            no difference unless the setting `repository` says so: a fork of a course passes its
            tests as it is.

    Returns:
        The files that changed, or would.

    Raises:
        ValueError: If a notebook has no place for the generated parts, or the setting is wrong.
    """
    read = {path: nbformat.read(path, as_version=4) for path in notebooks}
    titles = {path.stem: title_of(notebook) for path, notebook in read.items()}
    runs = {profile: recorded.load(profile) for profile in profiles.PROFILES}
    course = repository() if check else address()
    changed = []
    for path, notebook in read.items():
        before = copy.deepcopy(notebook)
        at = course or (linked(notebook.cells[0].source) if check else "")
        if write(notebook, path.stem, titles, runs, at) != before:
            changed.append(path)
            if not check:
                nbformat.write(notebook, path)
    readme = notebooks[0].parents[1] / "README.md"
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        new = badges(text, notebooks[0].stem, course or (linked(text) if check else ""))
        if new != text:
            changed.append(readme)
            if not check:
                readme.write_text(new, encoding="utf-8")
    return changed
