"""The style of every figure: colors, line styles, a `Figure` that displays and describes itself."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.figure
from numpy.typing import NDArray
from PIL import Image

# Okabe and Ito's colors, distinguishable with every common color blindness; black is for text.
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
RED, PURPLE, SKY = "#d55e00", "#cc79a7", "#56b4e9"
INK, MUTED, CARD = "#1c1c1e", "#6b6b70", "#fcfcfa"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")

_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), CARD),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.edgecolor": MUTED,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("axes.grid", "axes.axisbelow"), True),
    "grid.color": "#e4e4e2",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
}

# Dots per inch. Readable on a projector, and a notebook of figures stays below 400 KB.
DPI = 88


class Figure(matplotlib.figure.Figure):
    """A Matplotlib figure that Jupyter shows once, with a text alternative.

    Attributes:
        alt: What the figure shows, in one sentence, for screen readers and where no image can be
            displayed.
        photographic: Whether Jupyter gets it as JPEG, which is five times smaller for a figure made
            of photos; PNG otherwise.
    """

    alt: str = ""
    photographic: bool = False

    def png(self) -> bytes:
        """Return the figure as PNG bytes: the same figure gives the same bytes."""
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(self._encoded("png", metadata={"Software": None}))) as image:
            # 64 colors are enough for lines and text, and take a third of the space.
            drawn = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
            drawn.save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    def jpeg(self) -> bytes:
        """Return the figure as JPEG bytes: the same figure gives the same bytes."""
        # So that a notebook of large photos stays below 400 KB; no loss is visible at this size.
        options = {"quality": 50, "subsampling": 2, "optimize": True, "progressive": True}
        return self._encoded("jpeg", pil_kwargs=options)

    def svg(self) -> str:
        """Return the figure as SVG text, sharp at any size, with `alt` as its title."""
        buffer = io.StringIO()
        with style(), mpl.rc_context({"svg.hashsalt": "cvlab"}):
            self.savefig(buffer, format="svg", metadata={"Date": None, "Title": self.alt})
        # Matplotlib leaves blanks at the ends of lines, which only make differences hard to read.
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"

    def _encoded(self, kind: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        with style():
            self.savefig(buffer, format=kind, dpi=DPI, **options)
        return buffer.getvalue()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what Jupyter displays. With pyplot instead, the figure would be shown twice."""
        kind = "image/jpeg" if self.photographic else "image/png"
        encoded = self.jpeg() if self.photographic else self.png()
        return {kind: encoded, "text/plain": f"[Figure: {self.alt}]"}, {kind: {"alt": self.alt}}


@contextmanager
def style() -> Iterator[None]:
    """Use the course's Matplotlib style for the duration of the block."""
    with mpl.rc_context(_STYLE):
        yield


def figure(
    rows: int = 1, columns: int = 1, *, width: float = 8.5, height: float = 3.2, alt: str
) -> tuple[Figure, NDArray[Any]]:
    """Return an empty figure in the course's style.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Width in inches.
        height: Height in inches.
        alt: What the figure shows, in one sentence, for those who cannot see it.

    Returns:
        The figure and its axes, an array of shape (rows, columns).
    """
    with style():
        fig = Figure(figsize=(width, height), layout="constrained")
        axes = fig.subplots(rows, columns, squeeze=False)
    fig.alt = alt
    return fig, axes


def percent(share: float, _: object = None) -> str:
    """Write a share as a percentage, as a formatter of ticks: `0.575` becomes `57.5%`."""
    return f"{100 * share:.4g}%"
