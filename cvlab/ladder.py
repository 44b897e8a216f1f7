"""Measure the whole ladder over seeds: `python -m cvlab.ladder --seeds 5`.

Six ways to tell cats from dogs, each of the lecture's rungs once: a convnet from scratch, with
augmentation, with dropout too, features of the pretrained base, the frozen base with augmentation,
and fine-tuning of its last block. All on the `quick` profile's drawn pictures. Nothing is chosen by
the test pictures: every rung trains for a fixed number of epochs and is tested once.

What lies below the freeze boundary never changes, so its outputs are computed once for a picture or
for an augmented view of it, and only what trains runs in every epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cvlab import datasets, measure, profiles, zoo
from cvlab.augment import Augment

RUNGS: Final = (
    "from scratch",
    "+ augmentation",
    "+ dropout",
    "feature extraction",
    "frozen base + augmentation",
    "fine-tuning",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long and how fast each rung trains; RMSprop throughout, as in the lecture.

    Attributes:
        scratch_epochs: Of the convnet from scratch.
        augmented_epochs: Of the convnet with augmentation, without and with dropout.
        scratch_rate: Step size of the three.
        head_epochs: Of the head on features.
        head_rate: Its step size.
        views: Augmented views of each training picture for the frozen base.
        frozen_epochs: Passes over the pictures and all their views.
        tuning_epochs: Passes over them while block 5 trains too.
        tuning_rate: Step size then.
        batch_size: Pictures a step of the convnet from scratch.
        transfer_batch_size: Pictures a step above the freeze boundary.
    """

    scratch_epochs: int = 15
    augmented_epochs: int = 30
    scratch_rate: float = 3e-4
    head_epochs: int = 20
    head_rate: float = 3e-4
    views: int = 4
    frozen_epochs: int = 8
    tuning_epochs: int = 8
    tuning_rate: float = 1e-4
    batch_size: int = 20
    transfer_batch_size: int = 50


@dataclass(frozen=True)
class Run:
    """One rung, trained once.

    Attributes:
        right: For each test picture whether the rung got it right, (n,) bool.
        train_accuracy: After the last epoch, on the training pictures as they are.
        validation_accuracy: After the last epoch.
        overfits_from: First epoch (from 1) after which the validation loss only got worse, None
            if it was still falling at the end.
        seconds: To train, without what it shares with the rung below.
    """

    right: NDArray[np.bool_]
    train_accuracy: float
    validation_accuracy: float
    overfits_from: int | None
    seconds: float


def augmentation(seed: int) -> Augment:
    """Build the lecture's augmentation (step 12)."""
    return Augment(
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        seed=seed,
    )


def head(dropout: float = 0.5) -> keras.Sequential:
    """Build the lecture's classifier on a base: Flatten, Dense 256, Dropout, sigmoid (step 22)."""
    return keras.Sequential(
        [
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="head",
    )


def _compile(model: keras.Model, rate: float) -> keras.Model:
    model.compile(keras.optimizers.RMSprop(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def _right(
    model: keras.Model, inputs: NDArray[Any], labels: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    scores = model.predict(inputs, batch_size=200, verbose=0)
    right: NDArray[np.bool_] = (np.ravel(scores) > 0.5) == (labels == 1)
    return right


def _run(
    model: keras.Model,
    inputs: Mapping[str, NDArray[Any]],
    pets: datasets.Pets,
    fit: Callable[[], keras.callbacks.History],
) -> Run:
    """Train by calling `fit`, and test on each split's inputs, pictures or features of them."""
    start = time.perf_counter()
    history = fit().history
    seconds = time.perf_counter() - start
    right = {
        name: _right(model, inputs[name], getattr(pets, name).labels)
        for name in ("train", "validation", "test")
    }
    losses = history["val_loss"]
    lowest = int(np.argmin(losses)) + 1
    return Run(
        right=right["test"],
        train_accuracy=float(right["train"].mean()),
        validation_accuracy=float(right["validation"].mean()),
        overfits_from=lowest if lowest < len(losses) else None,
        seconds=seconds,
    )


def climb(
    pets: datasets.Pets,
    open_base: Callable[[], keras.Model],
    settings: Settings,
    seed: int,
    *,
    report: Callable[[str, Run], None] = lambda name, run: None,
) -> dict[str, Run]:
    """Train and test every rung once.

    Args:
        pets: The pictures.
        open_base: Gives a fresh base with its pretrained weights, blocks named as VGG16's.
        settings: How to train.
        seed: Of the initial weights, the order of the pictures and the augmentation.
        report: Called after each rung with its name and result.

    Returns:
        The runs by rung, in the order of `RUNGS`.
    """
    runs: dict[str, Run] = {}
    size = pets.train.images.shape[1]
    pictures = {
        name: np.asarray(getattr(pets, name).images) for name in ("train", "validation", "test")
    }
    labels = {
        name: getattr(pets, name).labels.astype(np.float32)
        for name in ("train", "validation", "test")
    }

    def keep(name: str, run: Run) -> None:
        runs[name] = run
        report(name, run)

    def fit(
        model: keras.Model,
        inputs: Mapping[str, NDArray[Any]],
        epochs: int,
        batch_size: int,
        train: tuple[NDArray[Any], NDArray[np.float32]] | None = None,
    ) -> Run:
        x, y = train or (inputs["train"], labels["train"])
        held_out = inputs["validation"], labels["validation"]
        return _run(
            model,
            inputs,
            pets,
            lambda: model.fit(
                x, y, batch_size=batch_size, epochs=epochs, validation_data=held_out, verbose=0
            ),
        )

    for name, dropout, augment, epochs in (
        ("from scratch", 0.0, None, settings.scratch_epochs),
        ("+ augmentation", 0.0, augmentation(seed), settings.augmented_epochs),
        ("+ dropout", 0.5, augmentation(seed), settings.augmented_epochs),
    ):
        keras.utils.set_random_seed(seed)
        network = zoo.small_cnn(size, dropout=dropout, augmentation=augment)
        _compile(network, settings.scratch_rate)
        keep(name, fit(network, pictures, epochs, settings.batch_size))

    keras.utils.set_random_seed(seed)
    base = open_base()
    boundary = base.get_layer("block4_pool").output
    lower = keras.Model(base.inputs[0], boundary)
    upper = keras.Model(boundary, base.output, name="block5")
    cut = {name: lower.predict(x, batch_size=200, verbose=0) for name, x in pictures.items()}
    features = {name: upper.predict(x, batch_size=200, verbose=0) for name, x in cut.items()}
    extraction = _compile(head(), settings.head_rate)
    batch = settings.transfer_batch_size
    keep("feature extraction", fit(extraction, features, settings.head_epochs, batch))

    augment = augmentation(seed)
    views = [cut["train"]]
    for _ in range(settings.views):
        changed = [
            keras.ops.convert_to_numpy(augment(pictures["train"][k : k + 200], training=True))
            for k in range(0, len(pictures["train"]), 200)
        ]
        views.append(lower.predict(np.concatenate(changed), batch_size=200, verbose=0))
    seen = np.concatenate(views)
    answers = np.tile(labels["train"], len(views))
    classifier = _compile(head(), settings.head_rate)
    seen_features = upper.predict(seen, batch_size=200, verbose=0)
    keep(
        "frozen base + augmentation",
        fit(classifier, features, settings.frozen_epochs, batch, (seen_features, answers)),
    )

    tuned = keras.Sequential([keras.Input(cut["train"].shape[1:]), upper, classifier])
    _compile(tuned, settings.tuning_rate)
    keep("fine-tuning", fit(tuned, cut, settings.tuning_epochs, batch, (seen, answers)))
    return runs


def summarize(climbs: Sequence[Mapping[str, Run]]) -> dict[str, Any]:
    """Gather several seeds' runs: means with intervals, and each rung against the one before.

    Args:
        climbs: What `climb` returned, one for each seed, at least two.

    Returns:
        "rungs": by name the test accuracies, their mean with its 95 % interval (Student's t over
        seeds), training and validation accuracy, epoch from which it overfits, seconds; "steps":
        from each rung to the next the mean difference with its interval, and of each seed the
        p-value of McNemar's exact test on the same test pictures.
    """
    rungs, steps = {}, []
    for name in climbs[0]:
        runs = [runs[name] for runs in climbs]
        accuracies = [float(run.right.mean()) for run in runs]
        rungs[name] = {
            "test_accuracies": accuracies,
            "test_accuracy": asdict(measure.mean_interval(accuracies)),
            "train_accuracy": float(np.mean([run.train_accuracy for run in runs])),
            "validation_accuracy": float(np.mean([run.validation_accuracy for run in runs])),
            "overfits_from": [run.overfits_from for run in runs],
            "seconds": float(np.mean([run.seconds for run in runs])),
        }
    names = list(climbs[0])
    for before, after in pairwise(names):
        gains = [float(runs[after].right.mean() - runs[before].right.mean()) for runs in climbs]
        tests = [measure.mcnemar(runs[before].right, runs[after].right) for runs in climbs]
        steps.append(
            {
                "from": before,
                "to": after,
                "gain": asdict(measure.mean_interval(gains)),
                "mcnemar_p": [test.p_value for test in tests],
                "better": [
                    {"first": before, "second": after, "neither": "neither"}[test.better]
                    for test in tests
                ],
            }
        )
    return {"rungs": rungs, "steps": steps}


def table(summary: Mapping[str, Any]) -> str:
    """Lay the summary out as text."""
    lines = [f"{'rung':28}{'test accuracy (95 % over seeds)':34}{'train':>8}{'seconds':>9}"]
    for name, rung in summary["rungs"].items():
        found = measure.Interval(**rung["test_accuracy"]).percent()
        lines.append(
            f"{name:28}{found:34}{100 * rung['train_accuracy']:7.1f}%{rung['seconds']:9.1f}"
        )
    for step in summary["steps"]:
        gain = step["gain"]
        wins = sum(winner == step["to"] for winner in step["better"])
        losses = sum(winner == step["from"] for winner in step["better"])
        lines.append(
            f"{step['from']} -> {step['to']}: {100 * gain['value']:+.1f} points "
            f"({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}); McNemar finds it better in "
            f"{wins} and worse in {losses} of {len(step['better'])} seeds"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab.ladder", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--base", type=Path, help="another file of weights for the base")
    parser.add_argument(
        "--pictures", type=int, default=0, help="seed of the pictures; tune on another than 0"
    )
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: one run has no spread")
    profile = profiles.get("quick")

    def open_base() -> keras.Model:
        return zoo.load_base("toy", profile.image_size, options.base or "pretrained")

    settings = Settings(batch_size=profile.batch_size, scratch_rate=profile.learning_rate)
    pets = datasets.load_pets(
        profile.source,
        image_size=profile.image_size,
        per_class=profile.per_class,
        seed=options.pictures,
    )
    climbs = []
    for seed in range(options.seeds):

        def report(name: str, run: Run, seed: int = seed) -> None:
            print(
                f"seed {seed}  {name:28} test {100 * run.right.mean():.1f} %  train "
                f"{100 * run.train_accuracy:.1f} %  {run.seconds:.0f} s",
                flush=True,
            )

        climbs.append(climb(pets, open_base, settings, seed, report=report))
    summary = {
        "profile": profile.name,
        "pictures_seed": options.pictures,
        "settings": asdict(settings),
        **summarize(climbs),
    }
    if options.out:
        options.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(table(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
