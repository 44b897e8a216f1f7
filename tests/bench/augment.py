"""Images per second of `cvlab.training.augmentation.Augment` beside the usual ways to augment.

    python -m tests.bench.augment [--cores 1] [--size 150] [--batch 32] [--rounds 7]

All contenders run in one process, on the same cores, in turns, with the lecture's settings on the
same batch. A rate is the median over the rounds, a ratio the median of the ratios within each
round, so a disturbance of the machine affects both sides alike. Keras layers run as in `fit` on a
CPU: in a graph that Keras does not compile. OpenCV and `ImageDataGenerator` process one image at a
time, as they are used. OpenCV composes each image's random map as `Augment` does and resamples
once (`cv2.warpAffine`); the row "in threads" gives it a thread per core, one image each.
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tests.bench import bench

# Least ratios to reach: the chain of Keras's own layers, and what the lecture uses.
GOALS = {"chain of five Keras layers, float32": 3.5, "ImageDataGenerator (legacy), float32": 3.0}

Contender = Callable[[], object]


def contenders(size: int, batch: int, cores: int) -> dict[str, Contender]:
    """Return the ways to augment one batch; each call finishes its work before it returns."""
    # Imported late: TensorFlow counts its cores when it starts.
    import cv2  # noqa: PLC0415
    import keras  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415
    from keras import layers, ops  # noqa: PLC0415

    from cvlab.training.augmentation import LECTURE_OPTIONS, Augment, affine_matrix  # noqa: PLC0415

    # Smooth images, as photos are; no contender's speed depends on the content.
    coarse = np.random.default_rng(0).random((batch, size // 10, size // 10, 3))
    levels = np.kron(255 * coarse, np.ones((1, 10, 10, 1))).astype("uint8")
    size = levels.shape[1]
    integers, floats = tf.constant(levels), tf.constant(levels, tf.float32)

    augment = Augment(**LECTURE_OPTIONS, seed=0)
    zoom = (-0.2, 0.2)
    chain = keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=0),
            layers.RandomRotation(40 / 360, fill_mode="nearest", seed=0),
            layers.RandomTranslation(0.2, 0.2, fill_mode="nearest", seed=0),
            layers.RandomShear(math.sin(math.radians(0.2)), 0.0, fill_mode="nearest", seed=0),
            layers.RandomZoom(zoom, zoom, fill_mode="nearest", seed=0),
        ]
    )

    def one_operation(images: object) -> object:
        matrix = affine_matrix(augment.draw(batch), size, size)
        rows = ops.pad(ops.reshape(matrix, (batch, 6)), [(0, 0), (0, 2)])
        return ops.image.affine_transform(images, rows, fill_mode="nearest")

    def in_graph(function: Callable[[object], object], images: object) -> Contender:
        graph = tf.function(function)
        return lambda: graph(images).numpy()

    legacy = tf.keras.preprocessing.image.ImageDataGenerator(**LECTURE_OPTIONS).flow(
        levels.astype("float32"), batch_size=batch, shuffle=False, seed=0
    )

    random = np.random.default_rng(0)

    def opencv(image: NDArray[np.uint8]) -> NDArray[np.generic]:
        return cv2.warpAffine(
            image,
            inverse_map(random_transform(random), size),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    threads = ThreadPoolExecutor(cores)
    found: dict[str, Contender] = {
        "Augment, uint8": in_graph(lambda x: augment(x, training=True), integers),
        "Augment, float32": in_graph(lambda x: augment(x, training=True), floats),
        "keras.ops.image.affine_transform, float32": in_graph(one_operation, floats),
        "chain of five Keras layers, float32": in_graph(lambda x: chain(x, training=True), floats),
        "ImageDataGenerator (legacy), float32": lambda: next(legacy),
        "OpenCV, uint8": lambda: np.stack([opencv(image) for image in levels]),
    }
    if cores > 1:
        found["OpenCV, uint8, in threads"] = lambda: np.stack(list(threads.map(opencv, levels)))
    return found


def random_transform(random: np.random.Generator) -> list[float]:
    """Sample the lecture's settings for one image, in the order of `augmentation.Transforms`."""
    largest = (40, 0.2, 0.2, 0.2)
    return [*random.uniform(-1, 1, 4) * largest, *random.uniform(0.8, 1.2, 2), random.integers(2)]


def inverse_map(transform: list[float], size: int) -> NDArray[np.float64]:
    """Compose one image's transform with NumPy: (2, 3), from output to input pixels."""
    rotation, right, down, shear, width_zoom, height_zoom, flip = transform
    turn, shear = math.radians(rotation), math.radians(shear)
    rotate = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    slant = np.array([[1, -math.sin(shear)], [0, math.cos(shear)]])
    linear = rotate @ slant @ np.diag([width_zoom * (1 - 2 * flip), height_zoom])
    center = np.full(2, (size - 1) / 2)
    shift = rotate @ (right * size, down * size)
    return np.column_stack([linear, center - linear @ center - shift])


def measure(contender: Contender, batch: int, seconds: float) -> float:
    """Return the images per second of one contender over at least `seconds`."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        contender()
        calls += 1
    return calls * batch / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--size", type=int, default=150, help="height and width, a multiple of 10")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.4, help="per contender and round")
    options = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    if not 1 <= options.cores <= len(available):
        parser.error(f"--cores {options.cores}: there are {len(available)}")
    os.sched_setaffinity(0, available[: options.cores])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    ways = contenders(options.size, options.batch, options.cores)
    for contender in ways.values():
        measure(contender, options.batch, options.seconds)  # compiles and warms up
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, contender in ways.items():
            rates[name].append(measure(contender, options.batch, options.seconds))

    first, *others = ways
    name = f"{first}, {options.size} x {options.size}, {options.cores} core(s)"
    bench.rows(
        [
            bench.compared(
                name, other, rates[first], rates[other], unit="images/s", goal=GOALS.get(other)
            )
            for other in others
        ]
    )


if __name__ == "__main__":
    main()
