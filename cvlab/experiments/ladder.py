"""Measure the whole ladder over several seeds: `python -m cvlab.experiments.ladder`.

The rungs are the lecture's (step 27): a small convnet from scratch, the same with augmentation,
with dropout too, features of the pretrained base, the frozen base with augmentation, and
fine-tuning of its last block. Epochs, rates, views and base are those of a profile, as in
notebooks 05 to 11. Each seed has pictures of its own: drawn ones are drawn anew, and photos are the
same ones dealt out anew, so that a photo that tests in one seed may train in another.

Every rung keeps the weights of its lowest validation loss and is tested once.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from cvlab import plots, profiles, transfer
from cvlab.cache import cache_root
from cvlab.course import machine, statements
from cvlab.data import loading as datasets
from cvlab.evaluation import measure
from cvlab.models import zoo
from cvlab.profiles import Profile
from cvlab.training.augmentation import LECTURE_OPTIONS, Augment
from cvlab.transfer import features, freezing

# The rungs, and the lecture's figures for them: best validation accuracy on photos (step 27).
RUNGS: Final = tuple(rung for rung, _ in statements.LADDER.values())
LECTURE: Final = dict(statements.LADDER.values())


@dataclass(frozen=True)
class Run:
    """One rung, trained once.

    Attributes:
        right: For each test picture whether the rung got it right, (n,) bool.
        train_accuracy: On the training pictures as they are.
        validation_accuracy: On the validation pictures.
        overfits_from: Epoch (from 1) after which the validation loss only got worse, see
            `cvlab.evaluation.measure.overfitting_epoch`; None if it did not.
        seconds: Of what this rung adds to the one below: features, if it needs new ones, and
            training with its validation.
    """

    right: NDArray[np.bool_]
    train_accuracy: float
    validation_accuracy: float
    overfits_from: int | None
    seconds: float


# Of "train", "validation" and "test" the pictures, or what a part of a network makes of them.
_Inputs = Mapping[str, NDArray[Any]]


def _labels(pets: datasets.Pets) -> dict[str, NDArray[np.float32]]:
    return {
        name: getattr(pets, name).labels.astype(np.float32)
        for name in ("train", "validation", "test")
    }


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def _run(
    model: keras.Model,
    inputs: _Inputs,
    labels: _Inputs,
    *,
    views: Sequence[NDArray[Any]] | None = None,
    epochs: int,
    batch_size: int,
    seed: int,
    start: float,
) -> Run:
    """Train a compiled model on `views` of the training pictures, and test it on every split.

    Args:
        model: It ends with the weights of its lowest validation loss.
        inputs: What the model takes, by split.
        labels: Classes, by split.
        views: The training pictures in several versions; those of `inputs` if None.
        epochs: Passes over the training pictures.
        batch_size: Pictures a step.
        seed: Of the order of the pictures.
        start: `time.perf_counter()` when the rung was begun.
    """
    guard = freezing.Guard(model)
    history = model.fit(
        transfer.Views(
            views or [inputs["train"]], labels["train"], batch_size=batch_size, seed=seed
        ),
        epochs=epochs,
        validation_data=(inputs["validation"], labels["validation"]),
        validation_batch_size=100,
        callbacks=[
            guard,
            keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True),
        ],
        verbose=0,
    ).history
    seconds = time.perf_counter() - start
    right = {
        name: (np.ravel(model.predict(pictures, batch_size=100, verbose=0)) > 0.5)
        == (labels[name] == 1)
        for name, pictures in inputs.items()
    }
    return Run(
        right=right["test"],
        train_accuracy=float(right["train"].mean()),
        validation_accuracy=float(right["validation"].mean()),
        overfits_from=measure.overfitting_epoch(history["val_loss"]),
        seconds=seconds,
    )


def train_from_scratch(
    pets: datasets.Pets, profile: Profile, seed: int
) -> Iterator[tuple[str, Run]]:
    """Climb the first three rungs: the small convnet, with augmentation, with dropout too.

    Args:
        pets: The pictures, of the profile's `image_size`.
        profile: How to train. With its `warm_start` the second and third network go on from the
            weights that the first one kept.
        seed: Of the initial weights, the order of the pictures and the augmentation.

    Yields:
        Name and result of each rung.
    """
    labels = _labels(pets)
    inputs = {name: getattr(pets, name).images for name in labels}
    kept: list[NDArray[Any]] | None = None
    for rung, dropout, augmented, epochs in (
        (RUNGS[0], 0.0, False, profile.baseline_epochs),
        (RUNGS[1], 0.0, True, profile.augmented_epochs),
        (RUNGS[2], 0.5, True, profile.dropout_epochs),
    ):
        start = time.perf_counter()
        keras.utils.set_random_seed(seed)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(machine.dtype_policy(fast=profile.mixed_precision))
        network = zoo.small_cnn(
            profile.image_size,
            dropout=dropout,
            augmentation=Augment(**LECTURE_OPTIONS, seed=seed) if augmented else None,
        )
        keras.config.set_dtype_policy(policy)
        if augmented and profile.warm_start:
            network.set_weights(kept)
        _compile(network, keras.optimizers.RMSprop(profile.learning_rate))
        run = _run(
            network,
            inputs,
            labels,
            epochs=epochs,
            batch_size=profile.batch_size,
            seed=seed,
            start=start,
        )
        kept = kept or network.get_weights()
        yield rung, run


def train_on_base(
    base: keras.Model, pets: datasets.Pets, profile: Profile, seed: int, *, cache: str | Path
) -> Iterator[tuple[str, Run]]:
    """Climb the last three rungs: features of the base, with augmentation, fine-tuning.

    What lies below the freeze boundary runs once for each picture or view; what trains, trains on
    what came out there.

    Args:
        base: With its pretrained weights; its last block is changed.
        pets: The pictures, of the profile's `base_image_size`.
        profile: How to train.
        seed: Of the heads' weights, the order of the pictures and the augmentation.
        cache: Folder for the features.

    Yields:
        Name and result of each rung.
    """
    start = time.perf_counter()
    labels = _labels(pets)
    first = transfer.last_block(base)
    lower, upper = transfer.split(base, first)
    freezing.freeze(base)
    at_boundary = {
        name: features.extract(getattr(pets, name).images, lower, cache=cache) for name in labels
    }
    # The mean over places has no weights: below a head it need not run in every epoch either.
    top = keras.Sequential(
        [keras.Input(lower.output_shape[1:]), upper, keras.layers.GlobalAveragePooling2D()]
    )
    means = {name: features.extract(cut, top, cache=cache) for name, cut in at_boundary.items()}
    training: dict[str, Any] = {"batch_size": profile.transfer_batch_size, "seed": seed}

    def new_head() -> keras.Model:
        keras.utils.set_random_seed(seed)
        head = transfer.pooled_head(top.output_shape[1:])
        return _compile(head, keras.optimizers.RMSprop(profile.pooled_learning_rate))

    yield (
        RUNGS[3],
        _run(new_head(), means, labels, epochs=profile.head_epochs, start=start, **training),
    )

    start = time.perf_counter()
    views = [
        at_boundary["train"],
        *features.extract_views(
            pets.train.images,
            lower,
            augment=Augment(**LECTURE_OPTIONS, seed=seed),
            views=profile.views,
            cache=cache,
        ),
    ]
    view_means = [features.extract(view, top, cache=cache) for view in views]
    head = new_head()
    yield (
        RUNGS[4],
        _run(
            head,
            means,
            labels,
            views=view_means,
            epochs=profile.frozen_epochs,
            start=start,
            **training,
        ),
    )

    start = time.perf_counter()
    freezing.unfreeze_from(base, first)
    tuned = keras.Sequential([keras.Input(lower.output_shape[1:]), top, head])
    steps = profile.tuning_epochs * math.ceil(len(pets.train) / profile.transfer_batch_size)
    _compile(
        tuned,
        transfer.small_steps(profile.tuning_learning_rate, steps, schedule=profile.tuning_schedule),
    )
    yield (
        RUNGS[5],
        _run(
            tuned,
            at_boundary,
            labels,
            views=views,
            epochs=profile.tuning_epochs,
            start=start,
            **training,
        ),
    )


def summarize(climbs: Sequence[Mapping[str, Run]]) -> dict[str, Any]:
    """Gather several seeds' runs: means with intervals, and each rung against the one before.

    Args:
        climbs: The runs by rung, one mapping for each seed, at least two.

    Returns:
        "rungs": by name the test accuracies, their mean with its 95 % interval (Student's t over
        seeds), training and validation accuracy, epoch from which it overfits, seconds; "steps":
        from each rung to the next the mean difference with its interval, and the p-value of
        McNemar's exact test on the same test pictures, of each seed and of the pictures of all
        seeds together (with photos some count in more than one seed, so take that one with care).
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
        pairs = [(runs[before].right, runs[after].right) for runs in climbs]
        pooled = [np.concatenate(right) for right in zip(*pairs, strict=True)]
        tests = [measure.mcnemar(*pair) for pair in (*pairs, pooled)]
        *better, better_together = (
            {"first": before, "second": after, "neither": "neither"}[test.better] for test in tests
        )
        steps.append(
            {
                "from": before,
                "to": after,
                "gain": asdict(measure.mean_interval(gains)),
                "mcnemar_p": [test.p_value for test in tests[:-1]],
                "better": better,
                "mcnemar_p_together": tests[-1].p_value,
                "better_together": better_together,
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
            f"{wins} and worse in {losses} of {len(step['better'])} seeds; with all their pictures "
            f"together p = {step['mcnemar_p_together']:.2g}, better: {step['better_together']}"
        )
    return "\n".join(lines)


def picture(summary: Mapping[str, Any], pictures: str) -> plots.Figure:
    """Draw the rungs measured beside the lecture's figures for them.

    Args:
        summary: What `summarize` returned, or the JSON that `main` wrote.
        pictures: What was measured on, such as `drawn pictures`.
    """
    measured = {
        name: measure.Interval(**rung["test_accuracy"]) for name, rung in summary["rungs"].items()
    }
    return plots.accuracies(
        measured,
        lecture=LECTURE,
        xlabel=f"test accuracy (measured: {pictures}, mean over seeds; lecture: photos)",
    )


def _climb(
    profile: Profile, seed: int, *, scratch: bool, transferred: bool, weights: Path | None
) -> tuple[dict[str, Run], float]:
    """Climb with the pictures of one seed.

    Returns:
        The runs by rung, and the seconds until the pictures were there, decoded: nearly none if an
        earlier run has left them in the cache.
    """

    def load(size: int) -> datasets.Pets:
        return datasets.load_pets(profile, image_size=size, seed=seed)

    def base() -> keras.Model:
        if weights is None:
            return zoo.base_for(profile)
        return zoo.load_base(profile.base, profile.base_image_size, weights)

    start = time.perf_counter()
    pets = load(profile.base_image_size)
    seconds = time.perf_counter() - start
    runs = {}
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    # Features that an earlier run has left would take no time, and those of all seeds fill a disk.
    with tempfile.TemporaryDirectory(prefix="ladder-", dir=root) as folder:
        for name, run in chain(
            train_from_scratch(load(profile.image_size), profile, seed) if scratch else (),
            train_on_base(base(), pets, profile, seed, cache=folder) if transferred else (),
        ):
            runs[name] = run
            print(
                f"seed {seed}  {name:28} test {100 * run.right.mean():.1f} %  validation "
                f"{100 * run.validation_accuracy:.1f} %  train {100 * run.train_accuracy:.1f} %  "
                f"{run.seconds:.0f} s",
                flush=True,
            )
    return runs, seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab.experiments.ladder", description=__doc__)
    parser.add_argument("--profile", default="quick", choices=list(profiles.PROFILES))
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument(
        "--first", type=int, default=30, help="the first of them; 0, 10 and 20 served to tune"
    )
    parser.add_argument("--out", type=Path, help="JSON file; a picture is drawn beside it")
    parser.add_argument("--base", type=Path, help="another file of weights for the base")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--scratch-only", action="store_true", help="only the first three rungs")
    part.add_argument("--transfer-only", action="store_true", help="only the last three")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: one run has no spread")
    profile = profiles.get(options.profile)
    climbs: list[dict[str, Run]] = []
    loading: list[float] = []
    for seed in range(options.first, options.first + options.seeds):
        runs, seconds = _climb(
            profile,
            seed,
            scratch=not options.transfer_only,
            transferred=not options.scratch_only,
            weights=options.base,
        )
        climbs.append(runs)
        loading.append(seconds)
        if len(climbs) < 2:
            continue
        # After every seed, so that a run that is stopped leaves what it has measured.
        summary = {
            "settings": asdict(profile),
            "seeds": [options.first, seed],
            "pictures_seconds": float(np.mean(loading)),
            **summarize(climbs),
        }
        if options.out:
            pictures = "drawn pictures" if profile.source == "toypets" else "photos"
            options.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
            options.out.with_suffix(".svg").write_text(
                picture(summary, pictures).svg(), encoding="utf-8"
            )
    print(f"pictures from disk: {np.mean(loading):.1f} s a seed")
    print(table(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
