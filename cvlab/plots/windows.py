"""Figures of convolutions: an image, a kernel and the feature map; where the windows lie."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from cvlab.plots.style import BLUE, INK, MUTED, RED, Figure, figure, style


@style()
def sliding_kernel(
    image: ArrayLike,
    kernel: ArrayLike,
    feature_map: ArrayLike,
    *,
    title: str,
    at: tuple[int, int] | None = None,
    alt: str,
) -> Figure:
    """Draw an image, the numbers of a kernel, and the feature map, side by side.

    Args:
        image: Gray image, shape (H, W).
        kernel: Weights, shape (k, k).
        feature_map: Shape (H - k + 1, W - k + 1), drawn from its lowest value (black) to its
            highest (white).
        title: The message of the figure.
        at: Row and column of one value of the feature map; it is marked, and so is the window of
            the image that it comes from.
        alt: See `figure`.
    """
    pixels, weights, values = (np.asarray(array) for array in (image, kernel, feature_map))
    height, width = pixels.shape
    fig, axes = figure(1, 3, height=0.75 + 3.3 * height / width, alt=alt)
    axes[0, 0].get_gridspec().set_width_ratios([1, 0.4, 1])
    fig.photographic = max(pixels.shape) > 100  # large pixels take less space as PNG
    fig.suptitle(title, x=0.01, ha="left", fontsize=12)
    for ax, shown, name in (
        (axes[0, 0], pixels, f"image, {height} × {width}"),
        (axes[0, 2], values, "feature map, {} × {}".format(*values.shape)),
    ):
        ax.imshow(shown, cmap="gray", interpolation="auto")
        ax.set_title(name, loc="center", fontsize=10)
        ax.set_axis_off()
    _numbers(axes[0, 1], weights)
    if at is not None:
        row, column = at
        for ax, side in ((axes[0, 0], len(weights)), (axes[0, 2], 1)):
            _outline(ax, column - 0.5, row - 0.5, side)
    return fig


def _numbers(ax: Axes, weights: ArrayLike) -> None:
    """Write a matrix of weights into cells."""
    array = np.asarray(weights)
    most = np.abs(array).max() or 1.0
    ax.imshow(array, cmap="RdBu_r", vmin=-1.6 * most, vmax=1.6 * most)
    for (row, column), value in np.ndenumerate(array):
        text = f"{round(float(value), 2) + 0:g}"  # + 0 turns -0.0 into 0.0
        ax.text(column, row, text, ha="center", va="center", fontsize=11, color=INK)
    ax.set_title("kernel, {} × {}".format(*array.shape), loc="center", fontsize=10)
    ax.set_axis_off()


def _outline(ax: Axes, left: float, top: float, side: float) -> None:
    for color, line in (("white", 4.0), (RED, 2.0)):  # visible on dark and on light pixels
        ax.add_patch(Rectangle((left, top), side, side, fill=False, ec=color, lw=line))


@style()
def windows(
    size: int, cases: Mapping[str, tuple[int, int, tuple[int, int]]], *, title: str
) -> Figure:
    """Draw where the windows of a convolution lie on an image, one panel per case.

    Pixels are white, padding is hatched. Each dot is the center of a window; the first window and
    the last one are outlined.

    Args:
        size: Height and width of the image in pixels.
        cases: By title, kernel size, stride, and the padding before and after.
        title: The message of the figure.
    """
    counts = {
        name: (size + sum(padding) - kernel) // stride + 1
        for name, (kernel, stride, padding) in cases.items()
    }
    alt = f"{title}. {size} × {size} pixels: " + "; ".join(
        f"{name} gives {count} × {count}" for name, count in counts.items()
    )
    fig, axes = figure(1, len(cases), height=3.1, alt=alt)
    fig.suptitle(title, x=0.01, ha="left", fontsize=12)
    for ax, (name, (kernel, stride, padding)) in zip(axes[0], cases.items(), strict=True):
        before, _ = padding
        side, last = size + sum(padding), stride * (counts[name] - 1) - before
        padded = Rectangle((-before, -before), side, side, fc="#e8e8e6", ec="#a8a8a6", hatch="///")
        padded.set_linewidth(0)
        ax.add_patch(padded)
        for row, column in np.ndindex(size, size):
            ax.add_patch(Rectangle((column, row), 1, 1, fc="white", ec="#c8c8c6", lw=0.8))
        centers = np.arange(counts[name]) * stride - before + kernel / 2
        ax.plot(*np.stack(np.meshgrid(centers, centers)).reshape(2, -1), "o", color=BLUE, ms=5)
        for corner, color, dash in ((-before, RED, "-"), (last, MUTED, "--")):
            window = Rectangle(
                (corner, corner), kernel, kernel, fill=False, ec=color, ls=dash, lw=2
            )
            ax.add_patch(window)
        ax.set(xlim=(-1.2, size + 1.2), ylim=(size + 1.2, -1.2), aspect="equal")
        ax.set_axis_off()
        text = f"{name}\n{size} × {size} → {counts[name]} × {counts[name]}"
        ax.set_title(text, loc="center", fontsize=10)
    return fig
