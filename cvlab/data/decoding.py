"""The bytes of one picture file to the pixels a person would see.

Files come from strangers: gray, palette, CMYK, 16-bit, transparent and sideways pictures come out
right, and whatever cannot be decoded is refused with a reason.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from cvlab.cache import DatasetError

# No others: Pillow knows formats that start other programs (EPS) or are rarely tested.
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
BACKGROUND = (255, 255, 255)
MAX_PIXELS = 89_478_485  # Pillow's own limit for decompression bombs
# Threads decode larger ones one at a time: the largest needs up to 0.9 GB on its way.
_LARGE_PIXELS = 2**23
_LARGE = threading.Lock()


class BadPictureError(Exception):
    """A picture cannot be used; the text is the reason."""


@contextmanager
def open_rgb(data: bytes) -> Iterator[Image.Image]:
    """Yield a picture as a person would see it: upright, 8-bit RGB.

    While the block holds a picture of more than 8 million pixels, other threads wait with theirs.

    Raises:
        BadPictureError: If it cannot be decoded, with the reason.
    """
    with ExitStack() as turn:
        yield _decoded(data, turn)


def _decoded(data: bytes, turn: ExitStack) -> Image.Image:
    if not data:
        raise BadPictureError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            pixels = picture.width * picture.height
            if pixels > MAX_PIXELS:
                raise BadPictureError(_too_large(picture.width, picture.height))
            if pixels > _LARGE_PIXELS:
                turn.enter_context(_LARGE)
            picture.load()
            return _upright_rgb(picture)
    except BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"more than {MAX_PIXELS:,} pixels ({error})") from error
    except UnidentifiedImageError as error:
        raise BadPictureError(
            f"no picture in a known format; the file starts with {data[:12]!r}"
        ) from error
    # Pillow's decoders answer damaged files with any of these, depending on where they stumble.
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise BadPictureError(f"cannot be decoded: {error}") from error


def _too_large(width: int, height: int) -> str:
    return f"{width:,} × {height:,} pixels are more than the {MAX_PIXELS:,} allowed"


def _upright_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        # Pillow takes every CMYK JPEG for one of Adobe's, which store 255 for "no ink".
        picture = ImageChops.invert(picture)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I"):
        picture = _from_16_bits(picture)
    elif picture.mode == "F":
        raise BadPictureError("floating-point pixels, whose black and white nobody knows")
    if picture.has_transparency_data:
        drawn = picture.convert("RGBA")
        picture = Image.new("RGB", drawn.size, BACKGROUND)
        picture.paste(drawn, mask=drawn)
        return picture
    # `convert` would copy what is RGB already: a sixth of the time of decoding a photo.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_16_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadPictureError("32-bit pixels, whose black and white nobody knows")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, of odd EXIF data for the most part.

    What makes a picture unusable is an error, and is reported as the reason of its rejection.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def check_image_size(image_size: int) -> None:
    """Raise DatasetError if `image_size` is no height and width in pixels, from 1 to 4,096."""
    if not isinstance(image_size, int) or not 0 < image_size <= 4096:
        raise DatasetError(
            f"image_size is {image_size!r}. It is the height and width of the pictures in pixels, "
            "a whole number from 1 to 4,096; the lecture takes 150."
        )


def to_array(data: bytes, image_size: int) -> npt.NDArray[np.uint8]:
    """Decode one picture and squeeze it to a square, antialiased.

    Args:
        data: Content of a picture's file.
        image_size: Height and width in pixels.

    Returns:
        RGB from 0 to 255, uint8 of shape (image_size, image_size, 3).

    Raises:
        BadPictureError: If it cannot be decoded, with the reason.
    """
    # JPEG's draft mode would save a third of the time for photos of twice the size, once; the
    # pixels would differ by up to 25 from those of everybody else's Pillow.
    with open_rgb(data) as picture:
        resized = picture.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)
