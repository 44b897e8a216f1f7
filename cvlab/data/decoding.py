"""The bytes of one image file to the pixels a person would see.

Files come from unknown sources. Grayscale, palette, CMYK, 16-bit, transparent and sideways images
are converted correctly, and a file that cannot be decoded is refused with a reason.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from cvlab.data.archives import DAMAGE

# Only these: Pillow also reads formats that start other programs (EPS) or are rarely tested.
IMAGE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
BACKGROUND = (255, 255, 255)
MAX_PIXELS = 89_478_485  # Pillow's own limit for decompression bombs
# Threads decode larger ones one at a time: the largest needs up to 0.9 GB on its way.
_LARGE_PIXELS = 2**23
_LARGE = threading.Lock()


class BadImageError(Exception):
    """An image cannot be used; the text is the reason."""


@contextmanager
def open_rgb(data: bytes) -> Iterator[Image.Image]:
    """Yield an image as a person would see it: upright, 8-bit RGB.

    While the block holds an image of more than 8 million pixels, other threads wait with theirs.

    Raises:
        BadImageError: If it cannot be decoded, with the reason.
    """
    with ExitStack() as turn:
        yield _decoded(data, turn)


def _decoded(data: bytes, turn: ExitStack) -> Image.Image:
    if not data:
        raise BadImageError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise BadImageError(
                    f"{image.width:,} × {image.height:,} pixels are more than the "
                    f"{MAX_PIXELS:,} allowed"
                )
            if pixels > _LARGE_PIXELS:
                turn.enter_context(_LARGE)
            image.load()
            return _upright_rgb(image)
    except Image.DecompressionBombError as error:
        raise BadImageError(f"more than {MAX_PIXELS:,} pixels ({error})") from error
    except UnidentifiedImageError as error:
        raise BadImageError(
            f"not an image in a known format; the file starts with {data[:12]!r}"
        ) from error
    # Pillow's decoders answer damaged files with any of these, depending on where they stumble.
    except (*DAMAGE, OSError, SyntaxError, TypeError, LookupError, ArithmeticError) as error:
        raise BadImageError(f"cannot be decoded: {error}") from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for one of Adobe's, which store 255 for "no ink".
        image = ImageChops.invert(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    elif image.mode == "F":
        raise BadImageError("floating-point pixels, whose black and white are unknown")
    if image.has_transparency_data:
        drawn = image.convert("RGBA")
        image = Image.new("RGB", drawn.size, BACKGROUND)
        image.paste(drawn, mask=drawn)
        return image
    # `convert` would copy what is RGB already: a sixth of the time of decoding a photo.
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadImageError("32-bit pixels, whose black and white are unknown")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, most of which are about unusual EXIF data.

    What makes an image unusable is an error, and is reported as the reason of its rejection.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def to_array(data: bytes, image_size: int) -> npt.NDArray[np.uint8]:
    """Decode one image and squeeze it to a square, antialiased.

    Args:
        data: Content of an image file.
        image_size: Height and width in pixels.

    Returns:
        RGB from 0 to 255, uint8 of shape (image_size, image_size, 3).

    Raises:
        BadImageError: If it cannot be decoded, with the reason.
    """
    # JPEG's draft mode would save a third of the time for photos of twice the size, once; the
    # pixels would differ by up to 25 from those of everybody else's Pillow.
    with open_rgb(data) as image:
        return squeezed(image, image_size)


def squeezed(image: Image.Image, image_size: int) -> npt.NDArray[np.uint8]:
    """Squeeze an image from `open_rgb` to a square, antialiased: what `to_array` returns."""
    resized = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)
