"""A notebook as an HTML page, or as slides, that opens from disk and without network.

Formulas become MathML, figures are embedded and keep their words for screen readers, links between
notebooks lead to their pages, and solutions of exercises are folded away. `make lectures` and
`make slides` call this.
"""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from typing import Any, Final

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from cvlab.publish.formulas import mathml
from cvlab.publish.tags import SOLUTION

# nbconvert's plain template, with the parts of a page that need no script.
_TEMPLATE: Final = f"""\
{{%- extends 'basic/index.html.j2' -%}}
{{%- block codecell -%}}
{{%- if '{SOLUTION}' in cell.metadata.get('tags', []) -%}}
<details><summary>Solution</summary>{{{{ super() }}}}</details>
{{%- else -%}}{{{{ super() }}}}{{%- endif -%}}
{{%- endblock codecell -%}}
"""


@dataclass(frozen=True)
class Link:
    """Where another page is.

    Attributes:
        title: Text of the link.
        address: Relative address.
    """

    title: str
    address: str


class _Renderer(IPythonRenderer):
    """Markdown to HTML, with MathML for formulas and pages for notebooks."""

    def block_math(self, body: str) -> str:
        return mathml(body, display=True)

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if "://" not in url:
            url = re.sub(r"\.ipynb(?=$|#)", ".html", url)
        return str(super().link(text, url, title))


def markdown(source: str) -> str:
    """Translate Markdown, with formulas between dollar signs, to HTML.

    Raises:
        FormulaError: If a formula is not understood.
    """
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(source))


def title_of(notebook: NotebookNode) -> str:
    """The first heading of a notebook as plain text; `Notebook` if it has none."""
    for cell in notebook.cells:
        found = re.match(r"# (.+)", cell.source) if cell.cell_type == "markdown" else None
        if found:
            return found[1].strip()
    return "Notebook"


@cache
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(template_name="basic")
    exporter.raw_template = _TEMPLATE
    exporter.register_filter("markdown2html", markdown)
    return exporter


def body(notebook: NotebookNode) -> str:
    """The cells of an executed notebook as HTML, without the page around them.

    Raises:
        FormulaError: If a formula is not understood.
    """
    html, _ = _exporter().from_notebook_node(notebook)
    # What is wider than a phone scrolls by itself, and can be scrolled by keyboard.
    html = re.sub(r"<pre>", '<pre tabindex="0">', str(html))
    html = re.sub(r"<table\b.*?</table>", _scrolling, html, flags=re.DOTALL)
    return html.replace("<main>", "").replace("</main>", "")


def _scrolling(table: re.Match[str]) -> str:
    return f'<div class="scroll" tabindex="0">{table[0]}</div>'


def asset(name: str) -> str:
    """The text of a file in `cvlab/publish/web`."""
    return resources.files("cvlab.publish").joinpath("web", name).read_text(encoding="utf-8")


def page(title: str, content: str, *, way: tuple[Link | None, ...] = ()) -> str:
    """Put a page around content.

    Args:
        title: Title of the page, plain text.
        content: HTML of the page's main part.
        way: Links above and below, for example to the previous page, the contents and the next
            page; None leaves a gap.
    """
    links = "".join(
        f'<a href="{escape(link.address)}">{escape(link.title)}</a>' if link else "<span></span>"
        for link in way
    )
    above, below = (
        f'<nav class="way" aria-label="{label}">{links}</nav>' if links else ""
        for label in ("Notebooks", "Notebooks, again")
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{asset('style.css')}</style>\n</head>\n"
        '<body>\n<a class="skip" href="#content">Skip to the content</a>\n'
        f'{above}\n<main id="content">\n{content}\n</main>\n{below}\n</body>\n</html>\n'
    )


def notebook_page(notebook: NotebookNode, *, way: tuple[Link | None, ...] = ()) -> str:
    """An executed notebook as a page of its own.

    Raises:
        FormulaError: If a formula is not understood.
    """
    return page(title_of(notebook), body(notebook), way=way)


def slides(notebook: NotebookNode) -> str:
    """An executed notebook as reveal.js slides, in one file.

    Each section of the notebook (heading of second level) is a column of slides, to be walked
    through downwards: one slide for each piece of text, one for each cell with its outputs.

    Raises:
        FormulaError: If a formula is not understood.
    """
    columns: list[list[str]] = [[]]
    for cell in notebook.cells:
        parts = _sections(cell) if cell.cell_type == "markdown" else [cell]
        for part in parts:
            if part.cell_type == "markdown" and part.source.startswith("## ") and columns[-1]:
                columns.append([])
            columns[-1].append(_slide(notebook, part))
    content = "\n".join(f"<section>\n{''.join(column)}\n</section>" for column in columns)
    title = escape(title_of(notebook))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{asset('reveal/reveal.css')}\n{asset('style.css')}\n"
        f"{asset('slides.css')}</style>\n</head>\n<body>\n"
        f'<div class="reveal"><div class="slides">\n{content}\n</div></div>\n'
        f"<script>\n{asset('reveal/reveal.js')}\n</script>\n"
        "<script>Reveal.initialize({hash: true, slideNumber: 'c/t', transition: 'none', "
        "center: false, width: 1280, height: 720, margin: 0.03});</script>\n</body>\n</html>\n"
    )


def _sections(cell: NotebookNode) -> list[NotebookNode]:
    """A Markdown cell cut at its headings of second level."""
    sources = [s for s in re.split(r"(?m)^(?=## )", cell.source) if s.strip()]
    return [nbformat.v4.new_markdown_cell(source) for source in sources]


def _slide(notebook: NotebookNode, cell: Any) -> str:
    alone = nbformat.v4.new_notebook(cells=[cell], metadata=notebook.metadata)
    kind = "code" if cell.cell_type == "code" else "text"
    both = " both" if kind == "code" and cell.outputs else ""
    return f'<section class="{kind}{both}">\n{body(alone)}\n</section>\n'
