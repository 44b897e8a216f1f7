"""Sphinx's settings for the book; see `cvlab.publish.book`."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

import cvlab
from cvlab.publish import contents
from cvlab.publish.formulas import mathml

project = "cvlab"
author = "the cvlab authors"
copyright = f"{author}. Text and figures: CC BY 4.0, code: Apache 2.0"  # noqa: A001 - Sphinx's name
version = release = cvlab.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
html_theme = "sphinx_book_theme"
html_title = "From a convnet that overfits to a fine-tuned network"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_show_sourcelink = False
html_math_renderer = "mathml"
templates_path: list[str] = []

_course = contents.address()
html_theme_options: dict[str, Any] = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": False,
    # The sidebar has a search field and the title; a bar above would repeat them.
    **{f"navbar_{part}": [] for part in ("start", "center", "end", "persistent")},
    **(
        {
            "repository_url": f"https://github.com/{_course}",
            "repository_branch": "main",
            "path_to_docs": "lectures",
            "use_repository_button": True,
            "use_issues_button": True,
            "use_edit_page_button": True,
            "launch_buttons": {
                "colab_url": "https://colab.research.google.com",
                "binderhub_url": "https://mybinder.org",
            },
        }
        if _course
        else {}
    ),
}
# Where the source of a page is: notebooks and pages lie apart, and one page is written from claims.
_PLACE = (
    "{% if file_name.endswith('.ipynb') %}lectures/{{ file_name }}"
    "{% elif file_name == 'claims.md' %}cvlab/course/statements.py"
    "{% else %}cvlab/publish/book/pages/{{ file_name }}{% endif %}"
)
html_context = {
    "edit_page_provider_name": "GitHub",
    "edit_page_url_template": f"https://github.com/{_course}/edit/main/{_PLACE}",
}

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # a script from another host, for widgets
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "cvlab.publish.book.slugs.slug"
copybutton_selector = "div.cell_input pre"
napoleon_use_ivar = True
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": True}
suppress_warnings = ["mystnb.unknown_mime_type"]


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math">{mathml(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Draw formulas as MathML, which needs no script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
