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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cvlab import datasets, lecture, measure, plots, profiles, zoo
from cvlab.augment import LECTURE_OPTIONS, Augment, augment_all

# The rungs, and the lecture's figures for them: best validation accuracy on photos (step 27).
RUNGS: Final = tuple(rung for rung, _ in lecture.LADDER.values())
LECTURE: Final = dict(lecture.LADDER.values())


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long and how fast each rung trains; RMSprop throughout, as in the lecture.

    Attributes:
        scratch_epochs: Of the convnet from scratch.
        augmented_epochs: Of the convnet with augmentation, without and with dropout.
        scratch_rate: Step size without augmentation.
        augmented_rate: Step size with it. Augmented pictures keep the network at chance at first;
            at 1e-3 for seventeen epochs, at 5e-4 for five.
        head_epochs: Of the head on features.
        head_rate: Its step size.
        views: Augmented views of each training picture for the frozen base.
        frozen_epochs: Passes over the pictures and all their views.
        tuning_epochs: Passes over them while block 5 trains too.
        tuning_rate: Step size then.
        batch_size: Pictures a step of the convnet from scratch.
        transfer_batch_size: Pictures a step above the freeze boundary.
    """

    scratch_epochs: int = 14
    augmented_epochs: int = 20
    scratch_rate: float = 1e-3
    augmented_rate: float = 5e-4
    head_epochs: int = 20
    head_rate: float = 3e-4
    views: int = 4
    frozen_epochs: int = 10
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


@dataclass(frozen=True)
class Data:
    """Pictures, or what a part of a network makes of them, and labels, by split.

    Attributes:
        inputs: For "train", "validation" and "test", (n, height, width, channels).
        labels: For each, (n,) float32, 0 for a cat and 1 for a dog.
    """

    inputs: dict[str, NDArray[Any]]
    labels: dict[str, NDArray[np.float32]]

    @classmethod
    def of(cls, pets: datasets.Pets) -> Data:
        """Take the pictures out of a data set."""
        splits = {"train": pets.train, "validation": pets.validation, "test": pets.test}
        return cls(
            {name: np.asarray(split.images) for name, split in splits.items()},
            {name: split.labels.astype(np.float32) for name, split in splits.items()},
        )

    def through(self, network: keras.Model) -> Data:
        """Compute what a network makes of every split."""
        outputs = {
            name: network.predict(inputs, batch_size=200, verbose=0)
            for name, inputs in self.inputs.items()
        }
        return Data(outputs, self.labels)


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


def _run(
    model: keras.Model,
    data: Data,
    *,
    epochs: int,
    batch_size: int,
    train: tuple[NDArray[Any], NDArray[np.float32]] | None = None,
) -> Run:
    """Train on the training split, or on `train` in its place, and test on every split."""
    x, y = train or (data.inputs["train"], data.labels["train"])
    start = time.perf_counter()
    history = model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(data.inputs["validation"], data.labels["validation"]),
        verbose=0,
    ).history
    seconds = time.perf_counter() - start
    right = {
        name: (np.ravel(model.predict(inputs, batch_size=200, verbose=0)) > 0.5)
        == (data.labels[name] == 1)
        for name, inputs in data.inputs.items()
    }
    lowest = int(np.argmin(history["val_loss"])) + 1
    return Run(
        right=right["test"],
        train_accuracy=float(right["train"].mean()),
        validation_accuracy=float(right["validation"].mean()),
        overfits_from=lowest if lowest < epochs else None,
        seconds=seconds,
    )


def train_from_scratch(data: Data, settings: Settings, seed: int) -> Iterator[tuple[str, Run]]:
    """Climb the first three rungs: the small convnet, with augmentation, with dropout too.

    Args:
        data: The pictures.
        settings: How to train.
        seed: Of the initial weights, the order of the pictures and the augmentation.

    Yields:
        Name and result of each rung.
    """
    size = data.inputs["train"].shape[1]
    longer = settings.augmented_epochs, settings.augmented_rate
    for name, dropout, augment, epochs, rate in (
        (RUNGS[0], 0.0, None, settings.scratch_epochs, settings.scratch_rate),
        (RUNGS[1], 0.0, Augment(**LECTURE_OPTIONS, seed=seed), *longer),
        (RUNGS[2], 0.5, Augment(**LECTURE_OPTIONS, seed=seed), *longer),
    ):
        keras.utils.set_random_seed(seed)
        network = zoo.small_cnn(size, dropout=dropout, augmentation=augment)
        _compile(network, rate)
        yield name, _run(network, data, epochs=epochs, batch_size=settings.batch_size)


def transfer(
    data: Data, base: keras.Model, settings: Settings, seed: int
) -> Iterator[tuple[str, Run]]:
    """Climb the last three rungs: features of the base, with augmentation, fine-tuning of block 5.

    Args:
        data: The pictures.
        base: With its pretrained weights, blocks named as VGG16's; its block 5 is changed.
        settings: How to train.
        seed: Of the heads' weights, the order of the pictures and the augmentation.

    Yields:
        Name and result of each rung.
    """
    keras.utils.set_random_seed(seed)
    boundary = base.get_layer("block4_pool").output
    lower = keras.Model(base.inputs[0], boundary)
    upper = keras.Model(boundary, base.output, name="block5")
    cut = data.through(lower)
    features = cut.through(upper)
    batch_size = settings.transfer_batch_size
    extraction = _compile(head(), settings.head_rate)
    yield (
        RUNGS[3],
        _run(extraction, features, epochs=settings.head_epochs, batch_size=batch_size),
    )

    augment = Augment(**LECTURE_OPTIONS, seed=seed)
    views = [cut.inputs["train"]]
    for _ in range(settings.views):
        changed = augment_all(data.inputs["train"], augment)
        views.append(lower.predict(changed, batch_size=200, verbose=0))
    seen = np.concatenate(views)
    answers = np.tile(data.labels["train"], len(views))
    seen_features = upper.predict(seen, batch_size=200, verbose=0)
    classifier = _compile(head(), settings.head_rate)
    yield (
        RUNGS[4],
        _run(
            classifier,
            features,
            epochs=settings.frozen_epochs,
            batch_size=batch_size,
            train=(seen_features, answers),
        ),
    )

    tuned = keras.Sequential([keras.Input(seen.shape[1:]), upper, classifier])
    _compile(tuned, settings.tuning_rate)
    yield (
        RUNGS[5],
        _run(
            tuned,
            cut,
            epochs=settings.tuning_epochs,
            batch_size=batch_size,
            train=(seen, answers),
        ),
    )


def summarize(climbs: Sequence[Mapping[str, Run]]) -> dict[str, Any]:
    """Gather several seeds' runs: means with intervals, and each rung against the one before.

    Args:
        climbs: The runs by rung, one mapping for each seed, at least two.

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


def picture(summary: Mapping[str, Any]) -> plots.Figure:
    """Draw the rungs measured beside the lecture's figures for them.

    Args:
        summary: What `summarize` returned, or the JSON that `main` wrote.
    """
    measured = {
        name: measure.Interval(**rung["test_accuracy"]) for name, rung in summary["rungs"].items()
    }
    return plots.accuracies(
        measured,
        lecture=LECTURE,
        xlabel="test accuracy (measured: drawn pictures, mean over seeds; lecture: photos)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab.ladder", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--out", type=Path, help="JSON file; a picture is drawn beside it")
    parser.add_argument("--base", type=Path, help="another file of weights for the base")
    parser.add_argument(
        "--pictures", type=int, default=0, help="seed of the pictures; tune on another than 0"
    )
    parser.add_argument(
        "--transfer-only", action="store_true", help="leave the three rungs from scratch out"
    )
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: one run has no spread")
    profile = profiles.get("quick")
    settings = Settings(
        batch_size=profile.batch_size,
        scratch_rate=profile.learning_rate,
        scratch_epochs=profile.baseline_epochs,
    )
    data = Data.of(
        datasets.load_pets(
            profile.source,
            image_size=profile.image_size,
            per_class=profile.per_class,
            seed=options.pictures,
        )
    )
    climbs: list[dict[str, Run]] = []
    for seed in range(options.seeds):
        base = zoo.load_base("toy", profile.image_size, options.base or "pretrained")
        climbs.append({})
        for name, run in chain(
            () if options.transfer_only else train_from_scratch(data, settings, seed),
            transfer(data, base, settings, seed),
        ):
            climbs[-1][name] = run
            print(
                f"seed {seed}  {name:28} test {100 * run.right.mean():.1f} %  train "
                f"{100 * run.train_accuracy:.1f} %  {run.seconds:.0f} s",
                flush=True,
            )
        if seed == 0:
            continue
        # After every seed, so that a run that is stopped leaves what it has measured.
        summary = {
            "profile": profile.name,
            "pictures_seed": options.pictures,
            "seeds": seed + 1,
            "settings": asdict(settings),
            **summarize(climbs),
        }
        if options.out:
            options.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
            options.out.with_suffix(".svg").write_text(picture(summary).svg(), encoding="utf-8")
    print(table(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
