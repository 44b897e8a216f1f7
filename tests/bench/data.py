"""The way of the pictures from the disk into a network: the first epoch, and every later one.

    python -m tests.bench.data [--rounds 2]

Ours decodes once to uint8 arrays on disk (`cvlab.data.decode`), which `fit` reads from then on.
The others decode in every epoch: `image_dataset_from_directory`, also with the cache in memory that
TensorFlow's tutorials add to it, and the lecture's `ImageDataGenerator`. The network has four
weights and costs nothing. Photos from CVLAB_PHOTOS, without it drawn pictures.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import layers

from cvlab.data import listing, loading, locating, splitting
from tests.bench import bench, peers

SIZE, BATCH = peers.LECTURE_SIZE, peers.LECTURE_BATCH
GOALS = {("first", "image_dataset_from_directory"): 1.0}
# Epochs of one call of `fit`, after the first epoch.
LATER = 3
# `make_subset` wants pictures in each split; only those of the first are used here.
PER_CLASS = {"train": 1000, "validation": 1, "test": 1}


def small_model() -> keras.Model:
    """A network that costs next to nothing: the mean of each color, and one neuron."""
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("rmsprop", loss="binary_crossentropy")
    return model


def from_directory(folder: Path) -> Any:
    """Keras's reader of folders, with its defaults but for size and batch."""
    return keras.utils.image_dataset_from_directory(
        folder, label_mode="binary", batch_size=BATCH, image_size=(SIZE, SIZE)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    source, cache = bench.source_of_pictures()
    place = locating.locate(source, image_size=SIZE, per_class=PER_CLASS, cache=cache)
    found_there = listing.find_images(place, cache=cache)
    subset = splitting.make_subset(found_there, per_class=PER_CLASS, cache=cache)
    train = subset.folder / "train"

    def ours(fresh: Path) -> Callable[[int], object]:
        pets = loading.decode(subset, SIZE, cache=fresh)
        model = small_model()
        arrays = pets.train.images, pets.train.labels
        return lambda epochs: model.fit(*arrays, batch_size=BATCH, epochs=epochs, verbose=0)

    def directory(fresh: Path) -> Callable[[int], object]:
        model, pictures = small_model(), from_directory(train)
        return lambda epochs: model.fit(pictures, epochs=epochs, verbose=0)

    def cached(fresh: Path) -> Callable[[int], object]:
        model, pictures = small_model(), from_directory(train).cache().prefetch(10)
        return lambda epochs: model.fit(pictures, epochs=epochs, verbose=0)

    def legacy(fresh: Path) -> Callable[[int], object]:
        model, pictures = small_model(), peers.lecture_generator(train)
        return lambda epochs: model.fit(pictures, epochs=epochs, verbose=0)

    ways = {
        "ours": ours,
        "image_dataset_from_directory": directory,
        "the same with cache()": cached,
        "ImageDataGenerator (legacy)": legacy,
    }
    first: dict[str, list[float]] = {name: [] for name in ways}
    later: dict[str, list[float]] = {name: [] for name in ways}
    small_model().fit(*_two_pictures(), verbose=0)  # what Keras imports at the first `fit`
    for _ in range(options.rounds):
        for name, prepare in ways.items():
            with tempfile.TemporaryDirectory() as fresh:
                start = time.perf_counter()
                train_for = prepare(Path(fresh))
                train_for(1)
                first[name].append(time.perf_counter() - start)
                later[name].append(bench.seconds(partial(train_for, LATER)) / LATER)
    kind = "photos" if source != "toypets" else "drawings"
    found = []
    for when, taken in (("first", first), ("later", later)):
        title = f"data path, {when} epoch, 2,000 {kind}"
        found += [
            bench.compared(
                title, name, taken["ours"], seconds, unit="s", goal=GOALS.get((when, name))
            )
            for name, seconds in taken.items()
            if name != "ours"
        ]
    bench.rows(found)


def _two_pictures() -> tuple[Any, Any]:
    return keras.ops.zeros((2, SIZE, SIZE, 3), "uint8"), keras.ops.zeros((2,))


if __name__ == "__main__":
    main()
