"""Pictures per second of `cvlab.training.augmentation.Augment` beside the usual ways to augment.

    python -m tests.bench.augment [--cores 1] [--size 150] [--batch 32] [--rounds 7]

All contenders run in one process, on the same cores, in turns, with the lecture's settings on the
same batch. A rate is the median over the rounds, a ratio the median of the ratios within each
round, so a disturbance of the machine hits both sides alike. Keras layers run as in `fit` on a
CPU: in a graph that Keras does not compile. Albumentations and `ImageDataGenerator` take one
picture at a time, as they are used (OpenCV spreads each over the cores); the row "in threads"
also gives Albumentations a thread for each core.
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
    """The ways to augment one batch; each call finishes its work before it returns."""
    # Imported late: TensorFlow counts its cores when it starts.
    import albumentations  # noqa: PLC0415
    import cv2  # noqa: PLC0415
    import keras  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415
    from keras import layers, ops  # noqa: PLC0415

    from cvlab.training.augmentation import LECTURE_OPTIONS, Augment, affine_matrix  # noqa: PLC0415

    # Smooth pictures, as photos are; no contender's speed depends on what they show.
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

    opencv = albumentations.Compose(
        [
            albumentations.Affine(
                rotate=(-40, 40),
                translate_percent={"x": (-0.2, 0.2), "y": (-0.2, 0.2)},
                shear={"x": (-0.2, 0.2), "y": (0.0, 0.0)},
                scale={"x": (0.8, 1.2), "y": (0.8, 1.2)},
                border_mode=cv2.BORDER_REPLICATE,
                p=1.0,
            ),
            albumentations.HorizontalFlip(p=0.5),
        ],
        seed=0,
    )

    def opencv_one(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return opencv(image=picture)["image"]  # type: ignore[no-any-return]

    threads = ThreadPoolExecutor(cores)
    found: dict[str, Contender] = {
        "Augment, uint8": in_graph(lambda x: augment(x, training=True), integers),
        "Augment, float32": in_graph(lambda x: augment(x, training=True), floats),
        "keras.ops.image.affine_transform, float32": in_graph(one_operation, floats),
        "chain of five Keras layers, float32": in_graph(lambda x: chain(x, training=True), floats),
        "ImageDataGenerator (legacy), float32": lambda: next(legacy),
        "Albumentations, uint8": lambda: np.stack([opencv_one(x) for x in levels]),
    }
    if cores > 1:
        found["Albumentations, uint8, in threads"] = lambda: np.stack(
            list(threads.map(opencv_one, levels))
        )
    return found


def measure(contender: Contender, batch: int, seconds: float) -> float:
    """Pictures per second of one contender over at least `seconds`."""
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
                name, other, rates[first], rates[other], unit="pictures/s", goal=GOALS.get(other)
            )
            for other in others
        ]
    )


if __name__ == "__main__":
    main()
