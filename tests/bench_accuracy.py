"""Seconds from photos on disk to 97, 98 and 98.5 % test accuracy, with the same pretrained base.

    python tests/bench_accuracy.py [--limit 600]

Needs CVLAB_PHOTOS and CVLAB_WEIGHTS (ImageNet weights of MobileNet-0.75). Three recipes, one after
the other on the same cores:

- ours: photos at the laptop profile's size, features of the frozen base computed once, one dense
  layer on them;
- the lecture's: its generator at 150 x 150, five epochs of a head on the frozen base with
  augmentation (step 23), then the last blocks fine-tuned (step 24);
- the Keras guide's on transfer learning: cached pictures at 150 x 150, flips and turns, twenty
  epochs of the head, then ten of the whole network.

After each epoch the clock stops, and the network as it is then is tested. So a recipe's time to a
figure is when it is first seen, which flatters all of them alike; nothing is chosen by it. Our
clock starts at the archive of photos, with an empty cache; theirs once the photos lie in folders.
Each of the others ends after its own epochs or, sooner, after `--limit` seconds. What it would
reach later could only make its best later still.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bench
import keras
import numpy as np
import peers
from numpy.typing import NDArray

from cvlab import datasets, features, freezing, profiles, transfer, zoo

BASE = "MobileNet(alpha=0.75)"
TARGETS = (0.97, 0.98, 0.985)
# What is to be reached: 98 % within so many seconds, and so many times sooner than others' best.
GOAL_SECONDS, GOAL_RATIO = 45.0, 5.0


@dataclass
class Clock:
    """Seconds of training, without those of testing, and the accuracies on the way.

    Attributes:
        limit: Seconds after which a recipe is to stop.
        seen: Seconds and test accuracy after each epoch.
    """

    limit: float
    seen: list[tuple[float, float]] = field(default_factory=list)
    _start: float = field(default_factory=time.perf_counter)
    _stopped: float = 0.0

    @property
    def seconds(self) -> float:
        """So far."""
        return time.perf_counter() - self._start - self._stopped

    def test(self, right: Callable[[], float]) -> None:
        """Stop the clock, test, go on."""
        now, begin = self.seconds, time.perf_counter()
        self.seen.append((now, right()))
        self._stopped += time.perf_counter() - begin

    def reached(self, accuracy: float) -> float | None:
        """Seconds to a test accuracy, None if it was not seen."""
        return next((when for when, found in self.seen if found >= accuracy), None)

    @property
    def best(self) -> tuple[float, float]:
        """Seconds to the best test accuracy, and that."""
        accuracy = max(found for _, found in self.seen)
        when = self.reached(accuracy)
        assert when is not None
        return when, accuracy


class Tested(keras.callbacks.Callback):
    """Tests after each epoch with the clock stopped, and ends the training at its limit."""

    def __init__(self, clock: Clock, right: Callable[[], float]) -> None:
        super().__init__()
        self.clock, self.right = clock, right

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Test; Keras calls this."""
        self.clock.test(self.right)
        if self.clock.seconds > self.clock.limit:
            self.model.stop_training = True


def share(outputs: NDArray[np.float32], labels: NDArray[np.uint8], threshold: float) -> float:
    """Share of right answers."""
    return float(np.mean((np.ravel(outputs) > threshold) == (labels == 1)))


def ours(photos: str, weights: str, limit: float) -> Clock:
    """The course's recipe for the laptop profile."""
    profile = profiles.get("laptop")
    with tempfile.TemporaryDirectory() as cache:
        clock = Clock(limit)
        keras.utils.set_random_seed(0)
        pets = datasets.load_pets(photos, image_size=profile.base_image_size, cache=cache)
        base = zoo.load_base(BASE, profile.base_image_size, weights)
        pooled = keras.Model(
            base.inputs[0], keras.layers.GlobalAveragePooling2D()(base.outputs[0]), name="pooled"
        )
        found = features.extract(pets.train.images, pooled, cache=cache)
        head = keras.Sequential(
            [keras.Input(found.shape[1:]), keras.layers.Dense(1, activation="sigmoid")]
        )
        head.compile(
            keras.optimizers.RMSprop(profile.pooled_learning_rate), loss="binary_crossentropy"
        )

        def right() -> float:
            # In here, where the clock stands, as the others' pass over the test photos is.
            seen = features.extract(pets.test.images, pooled, cache=cache)
            return share(head.predict_on_batch(np.asarray(seen)), pets.test.labels, 0.5)

        head.fit(
            np.asarray(found),
            pets.train.labels.astype("float32"),
            batch_size=profile.transfer_batch_size,
            epochs=profile.head_epochs,
            callbacks=[Tested(clock, right)],
            verbose=0,
        )
    return clock


def lecture(folder: Path, test: datasets.Split, weights: str, limit: float) -> Clock:
    """The lecture's steps 23 and 24, with its own scale of the pictures, 0..1."""
    clock = Clock(limit)
    keras.utils.set_random_seed(0)
    base = peers.bare_base(BASE, 150, weights)
    base.trainable = False
    head = transfer.dense_head(base.output_shape[1:], dropout=0)
    model = keras.Sequential([keras.Input((150, 150, 3)), base, head])
    train = peers.lecture_generator(folder / "train", **peers.lecture_augmentation())
    validation = peers.lecture_generator(folder / "validation")
    pictures = test.images.astype("float32") / 255

    def right() -> float:
        return share(model.predict(pictures, batch_size=100, verbose=0), test.labels, 0.5)

    def fit(rate: float, epochs: int) -> None:
        model.compile(
            loss="binary_crossentropy", optimizer=keras.optimizers.RMSprop(rate), metrics=["acc"]
        )
        model.fit(
            train,
            steps_per_epoch=100,
            epochs=epochs,
            validation_data=validation,
            validation_steps=50,
            callbacks=[Tested(clock, right)],
            verbose=0,
        )

    fit(2e-5, 5)
    if clock.seconds < limit:
        freezing.unfreeze_from(base, "conv_pad_12")
        fit(1e-5, 100)
    return clock


def guide(folder: Path, test: datasets.Split, weights: str, limit: float) -> Clock:
    """The Keras guide's recipe."""
    clock = Clock(limit)
    keras.utils.set_random_seed(0)
    train, validation = (peers.guide_dataset(folder / name) for name in ("train", "validation"))
    base = peers.bare_base(BASE, 150, weights)
    model = peers.guide_model(base)

    def right() -> float:
        return share(model.predict(test.images, batch_size=100, verbose=0), test.labels, 0.0)

    for epochs in (20, 10):
        model.fit(
            train,
            epochs=epochs,
            validation_data=validation,
            callbacks=[Tested(clock, right)],
            verbose=0,
        )
        if clock.seconds > limit:
            break
        base.trainable = True
        peers.guide_compile(model, keras.optimizers.Adam(1e-5))
    return clock


def compared(clocks: dict[str, Clock]) -> Iterator[bench.Row]:
    """Our seconds to each target beside the others' to the same target, and to their best."""
    mine = clocks["ours"]
    for target in TARGETS:
        when = mine.reached(target)
        if when is None:
            continue
        name = f"photos to {target:.1%} test accuracy"
        if target == 0.98:
            limit = f"limit of {GOAL_SECONDS:g} s"
            yield bench.compared(name, limit, [when], [GOAL_SECONDS], unit="s", goal=1)
        for other, clock in clocks.items():
            theirs = clock.reached(target)
            if other != "ours" and theirs is not None:
                yield bench.compared(name, other, [when], [theirs], unit="s")
            if other != "ours" and target == 0.98:
                theirs, best = clock.best
                against = f"{other} at its best, {best:.1%}"
                yield bench.compared(name, against, [when], [theirs], unit="s", goal=GOAL_RATIO)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=float, default=600, help="seconds for each recipe")
    options = parser.parse_args()
    photos, weights = os.environ.get("CVLAB_PHOTOS"), os.environ.get("CVLAB_WEIGHTS")
    if not photos or not weights:
        print(
            "Time to accuracy needs real photos and MobileNet-0.75: "
            "make bench LONG=1 PHOTOS=... WEIGHTS=..."
        )
        bench.rows([])
        return
    keras.ops.zeros(1)  # starts the backend, which belongs to no recipe
    clocks = {"ours": ours(photos, weights, options.limit)}
    with tempfile.TemporaryDirectory() as cache:
        pets = datasets.load_pets(photos, image_size=150, cache=cache)
        for name, recipe in (("the Keras guide", guide), ("the lecture", lecture)):
            clocks[name] = recipe(pets.folder, pets.test, weights, options.limit)
    for name, clock in clocks.items():
        steps = ", ".join(f"{found:.1%} at {when:.0f} s" for when, found in clock.seen)
        print(f"{name}: {steps}")
    bench.rows(list(compared(clocks)))


if __name__ == "__main__":
    main()
