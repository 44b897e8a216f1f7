r"""The notebooks' formulas as MathML, which browsers and screen readers read without any script.

Jupyter shows formulas with MathJax; a page that must open without network cannot load it. MathML is
part of HTML, so it is enough to translate: `mathml(r"\frac{1}{n} \sum_i x_i")`. What the notebooks
use of TeX is supported; anything else is refused by name rather than shown wrongly.

Source:
    MathML Core, W3C; its elements are named in the code.
"""

import re
from collections.abc import Callable
from html import escape
from typing import Final

_GREEK: Final = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ϵ",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "iota": "ι",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "μ",
    "nu": "ν",
    "xi": "ξ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "upsilon": "υ",
    "phi": "ϕ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
    "Gamma": "Γ",
    "Delta": "Δ",
    "Theta": "Θ",
    "Lambda": "Λ",
    "Xi": "Ξ",
    "Pi": "Π",
    "Sigma": "Σ",
    "Phi": "Φ",
    "Psi": "Ψ",
    "Omega": "Ω",
}
_IDENTIFIERS: Final = _GREEK | {
    "varepsilon": "ε",
    "varphi": "φ",
    "partial": "∂",
    "nabla": "∇",
    "infty": "∞",
    "top": "⊤",
    "ell": "ℓ",
    "emptyset": "∅",
}
_OPERATORS: Final = {
    "cdot": "·",
    "times": "×",
    "pm": "±",
    "odot": "⊙",
    "oplus": "⊕",
    "otimes": "⊗",
    "circ": "∘",
    "ast": "∗",
    "star": "⋆",
    "le": "≤",
    "leq": "≤",
    "ge": "≥",
    "geq": "≥",
    "ll": "≪",
    "gg": "≫",
    "neq": "≠",
    "ne": "≠",
    "approx": "≈",
    "sim": "∼",
    "equiv": "≡",
    "propto": "∝",
    "in": "∈",
    "notin": "∉",
    "subset": "⊂",
    "cup": "∪",
    "cap": "∩",
    "to": "→",
    "rightarrow": "→",
    "leftarrow": "←",
    "Rightarrow": "⇒",
    "mapsto": "↦",
    "mid": "|",
    "forall": "∀",
    "exists": "∃",
    "dots": "…",
    "ldots": "…",
    "cdots": "⋯",
    "vdots": "⋮",
    "prime": "′",
    "backslash": "∖",
    "colon": ":",
    "{": "{",
    "}": "}",
    "%": "%",
    "_": "_",
    "&": "&",
    "#": "#",
    "$": "$",
}
_FENCES: Final = {
    "lfloor": "⌊",
    "rfloor": "⌋",
    "lceil": "⌈",
    "rceil": "⌉",
    "lVert": "‖",
    "rVert": "‖",
    "Vert": "‖",
    "|": "‖",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "langle": "⟨",
    "rangle": "⟩",
    "lbrace": "{",
    "rbrace": "}",
}
# With limits below and above in displayed formulas.
_LARGE: Final = {"sum": "∑", "prod": "∏", "bigcup": "⋃", "bigcap": "⋂"}
_INTEGRALS: Final = {"int": "∫"}
_FUNCTIONS: Final = ("cos", "cosh", "det", "exp", "ln", "log", "sin", "sinh", "tan", "tanh")
_LIMITS: Final = ("lim", "max", "min", "sup", "inf", "argmax", "argmin")
_ACCENTS: Final = {
    "hat": "^",
    "widehat": "^",
    "bar": "¯",
    "overline": "¯",
    "tilde": "~",
    "widetilde": "~",
    "vec": "→",
    "dot": "˙",
}
_SPACES: Final = {
    ",": "0.167em",
    ":": "0.222em",
    ";": "0.278em",
    "!": "-0.167em",
    " ": "0.25em",
    "quad": "1em",
    "qquad": "2em",
}
# Where Unicode has a variant's capitals and small letters, and those that lie elsewhere.
_LETTERS: Final = {
    "mathbb": (0x1D538, 0x1D552, dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))),
    "mathcal": (0x1D49C, 0x1D4B6, dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True))),
    "mathbf": (0x1D400, 0x1D41A, {}),
}
_FRACTIONS: Final = {"frac": "", "tfrac": ' displaystyle="false"', "dfrac": ' displaystyle="true"'}
_TABLES: Final = {
    "aligned": ("", ""),
    "align": ("", ""),
    "align*": ("", ""),
    "matrix": ("", ""),
    "pmatrix": ("(", ")"),
    "bmatrix": ("[", "]"),
    "cases": ("{", ""),
}

_TOKEN: Final = re.compile(r"\\(?:operatorname\*|[a-zA-Z]+|.)|\s+|.", re.DOTALL)


class FormulaError(ValueError):
    """A formula uses something that this module does not know; the message says what."""


def mathml(tex: str, *, display: bool = False) -> str:
    """Translate a formula from TeX to MathML.

    Args:
        tex: The formula without its dollar signs.
        display: Whether it stands on a line of its own.

    Returns:
        A `<math>` element; the TeX source is kept inside as an annotation, for copying.

    Raises:
        FormulaError: If a command is unknown, or braces do not match.
    """
    body = _Parser(tex).everything()
    kind = ' display="block"' if display else ""
    source = f'<annotation encoding="application/x-tex">{escape(tex.strip())}</annotation>'
    return f"<math{kind}><semantics>{body}{source}</semantics></math>"


def _row(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def _operator(text: str, **attributes: str) -> str:
    listed = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<mo{listed}>{escape(text)}</mo>"


def _table(rows: list[list[str]], environment: str) -> str:
    opening, closing = _TABLES[environment]
    sides = ("right", "left") if environment.startswith("align") else ("left", "left")
    lines = "".join(
        "<mtr>"
        + "".join(
            f'<mtd style="text-align: {sides[column % 2]}">{cell}</mtd>'
            for column, cell in enumerate(row)
        )
        + "</mtr>"
        for row in rows
    )
    fences = [_operator(fence, fence="true") if fence else "" for fence in (opening, closing)]
    return f"<mrow>{fences[0]}<mtable>{lines}</mtable>{fences[1]}</mrow>"


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, tex: str) -> None:
        self.tex = tex.strip()
        self.tokens = _TOKEN.findall(self.tex)
        self.at = 0
        self.commands: dict[str, Callable[[str], str]] = {
            **dict.fromkeys(_IDENTIFIERS, lambda name: f"<mi>{_IDENTIFIERS[name]}</mi>"),
            **dict.fromkeys(_OPERATORS, lambda name: _operator(_OPERATORS[name])),
            **dict.fromkeys(_FENCES, lambda name: _operator(_FENCES[name], stretchy="false")),
            **dict.fromkeys(_LARGE, lambda name: _operator(_LARGE[name], movablelimits="true")),
            **dict.fromkeys(_INTEGRALS, lambda name: _operator(_INTEGRALS[name])),
            **dict.fromkeys(_FUNCTIONS, lambda name: f"<mi>{name}</mi>"),
            **dict.fromkeys(_LIMITS, lambda name: _operator(name, movablelimits="true")),
            **dict.fromkeys(_SPACES, lambda name: f'<mspace width="{_SPACES[name]}"/>'),
            **dict.fromkeys(_FRACTIONS, self._fraction),
            **dict.fromkeys(_ACCENTS, self._accent),
            **dict.fromkeys(_LETTERS, self._variant),
            **dict.fromkeys(("text", "mathrm", "textbf", "textit"), self._text),
            **dict.fromkeys(("operatorname", "operatorname*"), self._name),
            **dict.fromkeys(("underbrace", "overbrace"), self._brace),
            "sqrt": self._root,
            "left": self._fenced,
            "begin": self._environment,
        }
        for size in ("big", "Big", "bigg", "Bigg"):
            for side in ("", "l", "r", "m"):
                self.commands[size + side] = self._sized

    def everything(self) -> str:
        parts = self._sequence(())
        if self.at < len(self.tokens):
            raise FormulaError(
                f"There is a {self.tokens[self.at]} too many in the formula {self.tex}"
            )
        return _row(parts)

    def _peek(self) -> str:
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise FormulaError(f"The formula {self.tex} ends too early")
        self.at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise FormulaError(f"A {token} is missing in the formula {self.tex}")
        self.at += 1

    def _sequence(self, stops: tuple[str, ...]) -> list[str]:
        """What stands up to one of `stops`, which is not taken."""
        parts: list[str] = []
        while (token := self._peek()) and token not in (*stops, "}", r"\right", r"\end"):
            parts.append(self._scripted())
        return parts

    def _scripted(self) -> str:
        """One element with what is written below and above it."""
        limits = self._peek().removeprefix("\\")
        # A script may stand alone, as in {}^2.
        base = "<mrow></mrow>" if self._peek() in ("^", "_") else self._element(number=True)
        below: list[str] = []
        raised: list[str] = []
        primes: list[str] = []
        while (token := self._peek()) in ("^", "_", "'"):
            self.at += 1
            if token == "'":
                primes.append(_operator("′"))
                continue
            scripts = below if token == "_" else raised
            if scripts:
                raise FormulaError(f"There are two {token} behind one base in {self.tex}")
            scripts.append(self._element())
        above = [*primes, *raised]
        stacked = limits in (*_LARGE, *_LIMITS, "operatorname*", "underbrace", "overbrace")
        kind = ("munder", "mover", "munderover") if stacked else ("msub", "msup", "msubsup")
        if below and above:
            return f"<{kind[2]}>{base}{_row(below)}{_row(above)}</{kind[2]}>"
        if below:
            return f"<{kind[0]}>{base}{_row(below)}</{kind[0]}>"
        return f"<{kind[1]}>{base}{_row(above)}</{kind[1]}>" if above else base

    def _element(self, *, number: bool = False) -> str:
        """One token or group; with `number`, all digits of a number, as TeX spaces them."""
        token = self._take()
        if token == "{":
            parts = self._sequence(())
            self._expect("}")
            return _row(parts) if parts else "<mrow></mrow>"
        if token.startswith("\\"):
            name = token[1:]
            if name not in self.commands:
                raise FormulaError(
                    f"The formula {self.tex} uses {token}, which cvlab/publish/formulas.py does not know: "
                    "add it there, or write the formula without it"
                )
            return self.commands[name](name)
        if token.isdigit():
            while number and self._a_digit_follows():
                token += self._take()
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token in "([|)]":
            return _operator(token, stretchy="false")
        return _operator({"-": "−", "*": "∗", "~": "\u00a0"}.get(token, token))

    def _a_digit_follows(self) -> bool:
        following = "".join(self.tokens[self.at : self.at + 2])
        return re.match(r"\d|\.\d", following) is not None

    def _raw_group(self) -> str:
        """The text of a group, as it stands."""
        self._expect("{")
        start, depth = self.at, 1
        while depth:
            if self.at >= len(self.tokens):
                raise FormulaError(f"A }} is missing in the formula {self.tex}")
            depth += {"{": 1, "}": -1}.get(self.tokens[self.at], 0)
            self.at += 1
        return "".join(self.tokens[start : self.at - 1])

    def _fraction(self, name: str) -> str:
        style = _FRACTIONS[name]
        fraction = f"<mfrac>{self._element()}{self._element()}</mfrac>"
        return f"<mstyle{style}>{fraction}</mstyle>" if style else fraction

    def _accent(self, name: str) -> str:
        mark = _operator(_ACCENTS[name], stretchy="true" if len(name) > 5 else "false")
        return f'<mover accent="true">{self._element()}{mark}</mover>'

    def _variant(self, name: str) -> str:
        capitals, small, others = _LETTERS[name]
        text = self._raw_group() if self._peek() == "{" else self._take()
        if re.fullmatch("[a-zA-Z]+", text) is None:
            raise FormulaError(f"\\{name} is for Latin letters, not for {text}, in {self.tex}")
        letters = "".join(
            others.get(c)
            or (chr(capitals + ord(c) - 65) if c.isupper() else chr(small + ord(c) - 97))
            for c in text
        )
        return f"<mi>{letters}</mi>"

    def _text(self, name: str) -> str:
        text = self._raw_group()
        if name == "mathrm":
            if "\\" in text:
                raise FormulaError(f"\\mathrm is for letters, not for {text}, in {self.tex}")
            return f'<mi mathvariant="normal">{escape(text)}</mi>'
        weight = {"textbf": ' style="font-weight: bold"', "textit": ' style="font-style: italic"'}
        return f"<mtext{weight.get(name, '')}>{escape(text)}</mtext>"

    def _name(self, name: str) -> str:
        text = self._raw_group().replace(r"\,", " ")
        if name.endswith("*"):
            return _operator(text, movablelimits="true")
        return f'<mi mathvariant="normal">{escape(text)}</mi>'

    def _brace(self, name: str) -> str:
        under = name == "underbrace"
        tag, mark = ("munder", "⏟") if under else ("mover", "⏞")
        return f"<{tag}>{self._element()}{_operator(mark, stretchy='true')}</{tag}>"

    def _root(self, name: str) -> str:
        if self._peek() != "[":
            return f"<msqrt>{self._element()}</msqrt>"
        self.at += 1
        index = _row(self._sequence(("]",)))
        self._expect("]")
        return f"<mroot>{self._element()}{index}</mroot>"

    def _fence(self) -> str:
        token = self._take()
        if token == ".":
            return ""
        name = token.removeprefix("\\")
        return _FENCES.get(name, name) if token.startswith("\\") else token

    def _fenced(self, name: str) -> str:
        opening = self._fence()
        inner = "".join(self._sequence(()))
        self._expect(r"\right")
        closing = self._fence()
        marks = [
            _operator(m, fence="true", stretchy="true") if m else "" for m in (opening, closing)
        ]
        return f"<mrow>{marks[0]}{inner}{marks[1]}</mrow>"

    def _sized(self, name: str) -> str:
        size = {"big": "1.2em", "Big": "1.8em", "bigg": "2.4em", "Bigg": "3em"}[name.rstrip("lrm")]
        return _operator(
            self._fence(), stretchy="true", symmetric="true", minsize=size, maxsize=size
        )

    def _environment(self, name: str) -> str:
        environment = self._raw_group()
        if environment not in _TABLES:
            raise FormulaError(
                f"The formula {self.tex} uses the environment {environment}, which "
                f"cvlab/publish/formulas.py does not know; it knows {', '.join(_TABLES)}"
            )
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(_row(self._sequence(("&", r"\\"))))
            mark = self._take()
            if mark == r"\\":
                rows.append([])
            elif mark == r"\end":
                break
            elif mark != "&":
                raise FormulaError(f"There is a {mark} too many in the formula {self.tex}")
        self._expect_end(environment)
        if rows[-1] == ["<mrow></mrow>"]:  # a line break behind the last line
            rows.pop()
        return _table(rows, environment)

    def _expect_end(self, environment: str) -> None:
        closed = self._raw_group()
        if closed != environment:
            raise FormulaError(f"{environment} is closed by {closed} in the formula {self.tex}")
