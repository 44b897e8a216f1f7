"""One image's file to the pixels a person would see, against Pillow and arithmetic by hand."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw

from cvlab.data import decoding
from cvlab.data.loading import load_images
from tests.small_photos import encode, noise, photo, zip_of

pytestmark = pytest.mark.usefixtures("cache")


def decoded(tmp_path: Path, data: bytes, suffix: str = ".jpg", size: int = 0) -> npt.NDArray[Any]:
    """Put an image through the whole path and return it as an array of signed numbers."""
    files = {f"cat.{i}.jpg": photo(i, 0) for i in (2, 3)}
    files |= {f"dog.{i}.jpg": photo(i, 1) for i in (1, 2, 3)}
    source = zip_of(tmp_path / "one.zip", files | {f"cat.1{suffix}": data})
    counts = {"train": 1, "validation": 1, "test": 1}
    pets = load_images(source, image_size=size or 16, per_class=counts)
    assert pets.rejected == ()
    assert pets.train.file_names[0] == f"cat/cat.1{suffix}"
    return np.array(pets.train.images[0]).astype(int)


def corners(color: tuple[int, int, int] = (255, 0, 0)) -> Image.Image:
    """A gray square with its upper left quarter colored."""
    image = Image.new("RGB", (16, 16), (128, 128, 128))
    ImageDraw.Draw(image).rectangle((0, 0, 7, 7), fill=color)
    return image


# Where the upper left quarter of what is stored belongs (EXIF 2.32, tag 274), as (row, column).
ORIENTATIONS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1),
                8: (1, 0)}  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decoded(tmp_path, encode(corners(), exif=exif, quality=95, subsampling=0))
    row, column = ORIENTATIONS[orientation]
    quarters = image.reshape(2, 8, 2, 8, 3).mean(axis=(1, 3))
    redness = quarters[..., 0] - quarters[..., 1]
    assert np.unravel_index(redness.argmax(), (2, 2)) == (row, column)
    assert redness.max() > 240
    assert np.sort(redness.ravel())[-2] < 10


def test_exif_turns_the_long_side(tmp_path: Path) -> None:
    """A stripe along the long side of a lying image stands upright after a quarter turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((20, 60), np.uint8)
    stored[:10] = 255  # the upper half, which a quarter turn clockwise brings to the right
    image = decoded(tmp_path, encode(Image.fromarray(stored), exif=exif, quality=95))
    assert image[:, 9:].min() > 240
    assert image[:, :7].max() < 15


def test_broken_exif_does_no_harm(tmp_path: Path) -> None:
    data = encode(corners(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03", quality=95)
    assert decoded(tmp_path, data)[0, 0, 0] > 240


def ink_to_rgb(cmyk: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The textbook's R = (1 - C)(1 - K), for inks from 0 to 255."""
    ink = cmyk.astype(float) / 255
    return np.round(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(int)


INKS = np.array([[0, 255, 255, 0], [255, 0, 0, 0], [0, 0, 0, 255], [40, 80, 20, 30]], np.uint8)


def without_adobe_marker(data: bytes) -> bytes:
    """Cut the APP14 segment out of a JPEG file."""
    start = data.index(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    assert data[start + 4 : start + 9] == b"Adobe"
    return data[:start] + data[start + 2 + length :]


@pytest.mark.parametrize("number", range(4))
def test_cmyk(tmp_path: Path, number: int) -> None:
    """Adobe's files hold inverted ink (and Pillow writes such), files without its marker ink."""
    flat = np.broadcast_to(INKS[number], (16, 16, 4))
    adobe = encode(Image.fromarray(np.ascontiguousarray(flat), "CMYK"), quality=100)
    inverted = encode(Image.fromarray(255 - flat, "CMYK"), quality=100)
    expected = ink_to_rgb(INKS[number])
    assert np.abs(decoded(tmp_path, adobe) - expected).max() <= 3
    assert np.abs(decoded(tmp_path, without_adobe_marker(inverted)) - expected).max() <= 3


def test_cmyk_with_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    ink = corners().convert("CMYK")
    adobe = encode(ink, exif=exif, quality=100)
    plain = without_adobe_marker(encode(ImageChops.invert(ink), exif=exif, quality=100))
    for data in (adobe, plain):
        image = decoded(tmp_path, data)
        assert image[15, 15].tolist() == pytest.approx([255, 0, 0], abs=4)
        assert image[0, 0].tolist() == pytest.approx([128, 128, 128], abs=4)


def test_gray(tmp_path: Path) -> None:
    gray = noise(16, 16, 1)
    image = decoded(tmp_path, encode(Image.fromarray(gray), "PNG"), ".png")
    assert np.array_equal(image, np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("GIF", ".gif")])
def test_palette(tmp_path: Path, kind: str, suffix: str) -> None:
    index, palette = noise(16, 16, 1, seed=1), noise(256, 3, 1, seed=2)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.tobytes())
    assert np.array_equal(decoded(tmp_path, encode(image, kind), suffix), palette[index])


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("GIF", ".gif")])
def test_transparent_color_of_a_palette(tmp_path: Path, kind: str, suffix: str) -> None:
    index, palette = noise(16, 16, 1, seed=1) % 4, noise(256, 3, 1, seed=2)
    image = Image.fromarray(index, "P")
    image.putpalette(palette.tobytes())
    palette[3] = 255  # the background
    data = encode(image, kind, transparency=3)
    assert np.array_equal(decoded(tmp_path, data, suffix), palette[index])


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_on_white(tmp_path: Path, channels: int) -> None:
    pixels = noise(16, 16, channels)
    data = encode(Image.fromarray(pixels, "LA" if channels == 2 else "RGBA"), "PNG")
    color, alpha = pixels[..., :-1].astype(float), pixels[..., -1:] / 255
    expected = color * alpha + 255 * (1 - alpha)
    assert np.abs(decoded(tmp_path, data, ".png") - expected).max() <= 1


def test_16_bits(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (16, 16), dtype=np.uint16)
    expected = np.round(levels / 65535 * 255).astype(int)
    for kind, suffix in (("PNG", ".png"), ("TIFF", ".tif")):
        image = decoded(tmp_path, encode(Image.fromarray(levels), kind), suffix)
        assert np.array_equal(image, np.repeat(expected[..., None], 3, axis=2))


def test_black_and_white(tmp_path: Path) -> None:
    bits = noise(16, 16, 1) > 127
    image = decoded(tmp_path, encode(Image.fromarray(bits), "PNG"), ".png")
    assert np.array_equal(image, np.repeat(255 * bits[..., None].astype(int), 3, axis=2))


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from([50, 90]))
def test_decoding_equals_pillow_by_hand(height: int, width: int, size: int, quality: int) -> None:
    data = encode(Image.fromarray(noise(height, width, seed=height)), quality=quality)
    by_hand = Image.open(io.BytesIO(data)).resize((size, size), Image.Resampling.BILINEAR)
    assert np.array_equal(decoding.to_array(data, size), np.asarray(by_hand))


def triangle_weights(old: int, new: int) -> npt.NDArray[np.float64]:
    """Weights (new, old) of antialiased linear interpolation: a triangle as wide as two pixels."""
    scale = old / new
    centers = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centers[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_resizing_by_hand(tmp_path: Path) -> None:
    """Squeezed to a square, every old pixel counted: the formula in NumPy."""
    pixels = noise(40, 64)
    rows, columns = triangle_weights(40, 16), triangle_weights(64, 16)
    expected = np.einsum("ih,jw,hwc->ijc", rows, columns, pixels)
    image = decoded(tmp_path, encode(Image.fromarray(pixels), "PNG"), ".png")
    assert np.abs(image - expected).max() <= 1.5  # rounded after each of two passes
