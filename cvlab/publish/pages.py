"""A notebook as an HTML page, or as slides, that opens from disk and without network.

Formulas become MathML, figures are embedded and keep their words for screen readers, links between
notebooks lead to their pages, and solutions of exercises are folded away. The templates are in
`cvlab/publish/web`.
"""

import re
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

import jinja2
import nbformat
from markupsafe import Markup
from nbconvert import HTMLExporter, TemplateExporter
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from cvlab.publish.formulas import mathml

# A link to another page: its text and its relative address.
Link: TypeAlias = tuple[str, str]


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
    exporter.raw_template = asset("notebook.html.j2")
    exporter.register_filter("markdown2html", markdown)
    exporter.register_filter("highlight_code", Highlight2HTML(pygments_lexer="python"))
    return exporter


def body(notebook: NotebookNode) -> str:
    """The cells of an executed notebook as HTML, without the page around them.

    Raises:
        FormulaError: If a formula is not understood.
    """
    # Not HTMLExporter's own, which parses the page again, for more than half of the time: what that
    # adds, a text for images without one and keyboard focus, our pages have already.
    html, _ = TemplateExporter.from_notebook_node(_exporter(), notebook)
    # What is wider than a phone scrolls by itself, and can be scrolled by keyboard.
    html = str(html).replace("<pre>", '<pre tabindex="0">')
    scrolling = r'<div class="scroll" tabindex="0">\g<0></div>'
    html = re.sub(r"<table\b.*?</table>", scrolling, html, flags=re.DOTALL)
    return html.replace("<main>", "").replace("</main>", "")


def asset(name: str) -> Markup:
    """The text of a file in `cvlab/publish/web`, to be put into a page as it is."""
    return Markup(resources.files("cvlab.publish").joinpath("web", name).read_text("utf-8"))


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("cvlab.publish", "web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {"asset": asset}
    return templates


def page(template: str, title: str, **content: Any) -> str:
    """Fill one of the templates in `cvlab/publish/web`; what is not `Markup` is escaped.

    Args:
        template: Its file name.
        title: Title of the page, plain text.
        content: What else the template shows. `way` are the links above and below, for example to
            the previous page, the contents and the next page; None leaves a gap.
    """
    usual = {"styles": ["style.css"], "way": ()}
    return _templates().get_template(template).render(title=title, **usual | content)


def notebook_page(notebook: NotebookNode, *, way: tuple[Link | None, ...] = ()) -> str:
    """An executed notebook as a page of its own.

    Raises:
        FormulaError: If a formula is not understood.
    """
    return page("page.html", title_of(notebook), content=Markup(body(notebook)), way=way)


def slides(notebook: NotebookNode) -> str:
    """An executed notebook as reveal.js slides, in one file.

    Each section of the notebook (heading of second level) is a column of slides, to be walked
    through downwards: one slide for each piece of text, one for each cell with its outputs.

    Raises:
        FormulaError: If a formula is not understood.
    """
    columns: list[list[dict[str, str]]] = [[]]
    for cell in notebook.cells:
        parts = _sections(cell) if cell.cell_type == "markdown" else [cell]
        for part in parts:
            if part.cell_type == "markdown" and part.source.startswith("## ") and columns[-1]:
                columns.append([])
            columns[-1].append(_slide(notebook, part))
    styles = ["reveal/reveal.css", "style.css", "slides.css"]
    return page("slides.html", title_of(notebook), columns=columns, styles=styles)


def _sections(cell: NotebookNode) -> list[NotebookNode]:
    """A Markdown cell cut at its headings of second level."""
    sources = [s for s in re.split(r"(?m)^(?=## )", cell.source) if s.strip()]
    return [nbformat.v4.new_markdown_cell(source) for source in sources]


def _slide(notebook: NotebookNode, cell: Any) -> dict[str, str]:
    alone = nbformat.v4.new_notebook(cells=[cell], metadata=notebook.metadata)
    kind = "code" if cell.cell_type == "code" else "text"
    both = " both" if kind == "code" and cell.outputs else ""
    return {"kind": kind + both, "html": Markup(body(alone))}
