"""What the cache of features and the cut at the freeze boundary save.

    python -m tests.bench.transfer [--pictures 256] [--rounds 3]

Three figures, each a ratio within one run:

1. Features of VGG16's base (random weights, 150 x 150): the second call beside the first.
2. An epoch of fine-tuning block 5 of the same base: from the features at the boundary beside end
   to end. Both train the same weights on the same pictures; the features are there already.
3. Memory: the peak of the process that extracts n and 4 n pictures, what it maps from files aside.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.bench import bench

SIZE = 150


def pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def second_call(count: int, cache: str) -> tuple[float, float]:
    """Seconds of the first and of the second extraction."""
    from cvlab.models import load_base  # noqa: PLC0415
    from cvlab.transfer import features  # noqa: PLC0415

    base, images = load_base("VGG16", SIZE, None), pictures(count)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        features.extract(images, base, cache=cache)
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def epochs(count: int, rounds: int, cache: str) -> tuple[list[float], list[float]]:
    """Seconds of epochs end to end and from the boundary, in turns."""
    import keras  # noqa: PLC0415

    from cvlab import transfer  # noqa: PLC0415
    from cvlab.models import load_base  # noqa: PLC0415
    from cvlab.transfer import features, freezing  # noqa: PLC0415

    base = load_base("VGG16", SIZE, None)
    freezing.unfreeze_from(base, "block5_conv1")
    lower, upper = transfer.split(base, "block5_conv1")
    images, labels = pictures(count), np.arange(count) % 2
    at_boundary = features.extract(images, lower, cache=cache)
    ways = []
    for inputs, part in ((images, base), (at_boundary, upper)):
        head = transfer.dense_head(base.output_shape[1:])
        model = keras.Sequential([keras.Input(inputs.shape[1:]), part, head])
        assert len(model.trainable_weights) == 10
        model.compile(keras.optimizers.RMSprop(1e-5), loss="binary_crossentropy")
        ways.append((model, transfer.Views([inputs], labels, batch_size=20, seed=0)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for (model, views), taken in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            model.fit(views, verbose=0)
            if number:  # the first round compiles
                taken.append(time.perf_counter() - start)
    return seconds


def own_memory() -> int:
    """Bytes of the process that belong to no file (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status does not tell RssAnon: this figure needs Linux")


def peak_of_extraction(count: int) -> None:
    """Print the peak of own memory during one extraction; run in a process of its own."""
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    from cvlab.transfer import features  # noqa: PLC0415

    keras.utils.set_random_seed(0)
    # A small network with large features: 180 kB a picture.
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(2, 1)])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npy"
        np.save(file, pictures(32))
        one = np.load(file)
        images = np.lib.format.open_memmap(
            file, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3)
        )
        for start in range(0, count, 32):
            images[start : start + 32] = one[: count - start]
        features.extract(one, network, cache=folder)  # warms up
        peak, done = own_memory(), threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.005):
                peak = max(peak, own_memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        features.extract(images, network, cache=folder)
        features.extract(images, network, cache=folder)
        done.set()
        watcher.join()
    print(json.dumps(peak))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TQDM_DISABLE", "1")
    if options.peak:
        peak_of_extraction(options.peak)
        return

    count = options.pictures
    with tempfile.TemporaryDirectory() as cache:
        first, second = second_call(count, cache)
        end_to_end, above = epochs(count, options.rounds, cache)
    peaks = []
    for factor in (1, 4):
        command = [sys.executable, __file__, "--peak", str(factor * 2 * count)]
        result = subprocess.run(command, capture_output=True, check=True, text=True)
        peaks.append(int(result.stdout.split()[-1]) / 2**20)
    vgg16 = f"VGG16, {count} images, {SIZE} x {SIZE}"
    bench.rows(
        [
            bench.compared(
                f"features of {vgg16}, second call",
                "first call",
                [second],
                [first],
                unit="s",
                goal=50,
            ),
            bench.compared(
                f"fine-tuning block 5 of {vgg16}, from the boundary",
                "end to end",
                above,
                end_to_end,
                unit="s",
                goal=4,
            ),
            bench.compared(
                f"memory of extracting {8 * count} images",
                f"memory of {2 * count} images",
                [peaks[1]],
                [peaks[0]],
                unit="MiB",
                goal=0.9,
            ),
        ]
    )


if __name__ == "__main__":
    main()
