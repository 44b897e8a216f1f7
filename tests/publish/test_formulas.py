"""Formulas: well-formed MathML for all that the notebooks write, refusals by name."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvlab.publish.formulas import FormulaError, mathml

NOTEBOOKS = sorted((Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb"))


def outline(tex: str, *, display: bool = False) -> str:
    """The tree without attributes, annotation and rows of one: `msup(mi x, mn 2)`."""

    def walk(element: ET.Element) -> str:
        inside = ", ".join(walk(child) for child in element)
        if element.tag == "mrow" and len(element) == 1:
            return inside
        return f"{element.tag}({inside})" if inside else f"{element.tag} {element.text or ''}"

    semantics = ET.fromstring(mathml(tex, display=display))[0]
    assert semantics[1].tag == "annotation"
    assert semantics[1].text == tex.strip()
    return walk(semantics[0])


@pytest.mark.parametrize(
    ("tex", "tree"),
    [
        ("x^2", "msup(mi x, mn 2)"),
        ("x_i^p", "msubsup(mi x, mi i, mi p)"),
        (r"\frac{a+b}{2}", "mfrac(mrow(mi a, mo +, mi b), mn 2)"),
        (r"\hat x", "mover(mi x, mo ^)"),
        (r"\operatorname{mean}(x)", "mrow(mo mean, mo (, mi x, mo ))"),
        (r"\operatorname*{argmax}_x", "munder(mo argmax, mi x)"),
        (r"\text{with `same` & <more>}", "mtext with\u00a0`same`\u00a0&\u00a0<more>"),
        (r"\left\lfloor \frac{a}{s} \right\rfloor", "mrow(mo ⌊, mfrac(mi a, mi s), mo ⌋)"),
        (r"\mathbb{R}^n", "msup(mi ℝ, mi n)"),
        ("a < b", "mrow(mi a, mo <, mi b)"),
        (
            r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
            "mtable(mtr(mtd(mi a), mtd(mi , mo =, mi b)), mtr(mtd(mi c), mtd(mi , mo =, mi d)))",
        ),
    ],
)
def test_the_tree_is_the_formulas(tex: str, tree: str) -> None:
    assert outline(tex) == tree


def test_display_is_said_and_puts_limits_below_and_above() -> None:
    assert outline(r"\sum_i^n", display=True) == "munderover(mo ∑, mi i, mi n)"
    assert 'display="block"' in mathml("x", display=True)
    assert "display" not in mathml("x")


def test_columns_are_aligned_in_a_way_that_browsers_follow() -> None:
    found = mathml(r"\begin{aligned} a &= b \end{aligned}")
    assert 'style="text-align: right"' in found
    assert "columnalign" not in found


@pytest.mark.parametrize(
    ("tex", "message"),
    [
        (r"\foo{x}", r"uses \\foo, which latex2mathml does not know"),
        (r"\begin{tabular}a\end{tabular}", "unknown environment tabular"),
        (r"\begin{matrix}a\end{cases}", "MissingEnd"),
        ("a & b", "uses &"),
        ("{x", "A } is missing"),
        (r"\text{x", "A } is missing"),
        ("x}", "a } too many"),
        (r"\left( x", "MissingRight"),
        (r"\frac{1}", "ends too early"),
        ("x^", "MissingSuperScript"),
        ("x^2^3", "DoubleSuperscripts"),
        ("", "NoAvailableTokens"),
    ],
)
def test_what_is_not_understood_is_named(tex: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        mathml(tex)


PIECES = [*r"{}^_'&abx12+-<>$ ", r"\frac", r"\sum", r"\hat", r"\left", r"\right", r"\,", "\\"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_gives_a_well_formed_tree_or_a_refusal(tex: str) -> None:
    try:
        found = mathml(tex)
    except FormulaError:
        return
    fixed = {"mfrac": 2, "msub": 2, "msup": 2, "mover": 2, "msubsup": 3, "munderover": 3}
    for element in ET.fromstring(found).iter():
        assert len(element) == fixed.get(element.tag, len(element))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_the_notebooks_is_understood(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n`]+?)\$", text, flags=re.DOTALL):
        ET.fromstring(mathml(display or inline))
