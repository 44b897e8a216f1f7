"""The course as a book: a static site of the committed notebooks, made with Sphinx and MyST-NB.

Nothing is executed. The pages that are no notebooks lie in `pages`; the page about the lecture's
claims is written from the recorded runs. The site works without a server and without network.
"""

import copy
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import nbformat
from nbformat import NotebookNode

from cvlab.course import recorded, statements
from cvlab.course.statements import DIFFERS
from cvlab.course.tables import html_table
from cvlab.publish import contents, tags
from cvlab.publish.pages import title_of

_FOLDER: Final = Path(__file__).parent
_OUTSIDE: Final = re.compile(r"\[([^\]]*)\]\(\.\./([^)]+)\)")
_EXTRA: Final = "Extra: "  # in the titles of notebooks beyond the lecture
_RUNS: Final = ("quick", "laptop", "lecture")


def build(notebooks: Sequence[Path], target: Path) -> Path:
    """Build the site.

    Args:
        notebooks: The committed notebooks, in order, with outputs.
        target: Folder of the site; what was in it is removed.

    Returns:
        The landing page.

    Raises:
        RuntimeError: If Sphinx warns, for example of a link that leads nowhere; the message holds
            the warnings. Also if Sphinx is not installed (`pip install -e ".[dev]"`).
    """
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work:
        source, log = Path(work, "source"), Path(work, "warnings")
        shutil.copytree(_FOLDER / "pages", source)
        extras = []
        for path in notebooks:
            page = page_of(nbformat.read(path, as_version=4))
            nbformat.write(page, source / path.name)
            if _EXTRA in (title := title_of(page)):
                extras.append(f"- [{title.partition(_EXTRA)[2].strip()}]({path.name})")
        shutil.copytree(_FOLDER / "static", source / "static")
        shutil.copy(notebooks[0].parent / "ladder.svg", source / "static")
        claims = f"# What holds of the lecture\n\n{claims_table()}\n"
        (source / "claims.md").write_text(claims, encoding="utf-8")
        names = [path.stem for path in notebooks]
        measured = ["speed"] * (source / "speed.md").exists()  # by `make bench PAGE=1`
        for page_name, mark, lines in (
            ("index.md", "{notebooks}", names),
            ("index.md", "{speed}", measured),
            ("teaching.md", "{extras}", extras),
        ):
            text = (source / page_name).read_text(encoding="utf-8")
            filled = text.replace(mark, "\n".join(lines))
            (source / page_name).write_text(filled, encoding="utf-8")
        shutil.copy(_FOLDER / "conf.py", source)
        options = ["-q", "-b", "html", "-w", str(log), "-d", f"{work}/doctrees"]
        command = [sys.executable, "-m", "sphinx", *options, str(source), str(target)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        warnings = log.read_text(encoding="utf-8") if log.exists() else done.stderr
    if done.returncode or warnings:
        raise RuntimeError(f"The book was not built cleanly:\n{warnings}")
    return target / "index.html"


def page_of(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook as a page of the book.

    Solutions are folded, like other hidden code. What JupyterLab needs and the book has by itself
    goes: the links to the neighbors at the end, the cell that fetches the course on Colab.
    """
    page = copy.deepcopy(notebook)
    page.cells = [cell for cell in page.cells if cell.id != contents.COLAB_CELL]
    for cell in page.cells:
        marks = cell.metadata.get("tags", [])
        if tags.SOLUTION in marks:
            cell.metadata["tags"] = [*marks, tags.HIDE_INPUT]
        if cell.cell_type == "markdown":
            cell.source = _OUTSIDE.sub(_elsewhere, cell.source)
    page.cells[-1].source = contents.WAY.sub("", page.cells[-1].source)
    return page


def _elsewhere(link: re.Match[str]) -> str:
    """A link to a file of the project that is no page of the book."""
    text, file = link.groups()
    course = contents.address()
    page = f"https://github.com/{course}/blob/main/{file}"
    return f"[{text}]({page})" if course else f"{text} (`{file}`)"


def claims_table() -> str:
    """Return what the recorded runs measured of each claim, as an HTML table."""
    runs = {name: recorded.load(name) for name in _RUNS}
    rows = []
    for name, claim in statements.CLAIMS.items():
        says = escape(claim.says)
        found = {profile: run.findings.get(name) for profile, run in runs.items()}
        if claim.today and any(one and one.verdict == DIFFERS for one in found.values()):
            says += f"<br><small>Today: {escape(claim.today)}</small>"
        cells = [
            f"{escape(one.measured())}<br><small>{escape(one.verdict)}</small>" if one else "–"
            for one in found.values()
        ]
        rows.append((says, *cells, claim.notebook))
    headings = (
        "The lecture says",
        *(f"{name}: {run.base or 'none'}, {run.place}" for name, run in runs.items()),
        "Notebook",
    )
    return html_table(headings, rows, between="\n")
