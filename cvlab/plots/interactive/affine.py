"""An image under an affine map that the reader changes, with the map in numbers."""

import base64
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cvlab.plots.interactive.base import Interactive
from cvlab.plots.style import figure

# What the figure shows at first; names and units are those of `cvlab.training.augmentation`.
_START: Final = {
    "rotation": 20.0,
    "width_shift": 0.1,
    "height_shift": 0.0,
    "shear": 0.0,
    "zoom": 1.0,
    "flip": 0.0,
}


def affine_map(image: NDArray[np.uint8], options: Mapping[str, Any]) -> Interactive:
    """Show an image beside itself under an affine map that the reader changes.

    Sliders set rotation, shear, zoom and shifts, a box the flip; dragging the result shifts it. The
    matrix is composed in the order of `cvlab.training.augmentation.affine_matrix`, and shown as the
    two equations that give the position read for each pixel of the result.

    Args:
        image: Square color image, uint8, shape (size, size, 3).
        options: The ranges that the button samples from, as `Augment` takes them: `rotation_range`,
            `width_shift_range`, `height_shift_range`, `shear_range` and `zoom_range`.

    Raises:
        ValueError: If the image is not square, not in color or not uint8.
    """
    size = len(image)
    if image.dtype != np.uint8 or image.shape != (size, size, 3):
        raise ValueError(
            f"affine_map() got an image {image.shape} of {image.dtype}: pass one square color "
            "image, uint8, shape (size, size, 3)"
        )
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="jpeg", quality=85)
    ranges = {name: options.get(f"{name}_range", 0) for name in _START if name != "flip"}
    data = {
        "size": size,
        "image": f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        "start": _START,
        "ranges": {**ranges, "flip": 1},
    }
    map_ = matrix(_START, size)
    # SciPy counts rows first.
    warp, offset = map_[::-1, 1::-1], map_[::-1, 2]
    planes = [
        ndimage.affine_transform(plane, warp, offset, order=1, mode="nearest")
        for plane in np.moveaxis(image, -1, 0)
    ]
    still, axes = figure(
        1,
        2,
        height=2.3,
        alt="An image, and the same image rotated by 20 degrees and shifted to the right; with "
        "scripts, controls change rotation, shear, zoom, shifts and flip",
    )
    still.photographic = True
    titles = ("original", "rotated by 20°, shifted right by 10 %")
    for ax, shown, title in zip(axes[0], (image, np.stack(planes, -1)), titles, strict=True):
        ax.imshow(shown)
        ax.set_title(title, loc="center")
        ax.set_axis_off()
    return Interactive("affine.js", data, still)


def matrix(settings: Mapping[str, float], size: int) -> NDArray[np.float64]:
    """Return the affine map from output to input pixels, as the script computes it.

    Args:
        settings: `rotation` and `shear` in degrees, `width_shift` and `height_shift` as fractions,
            `zoom` as a factor, `flip` as 0 or 1.
        size: Width and height of the image in pixels.

    Returns:
        Shape (2, 3), see `cvlab.training.augmentation.affine_matrix`.
    """
    turn, lean = np.deg2rad(settings["rotation"]), np.deg2rad(settings["shear"])
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shear = np.array([[1, -np.sin(lean)], [0, np.cos(lean)]])
    linear = rotate @ shear @ np.diag([1 - 2 * settings["flip"], 1]) * settings["zoom"]
    shift = size * np.array([settings["width_shift"], settings["height_shift"]])
    center = np.full(2, (size - 1) / 2)
    return np.column_stack([linear, center - linear @ center - rotate @ shift])
