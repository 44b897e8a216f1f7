"""Pages and slides of notebooks: complete, readable without network, with words for figures."""

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from cvlab.publish import execution, pages, tags

NOTEBOOKS = sorted((Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb"))


def pixel() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def notebook() -> NotebookNode:
    figure = new_output(
        "execute_result",
        data={"image/png": pixel(), "text/plain": "[Figure: A <cat> & a dog]"},
        metadata={"image/png": {"alt": "A <cat> & a dog"}},
        execution_count=2,
    )
    cells = [
        new_markdown_cell(
            "# 99 · A & B\n\n**You will learn** $x^2$, see [01](01_b.ipynb#here).\n\n"
            "| a | b |\n|---|---|\n| 1 | 2 |\n\n## Section one\n\n$$\\frac{a}{b}$$"
        ),
        new_code_cell("1 < 2", outputs=[new_output("stream", text="yes < no")], execution_count=1),
        new_code_cell("fig", outputs=[figure], execution_count=2),
        new_markdown_cell(
            "## Section two\n\n[web](https://example.org/x.ipynb) `$ not a formula $`"
        ),
        new_code_cell("answer = 42", metadata={"tags": [tags.SOLUTION]}, execution_count=3),
    ]
    made: NotebookNode = new_notebook(cells=cells, metadata=execution.CLEAN_METADATA)
    return made


def test_a_page_shows_formulas_figures_and_links(notebook: NotebookNode) -> None:
    html = pages.notebook_page(notebook, way=(None, ("Report", "index.html"), None))
    assert "<title>99 · A &amp; B</title>" in html
    assert html.count("<math") == 2
    assert '<math display="block">' in html
    assert "$ not a formula $" in html
    assert 'alt="A &lt;cat&gt; &amp; a dog"' in html
    assert 'href="01_b.html#here"' in html
    assert 'href="https://example.org/x.ipynb"' in html
    assert html.count('<a href="index.html">Report</a>') == 2
    assert "yes &lt; no" in html
    assert re.search(r"<details><summary>Solution</summary>.*42.*</details>", html, re.DOTALL)
    assert '<div class="scroll" tabindex="0"><table>' in html


def loads_from_elsewhere(html: str) -> list[str]:
    """Whatever a browser would fetch to show the page."""
    without_code = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    fetched = re.findall(
        r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]*)"|<link\b[^>]*href="([^"]*)"|'
        r"url\(([^)]*)\)|@import ([^;]*)",
        without_code,
    )
    return [address for found in fetched for address in found if address[:5] not in ("", "data:")]


def test_nothing_is_fetched(notebook: NotebookNode) -> None:
    assert loads_from_elsewhere(pages.notebook_page(notebook)) == []
    assert loads_from_elsewhere(pages.slides(notebook)) == []
    assert loads_from_elsewhere('<img alt="" src="https://example.org/a.png">') != []


def test_slides_follow_the_sections(notebook: NotebookNode) -> None:
    html = pages.slides(notebook)
    columns = html.split('<div class="slides">')[1].split("\n<section>\n")
    assert len(columns) == 4  # nothing, the title, and two sections
    assert "A &amp; B" in columns[1]
    assert "Section one" in columns[2]
    assert columns[2].count('<section class="code both">') == 2
    assert "Section two" in columns[3]
    assert "Reveal.initialize" in html


def test_code_that_only_draws_is_folded_and_its_output_is_not() -> None:
    drawing = new_code_cell(
        "print(1)", outputs=[new_output("stream", text="drawn")], metadata={"tags": ["hide-input"]}
    )
    body = pages.body(new_notebook(cells=[drawing]))
    folded, shown = body.split("</details>")
    assert "<summary>Code</summary>" in folded
    assert "print" in folded
    assert "drawn" in shown


def test_a_page_without_title_has_one() -> None:
    assert pages.title_of(new_notebook(cells=[new_code_cell("1")])) == "Notebook"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_becomes_a_page(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    html = pages.notebook_page(notebook)
    assert loads_from_elsewhere(html) == []
    images = re.findall(r"<img\b[^>]*>", html, flags=re.DOTALL)
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    assert len(images) >= len(figures)
    assert all(re.search(r'\balt="[^"]{8,}"', image) for image in images)
