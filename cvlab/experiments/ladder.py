"""Measure the whole ladder over several seeds: `python -m cvlab ladder`.

The rungs are the lecture's (step 27): a small convnet from scratch, the same with augmentation,
with dropout too, features of the pretrained base, the frozen base with augmentation, and
fine-tuning of its last block. Epochs, learning rates, views and base are those of a profile, as in
notebooks 06 to 12. Each seed has its own images: drawings are drawn anew, and photos are split
anew, so a photo that is a test image for one seed may be a training image for another.

Every rung keeps the weights of its lowest validation loss and is tested once.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from cvlab import models, plots, precision, profiles, transfer
from cvlab.cache import cache_root
from cvlab.course import statements
from cvlab.data.loading import Pets, load_pets
from cvlab.evaluation import measure
from cvlab.profiles import Profile
from cvlab.training import LECTURE_OPTIONS, Augment
from cvlab.training.baseline import compile_binary, fit_best, new_network
from cvlab.transfer import features, freezing

# The rungs, and the lecture's figures for them: best validation accuracy on photos (step 27).
RUNGS: Final = tuple(rung for rung, _ in statements.LADDER.values())
LECTURE: Final = dict(statements.LADDER.values())
_SPLITS: Final = ("train", "validation", "test")

# Of each split the images, their features or their labels.
_BySplit = Mapping[str, NDArray[Any]]
_Rungs = Iterator[tuple[str, "Run"]]


@dataclass(frozen=True)
class Run:
    """One rung, trained once.

    Attributes:
        right: For each test image whether the prediction is right, (n,) bool.
        train_accuracy: On the training images without augmentation.
        validation_accuracy: On the validation images.
        overfits_from: Epoch (from 1) from which on the validation loss only rose, see
            `cvlab.evaluation.measure.overfitting_epoch`; None if there is none.
        seconds: Of what this rung adds to the one below: features, if it needs new ones, and
            training with its validation.
    """

    right: NDArray[np.bool_]
    train_accuracy: float
    validation_accuracy: float
    overfits_from: int | None
    seconds: float


def _run(
    model: keras.Model,
    inputs: _BySplit,
    labels: _BySplit,
    *,
    views: Sequence[NDArray[Any]] | None = None,
    epochs: int,
    batch_size: int,
    seed: int,
    start: float,
) -> Run:
    """Train a compiled model, and test it on every split.

    Args:
        model: It ends with the weights of its lowest validation loss.
        inputs: The inputs of the model, by split.
        labels: Classes, by split.
        views: Several versions of the training inputs; only those of `inputs` if None.
        epochs: Passes over the training images.
        batch_size: Images per step.
        seed: Of the order of the images.
        start: `time.perf_counter()` at the beginning of the rung.
    """
    views = views or [inputs["train"]]
    history = fit_best(
        model,
        transfer.Views(views, labels["train"], batch_size=batch_size, seed=seed),
        epochs=epochs,
        validation_data=(inputs["validation"], labels["validation"]),
        validation_batch_size=100,
        callbacks=[freezing.Guard(model)],
    )
    seconds = time.perf_counter() - start
    right = {
        split: (np.ravel(model.predict(given, batch_size=100, verbose=0)) > 0.5)
        == (labels[split] == 1)
        for split, given in inputs.items()
    }
    return Run(
        right=right["test"],
        train_accuracy=float(right["train"].mean()),
        validation_accuracy=float(right["validation"].mean()),
        overfits_from=measure.overfitting_epoch(history["val_loss"]),
        seconds=seconds,
    )


def _images_and_labels(pets: Pets) -> tuple[_BySplit, _BySplit]:
    splits = {name: getattr(pets, name) for name in _SPLITS}
    images = {name: split.images for name, split in splits.items()}
    return images, {name: split.labels.astype(np.float32) for name, split in splits.items()}


def train_from_scratch(pets: Pets, profile: Profile, seed: int) -> _Rungs:
    """Train the first three rungs: the small convnet, with augmentation, with dropout too.

    Args:
        pets: Images of the profile's `image_size`.
        profile: How to train. With its `warm_start` the second and third network continue from the
            weights of the first one.
        seed: Of the initial weights, the order of the images and the augmentation.

    Yields:
        Name and result of each rung.
    """
    images, labels = _images_and_labels(pets)
    first: list[NDArray[Any]] | None = None
    for rung, dropout, augmented, epochs in (
        (RUNGS[0], 0.0, False, profile.baseline_epochs),
        (RUNGS[1], 0.0, True, profile.augmented_epochs),
        (RUNGS[2], 0.5, True, profile.dropout_epochs),
    ):
        start = time.perf_counter()
        augmentation = Augment(**LECTURE_OPTIONS, seed=seed) if augmented else None
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision.dtype_policy(fast=profile.mixed_precision))
        network = new_network(profile, seed, dropout=dropout, augmentation=augmentation)
        keras.config.set_dtype_policy(policy)
        if augmented and profile.warm_start:
            network.set_weights(first)
        size = profile.batch_size
        run = _run(network, images, labels, epochs=epochs, batch_size=size, seed=seed, start=start)
        first = first or network.get_weights()
        yield rung, run


def train_on_base(
    base: keras.Model, pets: Pets, profile: Profile, seed: int, *, cache: str | Path
) -> _Rungs:
    """Train the last three rungs: features of the base, with augmentation, fine-tuning.

    The layers below the freeze boundary run once per image or view; the layers above it are trained
    on the stored outputs.

    Args:
        base: With its pretrained weights; its last block is changed.
        pets: Images of the profile's `base_image_size`.
        profile: How to train.
        seed: Of the heads' weights, the order of the images and the augmentation.
        cache: Folder for the features.

    Yields:
        Name and result of each rung.
    """
    start = time.perf_counter()
    images, labels = _images_and_labels(pets)
    run = partial(_run, labels=labels, batch_size=profile.transfer_batch_size, seed=seed)
    extract = partial(features.extract, cache=cache)
    boundary = transfer.last_block(base)
    lower, upper = transfer.split(base, boundary)
    freezing.freeze(base)
    maps = {split: extract(given, lower) for split, given in images.items()}
    # Global pooling has no weights: below a head it need not run in every epoch either.
    top = keras.Sequential(
        [keras.Input(lower.output_shape[1:]), upper, keras.layers.GlobalAveragePooling2D()]
    )
    means = {split: extract(given, top) for split, given in maps.items()}

    def new_head() -> keras.Model:
        keras.utils.set_random_seed(seed)
        head = transfer.pooled_head(top.output_shape[1:])
        compile_binary(head, keras.optimizers.RMSprop(profile.pooled_learning_rate))
        return head

    yield RUNGS[3], run(new_head(), means, epochs=profile.head_epochs, start=start)

    start = time.perf_counter()
    augment = Augment(**LECTURE_OPTIONS, seed=seed)
    views = features.extract_views(
        pets.train.images, lower, augment=augment, views=profile.views, cache=cache
    )
    views = [maps["train"], *views]
    mean_views = [extract(view, top) for view in views]
    head = new_head()
    yield RUNGS[4], run(head, means, views=mean_views, epochs=profile.frozen_epochs, start=start)

    start = time.perf_counter()
    freezing.unfreeze_from(base, boundary)
    tuned = keras.Sequential([keras.Input(lower.output_shape[1:]), top, head])
    epochs = profile.tuning_epochs
    steps = epochs * math.ceil(len(pets.train) / profile.transfer_batch_size)
    rate, schedule = profile.tuning_learning_rate, profile.tuning_schedule
    compile_binary(tuned, transfer.fine_tuning_optimizer(rate, steps, schedule=schedule))
    yield RUNGS[5], run(tuned, maps, views=views, epochs=epochs, start=start)


def summarize(climbs: Sequence[Mapping[str, Run]]) -> dict[str, Any]:
    """Summarize the runs of several seeds: means with intervals, and each rung against the next.

    Args:
        climbs: For each seed, at least two, its runs by rung.

    Returns:
        "rungs": by name the test accuracies, their mean with its 95 % interval (Student's t over
        seeds), training and validation accuracy, epoch from which it overfits, seconds; "steps":
        from each rung to the next the mean difference with its interval, and the p-value of
        McNemar's exact test on the same test images, of each seed and of the images of all seeds
        together (with photos some count in more than one seed, so take that one with care).
    """
    by_rung = {name: [climb[name] for climb in climbs] for name in climbs[0]}
    rungs, steps = {}, []
    for name, runs in by_rung.items():
        accuracies = [float(run.right.mean()) for run in runs]
        rungs[name] = {
            "test_accuracies": accuracies,
            "test_accuracy": asdict(measure.mean_interval(accuracies)),
            "train_accuracy": float(np.mean([run.train_accuracy for run in runs])),
            "validation_accuracy": float(np.mean([run.validation_accuracy for run in runs])),
            "overfits_from": [run.overfits_from for run in runs],
            "seconds": float(np.mean([run.seconds for run in runs])),
        }
    for (before, first), (after, second) in pairwise(by_rung.items()):
        pairs = [(one.right, other.right) for one, other in zip(first, second, strict=True)]
        gains = [float(other.mean() - one.mean()) for one, other in pairs]
        tests = [measure.mcnemar(*pair) for pair in pairs]
        together = measure.mcnemar(*map(np.concatenate, zip(*pairs, strict=True)))
        names = {"first": before, "second": after, "neither": "neither"}
        steps.append(
            {
                "from": before,
                "to": after,
                "gain": asdict(measure.mean_interval(gains)),
                "mcnemar_p": [test.p_value for test in tests],
                "better": [names[test.better] for test in tests],
                "mcnemar_p_together": together.p_value,
                "better_together": names[together.better],
            }
        )
    return {"rungs": rungs, "steps": steps}


def table(summary: Mapping[str, Any]) -> str:
    """Return the summary as text."""
    lines = [f"{'rung':28}{'test accuracy (95 % over seeds)':34}{'train':>8}{'seconds':>9}"]
    for name, rung in summary["rungs"].items():
        found = measure.Interval(**rung["test_accuracy"]).percent()
        lines.append(
            f"{name:28}{found:34}{100 * rung['train_accuracy']:7.1f}%{rung['seconds']:9.1f}"
        )
    for step in summary["steps"]:
        value, low, high = (100 * step["gain"][key] for key in ("value", "low", "high"))
        wins, losses = (step["better"].count(step[key]) for key in ("to", "from"))
        lines.append(
            f"{step['from']} -> {step['to']}: {value:+.1f} points ({low:+.1f} to {high:+.1f}); "
            f"McNemar finds it better in {wins} and worse in {losses} of {len(step['better'])} "
            f"seeds; with all their images together p = {step['mcnemar_p_together']:.2g}, "
            f"better: {step['better_together']}"
        )
    return "\n".join(lines)


def chart(summary: Mapping[str, Any], images: str) -> plots.Figure:
    """Draw the measured rungs beside the lecture's figures for them.

    Args:
        summary: What `summarize` returned, or the JSON that `main` wrote.
        images: What was measured on, such as `drawn images`.
    """
    rungs = summary["rungs"].items()
    measured = {name: measure.Interval(**rung["test_accuracy"]) for name, rung in rungs}
    label = f"test accuracy (measured: {images}, mean over seeds; lecture: photos)"
    return plots.accuracies(measured, lecture=LECTURE, xlabel=label)


def _climb(profile: Profile, seed: int, *, scratch: bool) -> dict[str, Run]:
    """Train all rungs of one seed, without the first three if not `scratch`."""
    pets = load_pets(profile, image_size=profile.base_image_size, seed=seed)
    runs = {}
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    # Features in the cache from an earlier run would take no time; those of all seeds fill a disk.
    with tempfile.TemporaryDirectory(prefix="ladder-", dir=root) as folder:
        rungs = train_on_base(models.base_for(profile), pets, profile, seed, cache=folder)
        if scratch:
            small = load_pets(profile, image_size=profile.image_size, seed=seed)
            rungs = chain(train_from_scratch(small, profile, seed), rungs)
        for name, run in rungs:
            runs[name] = run
            print(
                f"seed {seed}  {name:28} test {100 * run.right.mean():.1f} %  validation "
                f"{100 * run.validation_accuracy:.1f} %  train {100 * run.train_accuracy:.1f} %  "
                f"{run.seconds:.0f} s",
                flush=True,
            )
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab ladder", description=__doc__)
    parser.add_argument("--profile", default="quick", choices=list(profiles.PROFILES))
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--first", type=int, default=30, help="first seed; tuned on 0, 10, 20")
    parser.add_argument("--out", type=Path, help="JSON file; a chart is drawn beside it")
    parser.add_argument("--transfer-only", action="store_true", help="only the last three rungs")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: one run has no spread")
    profile = profiles.get(options.profile)
    images = "drawn images" if profile.source == "toypets" else "photos"
    climbs: list[dict[str, Run]] = []
    for seed in range(options.first, options.first + options.seeds):
        climbs.append(_climb(profile, seed, scratch=not options.transfer_only))
        if len(climbs) < 2:
            continue
        # After every seed, so that an interrupted run leaves what it has measured.
        summary = {
            "settings": asdict(profile),
            "seeds": [options.first, seed],
            **summarize(climbs),
        }
        if options.out:
            options.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
            svg = options.out.with_suffix(".svg")
            svg.write_text(chart(summary, images).svg(), encoding="utf-8")
    print(table(summary))
    return 0
