r"""The notebooks' formulas as MathML, which browsers and screen readers read without any script.

Jupyter shows formulas with MathJax; a page that must open without network cannot load it. The
translation is the work of latex2mathml. It passes through what it does not know, so this module
looks for such leftovers and refuses the formula, with the name of what is not known.
"""

import re
import xml.etree.ElementTree as ET
from html import unescape
from typing import Final

from latex2mathml import commands, converter

# Elements with a fixed number of children: fewer are left when a formula ends too early.
_CHILDREN: Final = {
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
# Where the limits of an operator stand in a displayed formula.
_STACKED: Final = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_TOKEN: Final = re.compile(r"\\[a-zA-Z]+|\\.|[{}]", re.DOTALL)


class FormulaError(ValueError):
    """A formula that cannot be translated; the message says why."""


def mathml(tex: str, *, display: bool = False) -> str:
    """Translate a formula from TeX to MathML.

    Args:
        tex: The formula without its dollar signs.
        display: Whether it stands on a line of its own.

    Returns:
        A `<math>` element; the TeX source is kept inside as an annotation, for copying.

    Raises:
        FormulaError: If a command or an environment is unknown, braces do not match, or the formula
            ends too early.
    """
    source = tex.strip()
    _check_braces(source)
    for name in re.findall(r"\\begin\s*\{(.*?)\}", source):
        if f"\\{name}" not in commands.MATRICES and name != "aligned":
            raise FormulaError(f"The formula {source} uses the unknown environment {name}")
    # latex2mathml knows the same environment by another name.
    known = re.sub(r"(\\(?:begin|end))\s*\{aligned\}", r"\1{split}", source)
    try:
        root = converter.convert_to_element(
            known, xmlns="", display="block" if display else "inline"
        )
    except Exception as error:  # latex2mathml raises many kinds, some of them by accident
        raise FormulaError(f"The formula {source} is wrong: {type(error).__name__}") from error
    for element in root.iter():
        _mend(element, source)
    root.attrib = {"display": "block"} if display else {}
    semantics = ET.Element("semantics")
    semantics.extend(list(root))
    annotation = ET.SubElement(semantics, "annotation", encoding="application/x-tex")
    annotation.text = source
    root[:] = [semantics]
    return ET.tostring(root, encoding="unicode")


def _check_braces(source: str) -> None:
    """Refuse braces that do not match: latex2mathml would close them where it likes."""
    depth = 0
    for token in _TOKEN.findall(source):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            raise FormulaError(f"There is a }} too many in the formula {source}")
    if depth:
        raise FormulaError(f"A }} is missing in the formula {source}")


def _mend(element: ET.Element, source: str) -> None:
    """Refuse what latex2mathml only passed through, and write the rest as browsers expect it."""
    element.text = unescape(element.text or "") or None
    if element.tag in ("mi", "mo") and re.match(r"\\|&$", element.text or ""):
        raise FormulaError(
            f"The formula {source} uses {element.text}, which latex2mathml does not know: "
            "write the formula without it"
        )
    if len(element) != _CHILDREN.get(element.tag, len(element)):
        raise FormulaError(f"The formula {source} ends too early")
    if element.tag in _STACKED and element[0].get("movablelimits") == "true":
        element.tag = _STACKED[element.tag]
    if "columnalign" in element.attrib:  # an attribute that browsers ignore
        element.set("style", f"text-align: {element.attrib.pop('columnalign')}")
