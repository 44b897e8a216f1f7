"""Contact sheets of the drawn images as PNG files: `python -m cvlab sheets build/sheets`.

A hundred cats and dogs in random order, with the answers in a text file, so that a person can take
the same test as the networks; and the zoo that the embedded base was pretrained on, one species per
row.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvlab.drawing import toypets

COLUMNS: Final = 10
ROWS: Final = 10
FIRST: Final = 100_000  # numbers that no notebook draws


def contact_sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange images in rows of `COLUMNS` without gaps.

    Args:
        images: (n, height, width, 3) uint8; n a multiple of `COLUMNS`.

    Returns:
        One image, (n / COLUMNS * height, COLUMNS * width, 3) uint8.
    """
    _, height, width, channels = images.shape
    rows = images.reshape(-1, COLUMNS, height, width, channels)
    return rows.swapaxes(1, 2).reshape(-1, COLUMNS * width, channels)


def pets(size: int = 64, seed: int = 0) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw a hundred cats and dogs in random order.

    Args:
        size: Height and width of each in pixels.
        seed: Of the images and of their order.

    Returns:
        The sheet, uint8 RGB, and the species in each image, row by row.
    """
    answers = np.random.default_rng(seed).choice(toypets.CLASSES, ROWS * COLUMNS).tolist()
    images = [
        toypets.draw(species, FIRST + number, size=size, seed=seed)
        for number, species in enumerate(answers)
    ]
    return contact_sheet(np.stack(images)), answers


def zoo(seed: int = 0) -> NDArray[np.uint8]:
    """Draw ten of each species of the zoo, one species per row, uint8 RGB."""
    numbers = range(FIRST, FIRST + COLUMNS)
    rows = [
        toypets.draw_many(species, numbers, seed=seed, progress=False) for species in toypets.ZOO
    ]
    return contact_sheet(np.concatenate(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab sheets", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the PNG files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for size in (64, 150):
        sheet, answers = pets(size, options.seed)
        Image.fromarray(sheet).save(folder / f"pets_{size}.png")
        lines = [" ".join(answers[row : row + COLUMNS]) for row in range(0, len(answers), COLUMNS)]
        (folder / f"pets_{size}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Image.fromarray(zoo(seed=options.seed)).save(folder / "zoo_64.png")
    print(f"A hundred pets to classify, their answers, and the zoo: {folder}")
    return 0
