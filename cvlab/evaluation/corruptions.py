"""Corruptions: what happens to images outside the test set, in three severities each.

Every corruption keeps the label: a person still sees the animal at the highest severity, or nearly.
Lengths are relative to the image, so the same severity means the same at 64 and at 224 pixels.
Nothing here needs Keras.

Source:
    D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations", ICLR 2019, for the idea of severities; kinds and levels are the course's.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Images = NDArray[np.uint8]
_Apply = Callable[[Images, float, np.random.Generator], Images]

# Images that are corrupted at a time, so that a large set needs little memory.
_CHUNK: Final = 50
# Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601).
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Corruption:
    """A way to corrupt images.

    Attributes:
        unit: What a level measures.
        levels: The level of each severity, from mild to strong.
        apply: From images (n, height, width, 3), a level and a random generator to images of the
            same shape.
    """

    unit: str
    levels: tuple[float, ...]
    apply: _Apply


def corrupt(images: Images, kind: str, severity: int, *, seed: int = 0) -> Images:
    """Corrupt images; the same call gives the same pixels.

    Args:
        images: uint8, shape (N, height, width, 3), at least one; not changed.
        kind: One of `CORRUPTIONS`.
        severity: From 1, mild, to 3, strong.
        seed: Of the noise.

    Returns:
        uint8, the same shape.

    Raises:
        ValueError: If there is no such corruption or severity, or `images` is not a batch of uint8
            color images.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"there is no corruption {kind!r}: choose one of {', '.join(CORRUPTIONS)}")
    corruption = CORRUPTIONS[kind]
    if not 1 <= severity <= len(corruption.levels):
        raise ValueError(f"severity is {severity}: pass 1 to {len(corruption.levels)}")
    batch = np.asarray(images)
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[-1] != 3 or not len(batch):
        raise ValueError(
            f"images are {batch.dtype} of shape {batch.shape}: pass uint8 images (N, height, "
            "width, 3) from 0 to 255, before any preprocessing"
        )
    rng = np.random.default_rng([seed, severity])
    level = corruption.levels[severity - 1]
    parts = (batch[start : start + _CHUNK] for start in range(0, len(batch), _CHUNK))
    return np.concatenate([corruption.apply(part, level, rng) for part in parts])


def _levels(values: NDArray[np.floating]) -> Images:
    return np.asarray(np.clip(np.round(values), 0, 255), dtype=np.uint8)


def _blur(images: Images, level: float, rng: np.random.Generator) -> Images:
    sigma = level / 100 * images.shape[2]
    smooth = ndimage.gaussian_filter(
        images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest"
    )
    return _levels(smooth)


def _noise(images: Images, level: float, rng: np.random.Generator) -> Images:
    return _levels(images + level * rng.standard_normal(images.shape, np.float32))


def _darkness(images: Images, level: float, rng: np.random.Generator) -> Images:
    return _levels(images * np.float32(1 - level / 100))


def _gray(images: Images, level: float, rng: np.random.Generator) -> Images:
    luma = (images @ _LUMA)[..., None]
    return _levels(images + np.float32(level / 100) * (luma - images))


def _rotation(images: Images, level: float, rng: np.random.Generator) -> Images:
    """Turn counterclockwise; what comes in at the edges is the reflected image."""
    size = images.shape[1:3]
    margin = [(side // 2, side // 2) for side in size]
    padded = np.pad(images, ((0, 0), *margin, (0, 0)), mode="reflect")
    top, left = (side // 2 for side in size)
    turned = (
        np.asarray(Image.fromarray(image).rotate(level, Image.Resampling.BILINEAR))
        for image in padded
    )
    return np.stack([one[top : top + size[0], left : left + size[1]] for one in turned])


def _crop(images: Images, level: float, rng: np.random.Generator) -> Images:
    """Cut off the margin so that `level` percent of each side is lost, and enlarge the rest."""
    height, width = images.shape[1:3]
    cut = level / 200
    box = (cut * width, cut * height, (1 - cut) * width, (1 - cut) * height)
    enlarged = (
        Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
        for image in images
    )
    return np.stack([np.asarray(one) for one in enlarged])


def _jpeg(images: Images, level: float, rng: np.random.Generator) -> Images:
    found = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=round(level))
        with Image.open(buffer) as decoded:
            found.append(np.asarray(decoded.convert("RGB")))
    return np.stack(found)


CORRUPTIONS: Final[dict[str, Corruption]] = {
    "blur": Corruption("standard deviation in % of the width", (1.0, 2.0, 4.0), _blur),
    "noise": Corruption("standard deviation in gray levels", (10.0, 25.0, 50.0), _noise),
    "darkness": Corruption("light taken away in %", (50.0, 75.0, 90.0), _darkness),
    "rotation": Corruption("degrees", (15.0, 45.0, 90.0), _rotation),
    "crop": Corruption("of each side cut off in %", (20.0, 40.0, 60.0), _crop),
    "JPEG": Corruption("quality", (25.0, 10.0, 5.0), _jpeg),
    "gray": Corruption("color taken away in %", (33.0, 67.0, 100.0), _gray),
}
"""By name; the severities of each from mild to strong."""
