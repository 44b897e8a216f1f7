"""Cats and dogs of another source, to see how far a test accuracy carries."""

import os
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from cvlab.cache import DatasetError, in_threads
from cvlab.data import decoding
from cvlab.data.checks import check_image_size
from cvlab.data.listing import CLASS_NAMES, ImageFile, Listing, find_images
from cvlab.data.loading import Split

VARIABLE: Final = "CVLAB_OTHER"
_MOST: Final = 500


def load_other(
    image_size: int, *, source: str | Path | None = None, most: int = _MOST
) -> Split | None:
    """Return the images of another source than the course's, as many cats as dogs.

    Args:
        image_size: Height and width in pixels; the images are decoded as `decode` does it.
        source: A folder with the sub-folders cats and dogs, or any source of `find_images`. None
            for the path in the environment variable `CVLAB_OTHER` (`make ... OTHER=`).
        most: Images of each class at most, the first ones by number.

    Returns:
        The images, cats and dogs alternating; None if there is no other source.

    Raises:
        DatasetError: If there is nothing at the path, one class is missing, or an image cannot be
            decoded.
    """
    check_image_size(image_size)
    path = source or os.environ.get(VARIABLE)
    if not path:
        return None
    if not Path(path).expanduser().exists():
        raise DatasetError(
            f"There is nothing at {path}. Pass a folder with the sub-folders cats and dogs as "
            f"OTHER= (with make) or in the environment variable {VARIABLE}, or leave it out."
        )
    listing = find_images(path)
    count = min(most, *map(len, listing.images.values()))
    pairs = zip(*(listing.images[name][:count] for name in CLASS_NAMES), strict=True)
    images = [image for pair in pairs for image in pair]
    with decoding.quiet_pillow():
        pixels = np.stack(list(in_threads(partial(_pixels, listing, image_size), images)))
    labels = np.tile(np.arange(len(CLASS_NAMES), dtype=np.uint8), count)
    return Split(pixels, labels, CLASS_NAMES, tuple(image.name for image in images))


def _pixels(listing: Listing, image_size: int, image: ImageFile) -> np.ndarray:
    with listing.reader() as read:
        data = read(image)
    try:
        return decoding.to_array(data, image_size)
    except decoding.BadImageError as error:
        raise DatasetError(
            f"{image.name} in {listing.source} {error}. Take it out of the folder and run this "
            "again."
        ) from error
