"""Corruptions against other libraries and by hand; severities are ordered, inputs stay."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from skimage import color, data, filters, transform

from cvlab.evaluation.corruptions import CORRUPTIONS, corrupt

PHOTO: np.ndarray = data.chelsea()  # type: ignore[no-untyped-call]
CAT = np.asarray(Image.fromarray(PHOTO).resize((64, 64)))
IMAGES = np.stack([CAT, CAT[:, ::-1], CAT[::-1]])
EACH = [(kind, severity) for kind in CORRUPTIONS for severity in (1, 2, 3)]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "jpeg", quality=quality)
    return np.asarray(Image.open(stream))


blurred: Callable[..., np.ndarray] = filters.gaussian
rotated: Callable[..., np.ndarray] = transform.rotate
resized: Callable[..., np.ndarray] = transform.resize
ycbcr: Callable[..., np.ndarray] = color.rgb2ycbcr

# What other code makes of one image at the middle severity, and how far it may be off.
OTHERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "blur": (lambda i: 255 * blurred(i / 255, 1.28, channel_axis=2, mode="nearest"), 1.0),
    "darkness": (lambda i: i / 4, 0.51),
    "rotation": (lambda i: 255 * rotated(i / 255, 45, mode="symmetric", order=1), 12.0),
    "crop": (lambda i: 255 * resized(i[13:-13, 13:-13] / 255, (64, 64), order=1), 12.0),
    "JPEG": (lambda i: jpeg(i, 10), 0.0),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_it_is_what_another_library_computes(kind: str) -> None:
    other, tolerance = OTHERS[kind]
    ours = corrupt(IMAGES, kind, 2)
    for image, found in zip(IMAGES, ours, strict=True):
        difference = np.abs(found.astype(float) - other(image))
        if tolerance > 2:  # edges are filled, and pixels centered, by other conventions
            assert difference.mean() < tolerance
            assert difference.mean() < 0.5 * np.abs(found.astype(float) - image).mean()
        else:
            assert difference.max() <= tolerance


def test_gray_has_no_color_left_and_keeps_the_brightness() -> None:
    gray = corrupt(IMAGES, "gray", 3)
    assert np.ptp(gray.astype(int), axis=-1).max() <= 1
    luma = ycbcr(IMAGES)[..., 0]  # from 16 to 235, by the same weights
    expected = (luma - 16) * 255 / 219
    assert np.abs(gray.mean(axis=-1) - expected).max() < 1.5
    half = corrupt(IMAGES, "gray", 2).astype(float)
    spread = np.std(half, axis=-1).mean() / np.std(IMAGES.astype(float), axis=-1).mean()
    assert spread == pytest.approx(0.33, abs=0.02)


def test_noise_has_its_standard_deviation_and_its_seed() -> None:
    flat = np.full((20, 64, 64, 3), 128, np.uint8)
    for severity, level in enumerate(CORRUPTIONS["noise"].levels[:2], 1):
        noisy = corrupt(flat, "noise", severity).astype(float) - 128
        assert noisy.std() == pytest.approx(level, rel=0.02)
        assert abs(noisy.mean()) < 0.5
    first, again, another = (corrupt(flat, "noise", 1, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, another)
    assert not np.array_equal(first[0], first[1])


def test_a_quarter_turn_is_exact_inside() -> None:
    turned = corrupt(IMAGES, "rotation", 3)
    expected = np.rot90(IMAGES, axes=(1, 2))
    assert np.abs(turned.astype(int) - expected)[:, 2:-2, 2:-2].mean() < 8


@pytest.mark.parametrize(("kind", "severity"), EACH)
def test_it_keeps_shape_dtype_and_input(kind: str, severity: int) -> None:
    before = IMAGES.copy()
    found = corrupt(IMAGES, kind, severity)
    assert found.shape == IMAGES.shape
    assert found.dtype == np.uint8
    assert np.array_equal(IMAGES, before)
    assert np.array_equal(found, corrupt(IMAGES, kind, severity))
    # One image at a time gives the same, where nothing is random.
    if kind != "noise":
        assert np.array_equal(corrupt(IMAGES[1:2], kind, severity)[0], found[1])


# A turn by 45 degrees moves the pixels as far from their place as one by 90.
@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "rotation"])
def test_a_higher_severity_changes_more(kind: str) -> None:
    change = [
        np.abs(corrupt(IMAGES, kind, severity).astype(float) - IMAGES).mean()
        for severity in (1, 2, 3)
    ]
    assert 0 < change[0] < change[1] < change[2]


def test_many_images_are_corrupted_in_parts() -> None:
    many = np.repeat(IMAGES, 40, axis=0)
    found = corrupt(many, "blur", 1)
    assert np.array_equal(found[::40], corrupt(IMAGES, "blur", 1))


@pytest.mark.parametrize(
    ("images", "kind", "severity", "message"),
    [
        (IMAGES, "snow", 1, "no corruption 'snow': choose one of blur, noise"),
        (IMAGES, "blur", 0, "severity is 0: pass 1 to 3"),
        (IMAGES, "blur", 4, "severity is 4"),
        (IMAGES / 255, "blur", 1, "images are float64"),
        (CAT, "blur", 1, r"shape \(64, 64, 3\)"),
        (IMAGES[:0], "blur", 1, r"shape \(0, 64, 64, 3\)"),
    ],
)
def test_bad_arguments_are_explained(
    images: np.ndarray, kind: str, severity: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(images, kind, severity)
