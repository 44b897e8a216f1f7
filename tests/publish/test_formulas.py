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


def outline(tex: str) -> str:
    """The tree without attributes and annotation: `msup(mi x, mn 2)`."""

    def walk(element: ET.Element) -> str:
        name = element.tag
        inside = ", ".join(walk(child) for child in element)
        return f"{name}({inside})" if len(element) else f"{name} {element.text or ''}".strip()

    root = ET.fromstring(mathml(tex))
    semantics = root[0]
    assert semantics[1].tag == "annotation"
    assert semantics[1].text == tex.strip()
    return walk(semantics[0])


@pytest.mark.parametrize(
    ("tex", "tree"),
    [
        ("x", "mi x"),
        ("3.14", "mn 3.14"),
        ("x^2", "msup(mi x, mn 2)"),
        ("x^10", "mrow(msup(mi x, mn 1), mn 0)"),  # as TeX reads it
        ("x^{10}", "msup(mi x, mn 10)"),
        ("x_i^p", "msubsup(mi x, mi i, mi p)"),
        ("x^p_i", "msubsup(mi x, mi i, mi p)"),
        ("g'", "msup(mi g, mo ′)"),
        (r"\frac1N", "mfrac(mn 1, mi N)"),
        (r"\frac{a+b}{2}", "mfrac(mrow(mi a, mo +, mi b), mn 2)"),
        (r"\sqrt{\sigma^2}", "msqrt(msup(mi σ, mn 2))"),
        (r"\sqrt[3]{x}", "mroot(mi x, mn 3)"),
        (r"\hat x", "mover(mi x, mo ^)"),
        (r"\sum_{i=1}^{t} x", "mrow(munderover(mo ∑, mrow(mi i, mo =, mn 1), mi t), mi x)"),
        (r"\operatorname{mean}(x)", "mrow(mi mean, mo (, mi x, mo ))"),
        (r"\max_x y", "mrow(munder(mo max, mi x), mi y)"),
        (r"\text{with `same`:}", "mtext with `same`:"),
        (r"\left\lfloor \frac{a}{s} \right\rfloor", "mrow(mo ⌊, mfrac(mi a, mi s), mo ⌋)"),
        (r"\big(x\big)", "mrow(mo (, mi x, mo ))"),
        ("-1", "mrow(mo −, mn 1)"),
        (r"\mathbb{R}^n", "msup(mi ℝ, mi n)"),
        (r"\mathcal{L}", "mi ℒ"),
        (r"a \neq b", "mrow(mi a, mo ≠, mi b)"),
        ("a < b", "mrow(mi a, mo <, mi b)"),
        (
            r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
            "mrow(mtable(mtr(mtd(mi a), mtd(mrow(mo =, mi b))), "
            "mtr(mtd(mi c), mtd(mrow(mo =, mi d)))))",
        ),
        (
            r"\begin{cases} 1 & x \\ 0 & y \\ \end{cases}",
            "mrow(mo {, mtable(mtr(mtd(mn 1), mtd(mi x)), mtr(mtd(mn 0), mtd(mi y))))",
        ),
        (r"\underbrace{a}_{b}", "munder(munder(mi a, mo ⏟), mi b)"),
        ("x'^2", "msup(mi x, mrow(mo ′, mn 2))"),
        (r"\sigma*x", "mrow(mi σ, mo ∗, mi x)"),
        (r"\operatorname*{a<b}_x", "munder(mo a<b, mi x)"),
    ],
)
def test_the_tree_is_the_formulas(tex: str, tree: str) -> None:
    assert outline(tex) == tree


def test_display_is_said() -> None:
    assert 'display="block"' in mathml("x", display=True)
    assert "display" not in mathml("x")


@pytest.mark.parametrize(
    ("tex", "message"),
    [
        (r"\foo{x}", r"uses \\foo, which cvlab/publish/formulas.py does not know"),
        (r"\begin{tabular}a\end{tabular}", "environment tabular"),
        (r"\begin{matrix}a\end{cases}", "matrix is closed by cases"),
        ("{x", "A } is missing"),
        (r"\text{x", "A } is missing"),
        ("x}", "a } too many"),
        (r"\left( x", r"A \\right is missing"),
        (r"\frac{1}", "ends too early"),
        ("x^", "ends too early"),
        ("x^2^3", r"two \^ behind one base"),
        (r"\begin{matrix}a}b\end{matrix}", "a } too many"),
        (r"\begin{matrix}a\right b\end{matrix}", r"a \\right too many"),
        (r"\mathbf{\mu}", "is for Latin letters"),
        (r"\mathrm{\alpha}", "is for letters"),
    ],
)
def test_what_is_not_understood_is_named(tex: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        mathml(tex)


# Of those that have a fixed number.
CHILDREN = {
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
PIECES = [*r"{}^_'&abx12+-<>$ ", r"\frac", r"\sum", r"\hat", r"\left", r"\right", r"\,", "\\"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_gives_a_well_formed_tree_or_a_refusal(tex: str) -> None:
    try:
        found = mathml(tex)
    except FormulaError:
        return
    for element in ET.fromstring(found).iter():
        assert len(element) == CHILDREN.get(element.tag, len(element))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_the_notebooks_is_understood(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n`]+?)\$", text, flags=re.DOTALL):
        ET.fromstring(mathml(display or inline))
