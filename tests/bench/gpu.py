"""Images per second in training on a GPU, beside plain `model.fit` and beside the GPU's peak.

    python -m tests.bench.gpu [--epochs 3] [--weights FILE]

The small convnet of notebook 06 and the fine-tuning of VGG16's last block (notebook 12), both at
150 x 150 in batches of 20 as in the lecture. Plain is Keras as everyone writes it: float32, the
whole network in every step. The course computes in bfloat16 and runs what is frozen once. The peak
is a product of two large bfloat16 matrices in the same run. Images are random: their content does
not change the speed. Without a GPU there are no rows.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from cvlab import models, transfer
from cvlab.course import machine
from cvlab.models import cost
from cvlab.training.baseline import compile_binary
from cvlab.transfer import features, freezing
from tests.bench import bench

SIZE, IMAGES = 150, 2000
MATRIX = 8192


def network_under(policy: str, build: Callable[[], keras.Model]) -> keras.Model:
    """Build a network under a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def rates(model: keras.Model, images: Any, labels: Any, batch: int, epochs: int) -> list[float]:
    """Images per second of each epoch but the first, which compiles."""
    model.fit(images, labels, batch_size=batch, verbose=0)
    found = []
    for _ in range(epochs):
        seconds = bench.seconds(lambda: model.fit(images, labels, batch_size=batch, verbose=0))
        found.append(len(images) / seconds)
    return found


def peak() -> float:
    """Additions and multiplications per second of a product of bfloat16 matrices."""
    matrix = ops.cast(np.random.default_rng(0).standard_normal((MATRIX, MATRIX)), "bfloat16")

    def products(count: int) -> None:
        for _ in range(count):
            product = ops.matmul(matrix, matrix)
        float(ops.cast(product[0, 0], "float32"))  # waits until they are done

    products(3)
    return 10 * 2 * MATRIX**3 / bench.seconds(lambda: products(10))


def fine_tuned(policy: str, weights: str | None, *, whole: bool) -> tuple[keras.Model, keras.Model]:
    """VGG16 with its last block unfrozen and a head; return what trains, and what is below it."""

    def build() -> keras.Model:
        return models.load_base("VGG16", SIZE, weights)

    base = network_under(policy, build)
    first = transfer.last_block(base)
    freezing.unfreeze_from(base, first)
    lower, upper = transfer.split(base, first)
    below = base if whole else upper
    head = layers.GlobalAveragePooling2D(), transfer.pooled_head(base.output_shape[-1:])
    model = keras.Sequential([keras.Input(below.input_shape[1:]), below, *head])
    compile_binary(model, keras.optimizers.RMSprop(1e-5))
    return model, lower


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs")
    parser.add_argument("--weights", help="file of VGG16's weights; default: random weights")
    options = parser.parse_args()
    gpus = machine.check(gpu=True).gpus
    if not gpus:
        print("No GPU: nothing to measure.")
        bench.rows([])
        return
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    labels = random.integers(0, 2, IMAGES).astype("float32")
    limit = peak()
    print(f"{gpus[0]}: {limit / 1e12:.0f} TFLOP/s in bfloat16", flush=True)

    found = []

    def add(name: str, plain: list[float], course: list[float], multiply_adds: float) -> None:
        found.append(bench.compared(name, "plain fit", course, plain, unit="images/s"))
        achieved = [one * multiply_adds * 2 for one in course]
        found.append(
            bench.compared(name, "GPU's peak", achieved, [limit] * len(course), unit="FLOP/s")
        )
        print(bench.table(found[-2:]), flush=True)

    convnets = {}
    for policy in ("float32", "mixed_bfloat16"):
        convnets[policy] = network_under(policy, lambda: models.small_cnn(SIZE))
        compile_binary(convnets[policy], keras.optimizers.RMSprop(1e-4))
    plain = rates(convnets["float32"], images, labels, 20, options.epochs)
    work = 3 * cost.multiply_adds(convnets["float32"])
    for batch in (20, 200):
        course = rates(convnets["mixed_bfloat16"], images, labels, batch, options.epochs)
        add(f"small convnet, batch {batch}", plain, course, work)

    whole, lower = fine_tuned("float32", options.weights, whole=True)
    upper, _ = fine_tuned("float32", options.weights, whole=False)
    start = time.perf_counter()
    maps = features.extract(images, lower)
    print(f"frozen part of VGG16 once: {len(images) / (time.perf_counter() - start):.0f} images/s")
    plain = rates(whole, images, labels, 20, options.epochs)
    course = rates(upper, maps, labels, 20, options.epochs)
    add("VGG16 block5, batch 20", plain, course, 3 * cost.multiply_adds(upper))
    mixed, _ = fine_tuned("mixed_bfloat16", options.weights, whole=True)
    course = rates(mixed, images, labels, 20, options.epochs)
    # Forward through everything, backward through the last block and the head only.
    forward, trained = (cost.multiply_adds(one) for one in (whole, upper))
    add("VGG16 whole in bfloat16, batch 20", plain, course, forward + 2 * trained)
    bench.rows(found)


if __name__ == "__main__":
    main()
