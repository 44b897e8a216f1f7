"""An epoch of the small convnet beside the lecture's code, and beside what the processor can do.

    python -m tests.bench.convnet [--rounds 2] [--steps 100]

Both train the same network on the same 2,000 pictures at 150 x 150 in batches of 20 with RMSprop,
and look at 1,000 validation pictures after it: the lecture from folders through its generator, ours
from arrays, in bfloat16 where the processor multiplies it. The peak is a plain product of two
square matrices in the same type, measured in the same rounds.
"""

import argparse
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from cvlab import precision
from cvlab.data import loading
from cvlab.models import cost, small_cnn
from tests.bench import bench, peers

SIZE, BATCH = peers.LECTURE_SIZE, peers.LECTURE_BATCH
MATRIX = 2048
BFLOAT16 = "mixed_bfloat16"


def our_convnet(policy: str) -> keras.Model:
    """The same network on whole numbers 0..255, under a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = small_cnn(SIZE)
    finally:
        keras.config.set_dtype_policy(before)
    network.compile(keras.optimizers.RMSprop(1e-4), "binary_crossentropy", metrics=["accuracy"])
    return network


def operations(network: keras.Model, train: int, validation: int) -> float:
    """Additions and multiplications of an epoch of training and validation.

    A product of matrices has two gradients of its own size each, except in front, where nobody
    asks for that of the pictures.
    """
    forward = 2 * cost.multiply_adds(network)
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
    positions = int(np.prod(first.output.shape[1:3]))
    of_pictures = 2 * positions * int(np.prod(first.kernel.shape))
    return float(train * (3 * forward - of_pictures) + validation * forward)


def peak(dtype: str) -> float:
    """Additions and multiplications a second of a large product of matrices."""
    matrix = ops.cast(np.random.default_rng(0).random((MATRIX, MATRIX)), dtype)

    def products(count: int) -> None:
        for _ in range(count):
            product = ops.matmul(matrix, matrix)
        np.asarray(ops.cast(product[0, 0], "float32"))  # waits until they are done

    products(1)
    return 5 * 2 * MATRIX**3 / bench.seconds(lambda: products(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100, help="training steps an epoch")
    options = parser.parse_args()
    steps, validation_steps = options.steps, options.steps // 2

    source, cache = bench.source_of_pictures()
    pets = loading.load_images(source, image_size=SIZE, cache=cache)
    train, validation = (
        (split.images[: count * BATCH], split.labels[: count * BATCH])
        for split, count in ((pets.train, steps), (pets.validation, validation_steps))
    )
    generators = [peers.lecture_generator(pets.folder / name) for name in ("train", "validation")]

    def lecture() -> Any:
        return lectures.fit(
            generators[0],
            steps_per_epoch=steps,
            validation_data=generators[1],
            validation_steps=validation_steps,
            verbose=0,
        )

    def ours(network: keras.Model) -> Any:
        return network.fit(*train, batch_size=BATCH, validation_data=validation, verbose=0)

    lectures = peers.lecture_convnet()
    policies = ["float32", *([BFLOAT16] if precision.multiplies_bfloat16() else [])]
    networks = {policy: our_convnet(policy) for policy in policies}
    few = [part[:BATCH] for part in train]
    lectures.fit(generators[0], steps_per_epoch=1, verbose=0)
    for network in networks.values():
        network.fit(*few, batch_size=BATCH, validation_data=few, verbose=0)

    theirs: list[float] = []
    seconds: dict[str, list[float]] = {policy: [] for policy in policies}
    peaks: dict[str, list[float]] = {policy: [] for policy in policies}
    for _ in range(options.rounds):
        theirs.append(bench.seconds(lecture))
        for policy, network in networks.items():
            seconds[policy].append(bench.seconds(partial(ours, network)))
            peaks[policy].append(peak(network.layers[1].compute_dtype))
    work = operations(networks["float32"], steps * BATCH, validation_steps * BATCH)
    found = []
    for policy in policies:
        name = f"small convnet {SIZE} x {SIZE}, epoch, {policy.removeprefix('mixed_')}"
        # The goal is for what a notebook takes: the faster type that there is.
        goal = 1.5 if policy == policies[-1] else None
        found.append(
            bench.compared(
                name, "lecture's code (legacy)", seconds[policy], theirs, unit="s", goal=goal
            )
        )
        rates = [work / one / 1e9 for one in seconds[policy]]
        limits = [one / 1e9 for one in peaks[policy]]
        found.append(
            bench.compared(
                name, "processor's peak, product of matrices", rates, limits, unit="GFLOP/s"
            )
        )
    bench.rows(found)


if __name__ == "__main__":
    main()
