"""Measure calibration and robustness on real photos, over seeds: `python -m cvlab trust`.

A frozen base turns the photos, the same photos corrupted, and images of other sources into
features, once; a second start reads them from the cache. On the features of the clean training
photos several heads are trained. The temperature of each is fitted on the validation photos, and
the test photos, clean and corrupted, are used once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cvlab.course import machine, trust
from cvlab.course.findings import as_text
from cvlab.data.listing import CLASS_NAMES
from cvlab.data.loading import Pets, load_images
from cvlab.data.other import load_other
from cvlab.drawing import toypets
from cvlab.evaluation import calibration
from cvlab.evaluation.corruptions import CORRUPTIONS, corrupt
from cvlab.experiments.photo_features import pooled
from cvlab.models import load_base
from cvlab.training.baseline import fit_best
from cvlab.transfer import features

BATCH: Final = 20
DRAWINGS: Final = 100  # of each class, the most distant other source


@dataclass(frozen=True)
class Head:
    """A classifier on the pooled features, and how it is trained.

    Attributes:
        units: Of a hidden layer with ReLU; 0 for no hidden layer.
        best_epoch: Whether it ends with the weights of its lowest validation loss, or of the last
            epoch.
        learning_rate: Of RMSprop.
        epochs: Passes over the training photos.
    """

    units: int
    best_epoch: bool
    learning_rate: float = 1e-3
    epochs: int = 30


HEADS: Final = {
    "one layer, best epoch": Head(units=0, best_epoch=True),
    "Dense 256, last epoch": Head(units=256, best_epoch=False),
}


def _train(head: Head, inputs: dict[str, NDArray[Any]], pets: Pets, seed: int) -> keras.Model:
    """Train a head from features to logits."""
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(head.units, activation="relu")] if head.units else []
    model = keras.Sequential(
        [keras.Input(inputs["train"].shape[1:]), *hidden, layers.Dense(1, name="logits")]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.RMSprop(head.learning_rate), loss=loss)
    data = (inputs["train"], pets.train.labels)
    options: dict[str, Any] = {
        "batch_size": BATCH,
        "epochs": head.epochs,
        "validation_data": (inputs["validation"], pets.validation.labels),
    }
    if head.best_epoch:
        fit_best(model, *data, **options)
    else:
        model.fit(*data, verbose=0, **options)
    return model


def _inputs(network: keras.Model, pets: Pets, other: str | None) -> dict[str, NDArray[Any]]:
    """Return the features of every image set, by name; `blur 1` is the test set, blurred."""
    size = network.input_shape[1]
    found = {
        name: np.asarray(features.extract(getattr(pets, name).images, network))
        for name in ("train", "validation", "test")
    }
    for kind, corruption in CORRUPTIONS.items():
        for severity in range(1, len(corruption.levels) + 1):
            start = time.perf_counter()
            images = corrupt(np.asarray(pets.test.images), kind, severity)
            found[f"{kind} {severity}"] = np.asarray(features.extract(images, network))
            seconds = time.perf_counter() - start
            print(f"{kind} {severity}: {seconds:.0f} s", flush=True)
    # Cats, then dogs.
    drawn = [toypets.draw_many(name, range(DRAWINGS), size=size, workers=1) for name in CLASS_NAMES]
    found[trust.DRAWN] = np.asarray(features.extract(np.concatenate(drawn), network))
    if photos := load_other(size, source=other):
        found[trust.OTHER] = np.asarray(features.extract(photos.images, network))
    return found


def _labels(name: str, count: int, pets: Pets) -> NDArray[Any]:
    """Return the classes of an image set of `_inputs`."""
    if name == trust.DRAWN:
        return np.repeat([0, 1], DRAWINGS)
    return np.tile([0, 1], count // 2) if name == trust.OTHER else pets.test.labels


def measure(
    pets: Pets, base: keras.Model, seeds: Sequence[int], other: str | None
) -> list[dict[str, Any]]:
    """Train and test every head with every seed; return what `cvlab.course.trust` reads."""
    inputs, found = _inputs(pooled(base, "own"), pets, other), []
    tested = [name for name in inputs if name not in {"train", "validation"}]
    for name, head in HEADS.items():
        for seed in seeds:
            start = time.perf_counter()
            model = _train(head, inputs, pets, seed)
            seconds = time.perf_counter() - start
            logits = {one: np.ravel(model.predict_on_batch(inputs[one])) for one in inputs}
            temperature = calibration.fit_temperature(logits["validation"], pets.validation.labels)
            right = {
                one: (logits[one] > 0) == (_labels(one, len(logits[one]), pets) == 1)
                for one in tested
            }
            found.append(
                {
                    "head": name,
                    "seed": seed,
                    "seconds": round(seconds, 1),
                    "temperature": round(temperature, 4),
                    "logits": [round(float(one), 2) for one in logits["test"]],
                    "right": {one: as_text(hits) for one, hits in right.items()},
                }
            )
            print(f"{name}, seed {seed}: {right['test'].mean():.1%}, T = {temperature:.2f}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab trust", description=__doc__)
    parser.add_argument("--photos", default="photos", help="zip or folder of real photos")
    parser.add_argument("--base", default="MobileNet(alpha=0.75)", help="as load_base takes it")
    parser.add_argument("--weights", default="pretrained", help="file of the base's weights")
    parser.add_argument("--size", type=int, default=224, help="of the photos, in pixels")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 on")
    parser.add_argument("--other", help="folder of another source: cats/ and dogs/")
    parser.add_argument("--out", type=Path, default=trust.FILE, help="default: in the package")
    options = parser.parse_args(arguments)
    pets = load_images(options.photos, image_size=options.size)
    base = load_base(options.base, options.size, options.weights)
    trials = measure(pets, base, range(options.seeds), options.other)
    here = machine.check(gpu=True)
    content = {
        "date": date.today().isoformat(),
        "machine": {"system": here.system, "cores": here.cores, "gpus": here.gpus},
        "versions": {"python": here.python, **here.packages},
        "settings": {
            "base": options.base,
            "image_size": options.size,
            "batch_size": BATCH,
            "optimizer": "RMSprop",
            "heads": {name: asdict(head) for name, head in HEADS.items()},
            "corruptions": {
                kind: {"unit": one.unit, "levels": one.levels} for kind, one in CORRUPTIONS.items()
            },
            "drawings": 2 * DRAWINGS,
        },
        "test_files": list(pets.test.file_names),
        "trials": trials,
    }
    kept = json.dumps(content, separators=(",", ":")).replace('{"head"', '\n{"head"')
    draft = options.out.with_suffix(".draft")
    draft.write_text(kept + "\n", encoding="utf-8")
    draft.replace(options.out)
    return 0
