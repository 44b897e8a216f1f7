"""The book: every notebook a page, formulas without scripts, nothing from another host."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cvlab.course import statements
from cvlab.publish import book, contents, tags
from cvlab.publish.book.slugs import slug

pytest.importorskip("myst_nb", reason="the book needs Sphinx and MyST-NB (pip install .[dev])")
NOTEBOOKS = sorted((Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return book.build(NOTEBOOKS, tmp_path_factory.mktemp("book") / "site").parent


def test_every_notebook_is_a_page_that_the_landing_page_links(site: Path) -> None:
    landing = (site / "index.html").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert (site / f"{path.stem}.html").exists()
        assert f'href="{path.stem}.html"' in landing


def test_the_teaching_page_sends_a_class_to_every_notebook(site: Path) -> None:
    teaching = (site / "teaching.html").read_text(encoding="utf-8")
    page = teaching.split("<article")[1].split("</article>")[0]
    linked = set(re.findall(r'href="(\d\d_\w+)\.html', page))
    assert linked == {path.stem for path in NOTEBOOKS}
    assert "{" not in page


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]+', html) == []
        assert re.findall(r'<link[^>]+href="(?:https?:)?//[^"]+', html) == []


def test_formulas_are_mathml(site: Path) -> None:
    html = (site / "03_batch_normalization.html").read_text(encoding="utf-8")
    assert html.count("<math") > 5
    assert "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", html, flags=re.DOTALL)


def test_every_claim_stands_beside_what_the_recorded_runs_measured(site: Path) -> None:
    html = (site / "claims.html").read_text(encoding="utf-8")
    assert html.count('<th scope="row">') == len(statements.CLAIMS)
    for run in ("quick", "laptop", "lecture"):
        assert f"{run}: " in html


def test_a_page_folds_solutions_and_drops_what_the_book_has_itself() -> None:
    nav = "## Onward\n\nNext.\n\n---\n\n← [A](a.ipynb)"
    solution = new_code_cell("def f(): ...", metadata={"tags": [tags.SOLUTION]})
    colab = new_code_cell("import google.colab", id=contents.COLAB_CELL)
    notebook = new_notebook(cells=[colab, solution, new_markdown_cell(nav)])
    page = book.page_of(notebook)
    assert [cell.source for cell in page.cells] == ["def f(): ...", "## Onward\n\nNext."]
    assert tags.HIDE_INPUT in page.cells[0].metadata["tags"]
    assert notebook.cells[-1].source == nav, "the notebook itself stays"


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    cells = [new_markdown_cell("# 00 · A\n\n[lost](99_lost.ipynb)"), new_markdown_cell("## B")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_a.ipynb")
    (tmp_path / "ladder.svg").write_text("<svg/>")
    with pytest.raises(RuntimeError, match=r"99_lost\.ipynb"):
        book.build([tmp_path / "00_a.ipynb"], tmp_path / "site")


@pytest.mark.parametrize(
    ("address", "course"),
    [
        ("https://github.com/someone/cvlab.git", "someone/cvlab"),
        ("git@github.com:someone/cvlab", "someone/cvlab"),
        ("https://example.org/someone/cvlab.git", ""),
        (None, ""),
    ],
)
def test_a_fork_is_known_by_its_remote(tmp_path: Path, address: str | None, course: str) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if address:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", address], check=True)
    assert contents.origin(tmp_path) == course


def test_anchors_are_those_of_jupyterlab() -> None:
    assert slug(" Three profiles ") == "Three-profiles"
