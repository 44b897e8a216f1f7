"""Toy pets: small drawn images of cats, dogs and a zoo of other animals.

They stand in for the lecture's photos where there is no network. They are drawn, not photographed,
but they look like snapshots, upright, in a room or a garden, and are hard in the way photos are:
the animal is near or far, off center, cropped, partly hidden behind grass, flowers, a fence or a
cushion, lit from anywhere, its head tilted, and its coat says nothing about its species.

Every drawing is a pure function of `(species, number, seed, size)`, the same bytes on every machine
(see `cvlab.drawing.canvas`).
"""

import os
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Final

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from cvlab.drawing.animals import CLASSES, SERIES, ZOO, ZOO_PARTS, attributes
from cvlab.drawing.canvas import Canvas, Dice, Frame, cos_sin
from cvlab.drawing.colors import COATS
from cvlab.drawing.painting import Scene, paint_head, paint_torso, woven_coat
from cvlab.drawing.scenery import background, occlude, photograph

__all__ = ["CLASSES", "SMALLEST", "VERSION", "ZOO", "draw", "draw_many", "write_images"]

VERSION: Final = 5
"""Raised whenever the same arguments give other bytes than before; the base's record names it."""
SMALLEST: Final = 16
"""Height and width in pixels below which nothing can be drawn."""

_CHUNK: Final = 64  # images per task of a worker, and per step of the progress bar
_WORTH_A_PROCESS: Final = 256  # below this, starting Python costs more than it saves
_WORTH_A_BAR: Final = 2000
_IDLE: Final = 10  # seconds after which workers end, also those of a killed kernel


def draw(species: str, number: int, *, size: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Draw one image.

    Args:
        species: One of `CLASSES` or `ZOO`.
        number: Which drawing of the species, from 0.
        size: Width and height in pixels, at least 16.
        seed: Another seed gives another, independent series of drawings.

    Returns:
        The image, (size, size, 3) uint8 RGB; the same bytes on every machine.

    Raises:
        ValueError: For an unknown species, a negative number or seed, or a size below 16.
    """
    if size < SMALLEST:
        raise ValueError(f"size is {size}; an image needs at least {SMALLEST} pixels per side")
    a = attributes(species, number, seed=seed)
    dice = Dice(seed, SERIES[species], number, 1)
    cos, sin = cos_sin(a.light_angle)
    light = (cos * a.light_strength * 2, sin * a.light_strength * 2)
    canvas = Canvas(size, light, dice.clouds(size, min(size // 2, 32)) * 2 - 1)
    background(a, dice, canvas)
    body = Frame(size, (a.x, a.y), a.head_size, a.rotation)
    main = dice.jitter(COATS[a.coat], 6)
    marks = dice.jitter(COATS[a.marks], 6)
    scene = Scene(
        a=a,
        mark=ZOO_PARTS[species][1] if species in ZOO_PARTS else "",
        dice=dice,
        canvas=canvas,
        frame=Frame(size, (a.x, a.y), a.head_size, a.rotation + a.tilt),
        body=body,
        main=main,
        patch=marks,
        coat=woven_coat(a, dice, body, main, marks),
    )
    paint_torso(scene)
    paint_head(scene)
    occlude(a, dice, canvas)
    return photograph(a, dice, canvas)


def draw_many(
    species: str,
    numbers: Sequence[int],
    *,
    size: int = 64,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> NDArray[np.uint8]:
    """Draw many images of one species, on several cores.

    The workers are fresh Python processes that import nothing but the drawing code, so this is safe
    after TensorFlow has started its threads, in notebooks and in scripts without a main guard.

    Args:
        species: One of `CLASSES` or `ZOO`.
        numbers: Which drawings, in the order wanted.
        size: Width and height in pixels.
        seed: As in `draw`.
        workers: Number of processes; None takes 2 for more than a few hundred images, else 1.
        progress: Show a bar above 2,000 images.

    Returns:
        The images, (len(numbers), size, size, 3) uint8.

    Raises:
        ValueError: As `draw`, or for `workers` below 1.
        RuntimeError: When a worker dies.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; pass at least 1, or None")
    count = len(numbers)
    if workers is None:
        workers = 2 if count >= _WORTH_A_PROCESS and (os.cpu_count() or 1) > 1 else 1
    images = np.empty((count, size, size, 3), np.uint8)
    step = min(_CHUNK, max(count // workers, 1))
    chunks = [range(start, min(start + step, count)) for start in range(0, count, step)]
    tasks = (
        delayed(_drawn)(species, [int(numbers[k]) for k in chunk], size, seed) for chunk in chunks
    )
    silent = not progress or count <= _WORTH_A_BAR
    with tqdm(total=count, desc=f"drawing {species}", unit="pic", disable=silent) as bar:
        try:
            parts = Parallel(workers, return_as="generator", idle_worker_timeout=_IDLE)(tasks)
            for chunk, part in zip(chunks, parts, strict=True):
                images[chunk.start : chunk.stop] = part
                bar.update(len(chunk))
        except BrokenExecutor as error:
            raise RuntimeError(
                f"A worker that draws {species}s ended early ({error}). Pass workers=1 to draw in "
                "this process."
            ) from error
    return images


def _drawn(species: str, numbers: Sequence[int], size: int, seed: int) -> NDArray[np.uint8]:
    return np.stack([draw(species, number, size=size, seed=seed) for number in numbers])


def write_images(
    folder: Path, per_class: int, *, size: int = 64, seed: int = 0, progress: bool = True
) -> None:
    """Write cats and dogs as JPEG files `<species>/<species>.<number>.jpg`, numbers from 1.

    Args:
        folder: Where the class folders go; made if missing.
        per_class: Images of each class.
        size: Width and height in pixels.
        seed: As in `draw`.
        progress: As in `draw_many`.

    Raises:
        ValueError: As `draw`, or for `per_class` below 1.
        FileExistsError: If `folder` has a folder for the species already.
    """
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}; pass at least 1 image of each class")
    numbers = range(1, per_class + 1)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        images = draw_many(name, numbers, size=size, seed=seed, progress=progress)
        for number, image in zip(numbers, images, strict=True):
            file = folder / name / f"{name}.{number}.jpg"
            Image.fromarray(image).save(file, quality=90, subsampling=0)
