"""Figures made of images: photos, feature maps, small matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from cvlab.plots.style import CARD, INK, Figure, figure, style


def _grid(
    count: int, titles: Sequence[str], *, columns: int, size: float, title_height: float, alt: str
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, one for each of some images, each under its title."""
    if titles and len(titles) != count:
        raise ValueError(f"{len(titles)} titles for {count} images: pass one for each, or none")
    if columns < 1:
        raise ValueError(f"columns is {columns}: pass at least one image per row")
    columns = min(columns, count)
    rows = -(-count // columns)
    height = rows * (size + (title_height if titles else 0.05))
    fig, axes = figure(rows, columns, width=columns * size, height=height, alt=alt)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title, loc="center", fontsize=8)
    return fig, list(axes.flat[:count])


def photos(
    images: ArrayLike,
    titles: Sequence[str] = (),
    *,
    columns: int = 6,
    size: float = 1.25,
    alt: str = "",
) -> Figure:
    """Show images side by side, each under its title.

    Args:
        images: Color images, shape (N, H, W, 3), uint8 or floats from 0 to 1; or maps of any range,
            shape (N, H, W), each drawn in gray from its own lowest to its highest value.
        titles: One short line per image, or none.
        columns: Images per row.
        size: Inches per image.
        alt: See `figure`; by default the number of images and their titles.

    Raises:
        ValueError: If there are no images, the number of titles differs, or `columns` is not
            positive.
    """
    stack = np.asarray(images)
    if stack.ndim not in (3, 4) or not len(stack):
        raise ValueError(
            f"photos() takes a batch of images (N, H, W, 3) or (N, H, W), got shape "
            f"{stack.shape}: write images[None] for a single image"
        )
    alt = alt or f"{len(stack)} images" + (f": {', '.join(titles)}" if titles else "")
    fig, axes = _grid(len(stack), titles, columns=columns, size=size, title_height=0.25, alt=alt)
    fig.photographic = True
    for ax, image in zip(axes, stack, strict=True):
        ax.imshow(image, interpolation="nearest", cmap="gray")
    return fig


def matrices(
    arrays: Sequence[ArrayLike] | NDArray[Any],
    titles: Sequence[str] = (),
    *,
    size: float = 1.3,
    alt: str,
) -> Figure:
    """Show small matrices side by side: blue below zero, white at zero, red above.

    If the cells are wide enough, each also shows its number.

    Args:
        arrays: Matrices, each of shape (H, W).
        titles: One short line per matrix, or none.
        size: Inches per matrix.
        alt: See `figure`.

    Raises:
        ValueError: If there are no matrices, or the number of titles differs.
    """
    stack = [np.asarray(array, dtype=np.float64) for array in arrays]
    if not stack:
        raise ValueError("matrices() got no arrays: pass at least one of shape (H, W)")
    fig, axes = _grid(len(stack), titles, columns=6, size=size, title_height=0.3, alt=alt)
    for ax, matrix in zip(axes, stack, strict=True):
        most = np.abs(matrix).max() or 1.0
        ax.imshow(matrix, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        if size / matrix.shape[1] >= 0.4:  # inches that a number needs
            for (row, column), value in np.ndenumerate(matrix):
                ink = CARD if abs(value) > 0.6 * most else INK
                text = f"{round(value, 2) + 0:g}"  # + 0 turns -0.0 into 0.0
                ax.text(column, row, text, ha="center", va="center", fontsize=7, color=ink)
    return fig


@style()
def feature_maps(
    maps: Mapping[str, NDArray[Any]], *, channels: int = 8, image: int = 0, size: float = 1.0
) -> Figure:
    """Show the feature maps of one image, one row per layer, from the first layer to the last.

    Each row shows the channels with the highest standard deviation over the image, the highest
    first, each from its own lowest value (black) to its highest (white); a constant channel is
    black. The label gives the layer, the shape of its feature map and the number of constant
    channels.

    Args:
        maps: Feature maps (N, h, w, C) by layer name, from
            `cvlab.evaluation.explain.feature_maps`.
        channels: Channels per row.
        image: Which image of the batch.
        size: Inches per channel.

    Raises:
        ValueError: If there are no maps.
    """
    if not maps:
        raise ValueError("feature_maps() got no maps: name at least one layer")
    shapes = {name: " × ".join(map(str, batch.shape[1:])) for name, batch in maps.items()}
    described = "; ".join(f"{name} {shape}" for name, shape in shapes.items())
    alt = f"Feature maps of one image by depth: {described}"
    width = (channels + 1.4) * size
    fig, axes = figure(len(maps), channels + 1, width=width, height=len(maps) * size, alt=alt)
    for row, (name, batch) in zip(axes, maps.items(), strict=True):
        constant = np.sum(np.ptp(batch[image], axis=(0, 1)) == 0)
        strongest = np.argsort(-batch[image].std(axis=(0, 1)), kind="stable")
        for ax in row:
            ax.set_axis_off()
        label = f"{name}\n{shapes[name]}\n{constant} show nothing"
        row[0].text(1, 0.5, label, ha="right", va="center", fontsize=8, transform=row[0].transAxes)
        for ax, channel in zip(row[1:], strongest[:channels], strict=False):
            ax.imshow(batch[image, ..., channel], interpolation="nearest", cmap="gray")
    return fig
