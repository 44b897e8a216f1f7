"""Checks of the arguments that all steps from source to arrays share."""

from collections.abc import Mapping
from typing import Final

from cvlab.cache import DatasetError

SPLITS: Final = ("train", "validation", "test")
# The lecture's: 2,000 images to train on, 1,000 to validate, 1,000 to test.
LECTURE_PER_CLASS: Final = {"train": 1000, "validation": 500, "test": 500}


def checked_per_class(per_class: Mapping[str, int] | None) -> dict[str, int]:
    """Return the number of images of each class by split, the lecture's numbers if None.

    Raises:
        DatasetError: If it is not a positive whole number for each of `SPLITS`.
    """
    wanted = dict(LECTURE_PER_CLASS if per_class is None else per_class)
    good = all(isinstance(count, int) and count > 0 for count in wanted.values())
    if set(wanted) != set(SPLITS) or not good:
        raise DatasetError(
            f"per_class is {wanted}. Pass the number of images of each class for each split, "
            f"positive whole numbers, such as {LECTURE_PER_CLASS}."
        )
    return {split: wanted[split] for split in SPLITS}


def check_seed(seed: int | None) -> None:
    """Check the seed of a split.

    Raises:
        DatasetError: If it is neither None nor a whole number, 0 or more.
    """
    if seed is not None and (not isinstance(seed, int) or seed < 0):
        raise DatasetError(f"seed is {seed!r}. Pass None or a whole number, 0 or more.")


def check_image_size(image_size: int) -> None:
    """Check the height and width of images.

    Raises:
        DatasetError: If it is not a whole number of pixels from 1 to 4,096.
    """
    if not isinstance(image_size, int) or not 0 < image_size <= 4096:
        raise DatasetError(
            f"image_size is {image_size!r}. Pass the height and width of the images in pixels, "
            "a whole number from 1 to 4,096; the lecture takes 150."
        )
