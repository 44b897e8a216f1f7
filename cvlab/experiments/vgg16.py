"""Measure the lecture's transfer learning on real photos, over seeds: `python -m cvlab vgg16`.

Each experiment changes one thing: the preprocessing, the head, what trains, the order of the two
trainings, the learning rate. Every trial (an experiment with one seed) keeps the weights of its
lowest validation loss and is tested once, on the same photos in the same order, so that any two
trials can be compared image by image.

A trial is a folder that is whole or not there; a second start skips what exists. Frozen layers run
once per image or view, and their outputs are kept in the cache. Bases compute in bfloat16 where the
processor has native support for it; heads compute in float32.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from cvlab import models, precision, transfer
from cvlab.cache import made, record_of
from cvlab.course import machine
from cvlab.course.findings import as_text
from cvlab.data.loading import Pets, load_images
from cvlab.experiments.photo_features import rescaled
from cvlab.training import LECTURE_OPTIONS, Augment
from cvlab.training.baseline import compile_binary, fit_best
from cvlab.transfer import features, freezing

BATCH: Final = 20
# Stored augmented views of each training image, besides the image itself.
VIEWS: Final = 4
_HEADS: Final = {"dense": transfer.dense_head, "pooled": transfer.pooled_head}
_HEAD_FILE: Final = "head.weights.h5"
_Arrays = list[NDArray[Any]]


@dataclass(frozen=True)
class Experiment:
    """What its trials train, and how; the defaults are the lecture's feature extraction.

    Attributes:
        base: As `cvlab.models.load_base` takes it.
        image_size: Height and width in pixels.
        preprocessing: "own" for what the base was pretrained with, "1/255" for the lecture's.
        head: "dense" for the lecture's head with dropout, "pooled" for one Dense layer.
        trains: "head", "last block" (with the head), or "everything".
        augmented: Whether to train on augmented images: stored views besides the images, or, if
            everything trains, a new transform in every epoch.
        after: Experiment whose trained head of the same seed is the initial one; None for random
            initial weights.
        learning_rate: Of RMSprop.
        epochs: Passes over the training images.
    """

    base: str = "VGG16"
    image_size: int = 150
    preprocessing: str = "own"
    head: str = "dense"
    trains: str = "head"
    augmented: bool = False
    after: str | None = None
    learning_rate: float = 2e-5
    epochs: int = 30


_POOLED: Final = Experiment(head="pooled", learning_rate=1e-3)
_MOBILENET: Final = replace(_POOLED, base="MobileNet(alpha=0.75)")
_TUNED: Final = Experiment(trains="last block", augmented=True, learning_rate=1e-5, epochs=8)
_ACCIDENT: Final = Experiment(trains="everything", augmented=True, epochs=4)
EXPERIMENTS: Final[Mapping[str, Experiment]] = {
    "extraction": Experiment(),
    "extraction, 1/255": Experiment(preprocessing="1/255"),
    "pooled": _POOLED,
    "pooled, 1/255": replace(_POOLED, preprocessing="1/255"),
    "MobileNet": _MOBILENET,
    "MobileNet, 1/255": replace(_MOBILENET, preprocessing="1/255"),
    "pooled, 224 pixels": replace(_POOLED, image_size=224),
    "frozen, augmented": Experiment(augmented=True),
    # The order of the two trainings, times the learning rate of the second one.
    "head first, 1e-5": replace(_TUNED, after="frozen, augmented"),
    "together, 1e-5": _TUNED,
    "head first, 2e-4": replace(_TUNED, after="frozen, augmented", learning_rate=2e-4),
    "together, 2e-4": replace(_TUNED, learning_rate=2e-4),
    "head first, 1e-3": replace(_TUNED, after="frozen, augmented", learning_rate=1e-3),
    "together, 1e-3": replace(_TUNED, learning_rate=1e-3),
    # The base was never frozen (erratum 13).
    "trainable, augmented": _ACCIDENT,
    "frozen, augmented, 1/255": Experiment(augmented=True, preprocessing="1/255"),
    "trainable, augmented, 1/255": replace(_ACCIDENT, preprocessing="1/255"),
}


def _base(experiment: Experiment, weights: str | Path | None) -> keras.Model:
    """Build the base of an experiment, with its preprocessing as the first layer."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision.dtype_policy(fast=True))
    try:
        base = models.load_base(experiment.base, experiment.image_size, weights)
        return base if experiment.preprocessing == "own" else rescaled(base)
    finally:
        keras.config.set_dtype_policy(policy)


def _inputs(experiment: Experiment, base: keras.Model, pets: Pets) -> dict[str, _Arrays]:
    """Return what the part that trains takes: images, or stored outputs of what is frozen.

    Under "train" there is one array, or several of the same images in the same order; under
    "validation" and "test" one each.
    """
    images = {name: getattr(pets, name).images for name in ("train", "validation", "test")}
    if experiment.trains == "everything":
        return {name: [array] for name, array in images.items()}
    lower, upper = transfer.split(base, transfer.last_block(base))
    found: dict[str, _Arrays] = {
        name: [features.extract(array, lower)] for name, array in images.items()
    }
    if experiment.augmented:
        augment = Augment(**LECTURE_OPTIONS, seed=0)
        found["train"] += features.extract_views(
            images["train"], lower, augment=augment, views=VIEWS
        )
    if experiment.trains == "last block":
        return found
    return {
        name: [features.extract(maps, upper) for maps in arrays] for name, arrays in found.items()
    }


def _model(
    experiment: Experiment, base: keras.Model, seed: int, head_file: Path | None
) -> tuple[keras.Model, keras.Model]:
    """Build and compile what trains on `_inputs`; return it and the head, a part of it.

    The head has random initial weights, or those of a file. The model shares its layers with the
    base.
    """
    keras.utils.set_random_seed(seed)
    head = _HEADS[experiment.head](base.output_shape[1:])
    if head_file is not None:
        head.load_weights(head_file)
    model = head
    if experiment.trains == "last block":
        boundary = transfer.last_block(base)
        freezing.unfreeze_from(base, boundary)
        _, upper = transfer.split(base, boundary)
        model = keras.Sequential([keras.Input(upper.input_shape[1:]), upper, head])
    elif experiment.trains == "everything":
        augment = Augment(**LECTURE_OPTIONS, seed=seed)
        model = keras.Sequential([keras.Input(base.input_shape[1:]), augment, base, head])
    compile_binary(model, keras.optimizers.RMSprop(experiment.learning_rate))
    return model, head


def _trial(
    experiment: Experiment,
    base: keras.Model,
    pets: Pets,
    inputs: Mapping[str, _Arrays],
    folder: Path,
    *,
    seed: int,
    head_file: Path | None,
) -> dict[str, Any]:
    """Train, test once, write the weights of the head into a folder; return the record."""
    start = time.perf_counter()
    model, head = _model(experiment, base, seed, head_file)
    history = fit_best(
        model,
        transfer.Views(inputs["train"], pets.train.labels, batch_size=BATCH, seed=seed),
        epochs=experiment.epochs,
        validation_data=(inputs["validation"][0], pets.validation.labels),
        validation_batch_size=100,
        callbacks=[freezing.Guard(model)],
    )
    seconds = time.perf_counter() - start
    predicted = np.ravel(model.predict(inputs["test"][0], batch_size=100, verbose=0)) > 0.5
    head.save_weights(folder / _HEAD_FILE)
    return {
        "trainable_weights": len(model.trainable_weights),
        "trainable_parameters": sum(math.prod(one.shape) for one in model.trainable_weights),
        "seconds": round(seconds, 1),
        "curves": {
            name: [round(value, 4) if math.isfinite(value) else None for value in values]
            for name, values in history.items()
        },
        "right": as_text(predicted == (pets.test.labels == 1)),
    }


def _run(name: str, pets: Pets, seeds: Sequence[int], options: argparse.Namespace) -> None:
    """Run the trials of one experiment with these seeds."""
    experiment = EXPERIMENTS[name]
    mobilenet = experiment.base.startswith("MobileNet")
    base = _base(experiment, options.mobilenet if mobilenet else options.weights)
    pretrained, inputs = base.get_weights(), _inputs(experiment, base, pets)
    for seed in seeds:
        base.set_weights(pretrained)
        head_file = None
        if experiment.after:
            head_file = _folder(options.out, experiment.after) / str(seed) / _HEAD_FILE
            if not head_file.exists():
                raise FileNotFoundError(
                    f"{name} begins with the head of {experiment.after!r}, which was not trained "
                    f"with seed {seed}: run that first, with --only '{experiment.after}'"
                )
        write = partial(_trial, experiment, base, pets, inputs, seed=seed, head_file=head_file)
        target = _folder(options.out, name) / str(seed)
        record = made(target, write, needed=2**24, purpose=f"a trial of {name}")
        accuracy = record["right"].count("1") / len(record["right"])
        print(f"{name}, seed {seed}: {100 * accuracy:.1f} % in {record['seconds']} s", flush=True)


def _folder(out: Path, name: str) -> Path:
    """Return the folder of an experiment, in which each trial has a folder named by its seed."""
    return out / name.replace("/", "-").replace(", ", "_")


def collect(out: Path, files: Sequence[str]) -> dict[str, Any]:
    """Return all trials in a folder as JSON can write them; `cvlab.course.trials` reads them.

    Args:
        out: The folder of the command's option `--out`.
        files: Names of the test images, in order.
    """
    here = machine.check(gpu=True)
    return {
        "date": date.today().isoformat(),
        "machine": {"system": here.system, "cores": here.cores, "gpus": here.gpus},
        "versions": {"python": here.python, **here.packages},
        "dtype_policy": precision.dtype_policy(fast=True),
        "batch_size": BATCH,
        "views": VIEWS,
        "test_files": list(files),
        "experiments": {name: asdict(experiment) for name, experiment in EXPERIMENTS.items()},
        "trials": [
            {"experiment": name, "seed": int(folder.name), **record}
            for name in EXPERIMENTS
            for folder in sorted(_folder(out, name).glob("[0-9]*"))
            if (record := record_of(folder))
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab vgg16", description=__doc__)
    parser.add_argument("--photos", default="photos", help="zip or folder of real photos")
    parser.add_argument("--weights", default="pretrained", help="file of VGG16's weights")
    parser.add_argument("--mobilenet", default="pretrained", help="file of MobileNet's weights")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trials")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, from 0 on")
    parser.add_argument("--only", action="append", choices=EXPERIMENTS, help="may be repeated")
    options = parser.parse_args(arguments)
    for name in options.only or EXPERIMENTS:
        pets = load_images(options.photos, image_size=EXPERIMENTS[name].image_size)
        folder = _folder(options.out, name)
        if seeds := [seed for seed in range(options.seeds) if not record_of(folder / str(seed))]:
            _run(name, pets, seeds, options)
    kept = json.dumps(collect(options.out, pets.test.file_names), separators=(",", ":"))
    draft = options.out / "vgg16.draft"
    draft.write_text(kept.replace('{"experiment"', '\n{"experiment"') + "\n", encoding="utf-8")
    draft.replace(draft.with_suffix(".json"))
    return 0
