"""A kernel with editable weights that slides over an image."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvlab.plots.interactive.base import Interactive
from cvlab.plots.windows import sliding_kernel

KERNELS: Final[dict[str, NDArray[np.float64]]] = {
    name: np.array(rows, np.float64)
    for name, rows in {
        "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        "blur": [[1 / 9] * 3] * 3,
        "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
        "Sobel x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
        "Sobel y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
        "Laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    }.items()
}
"""Well-known 3 × 3 kernels by name."""


def kernel_on_image(image: ArrayLike, chosen: str = "Sobel x") -> Interactive:
    """Show an image, a kernel whose nine weights can be edited, and the feature map.

    The window follows the pointer and the arrow keys; the nine products under it and their sum are
    written out.

    Args:
        image: Gray values, integers from 0 to 255, shape (H, W), each side from 3 to 64.
        chosen: Name of the kernel to begin with, one of `KERNELS`.

    Raises:
        ValueError: If there is no such kernel, or the image has another shape or other values.
    """
    pixels = np.asarray(image)
    if chosen not in KERNELS:
        raise ValueError(f"no kernel is called {chosen!r}: choose one of {', '.join(KERNELS)}")
    if pixels.ndim != 2 or not all(3 <= side <= 64 for side in pixels.shape):
        raise ValueError(
            f"the image has shape {pixels.shape}: pass one gray image (H, W) of 3 to 64 pixels per "
            "side, since the page holds each pixel as text"
        )
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(
            f"the image has values of type {pixels.dtype} from {pixels.min()} to {pixels.max()}: "
            "pass integers from 0 to 255"
        )
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3))
    feature_map = (windows * KERNELS[chosen]).sum(axis=(2, 3))
    row, column = np.unravel_index(feature_map.argmax(), feature_map.shape)
    at = int(row), int(column)
    still = sliding_kernel(
        pixels,
        KERNELS[chosen],
        feature_map,
        title=f"One window, nine products, one sum: {feature_map[at]:g}",
        at=at,
        alt=f"A kernel of 3 × 3 weights ({chosen}) slides over an image of {pixels.shape[0]} × "
        f"{pixels.shape[1]} pixels; each sum of nine products is one value of the feature map",
    )
    data = {
        "image": pixels.tolist(),
        "kernels": {name: weights.tolist() for name, weights in KERNELS.items()},
        "chosen": chosen,
        "at": at,
    }
    return Interactive("kernel.js", data, still)
