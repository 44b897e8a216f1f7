"""Probe bases at several image sizes, alone and side by side: `python -m cvlab probes`.

Each photo passes through a frozen base once as it is and once mirrored, and the mean of both
features is kept. On them scikit-learn's logistic regression is trained: its strength of
regularization is chosen by the validation loss, then it is trained on training and validation
photos together and tested once. Bases side by side are their features joined to one vector.

Features are kept in the cache, so an interrupted run continues where it stopped. Bases compute in
bfloat16 where the processor has native support for it.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cvlab import models, precision
from cvlab.course import machine
from cvlab.course.findings import as_text
from cvlab.data.checks import SPLITS
from cvlab.data.loading import load_images
from cvlab.models import cost
from cvlab.transfer import features

# Inverse strengths of the regularization, from strong to weak.
STRENGTHS: Final = tuple(float(10.0**power) for power in np.arange(-5, 0.1, 0.5))
# Bases and sizes in pixels: as in the lecture, as they were pretrained, and larger.
SIZES: Final[Mapping[str, tuple[int, ...]]] = {
    "VGG16": (150, 224),
    "MobileNet(alpha=0.75)": (150, 224, 256),
}


@dataclass(frozen=True, eq=False)
class Features:
    """What one base at one size makes of the photos.

    Attributes:
        by_split: Features (N, d) of each split.
        parameters: Of the base.
        multiply_adds: Of the base, for one image; twice that with the mirrored image.
    """

    by_split: Mapping[str, NDArray[np.floating]]
    parameters: int
    multiply_adds: int


def probe(
    inputs: Mapping[str, NDArray[np.floating]], labels: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """Choose a logistic regression by validation, train it again on both parts, test it once.

    Args:
        inputs: Features (N, d) under "train", "validation" and "test".
        labels: 0 or 1 for each of them.

    Returns:
        The inverse strength `C`, its validation loss and accuracy, the test accuracy, and `right`,
        a text of 0 and 1 that says of each test photo whether its prediction is right.
    """
    best = min(
        (_fitted(c, inputs["train"], labels["train"]) for c in STRENGTHS),
        key=lambda one: log_loss(labels["validation"], one.predict_proba(inputs["validation"])),
    )
    strength = best[-1].C
    both = _fitted(
        strength,
        np.concatenate([inputs["train"], inputs["validation"]]),
        np.concatenate([labels["train"], labels["validation"]]),
    )
    right = both.predict(inputs["test"]) == labels["test"]
    loss = log_loss(labels["validation"], best.predict_proba(inputs["validation"]))
    return {
        "C": strength,
        "validation_loss": round(float(loss), 5),
        "validation": round(float(best.score(inputs["validation"], labels["validation"])), 4),
        "test": round(float(right.mean()), 4),
        "right": as_text(right),
    }


def _fitted(strength: float, inputs: NDArray[np.floating], labels: NDArray[Any]) -> Pipeline:
    regression = LogisticRegression(C=strength, max_iter=2000)
    return make_pipeline(StandardScaler(), regression).fit(inputs, labels)


def features_of(
    name: str, size: int, photos: str | Path, weights: str | Path | None
) -> tuple[Features, dict[str, NDArray[Any]], tuple[str, ...]]:
    """Return the features of a base at a size, the labels by split, and the test photos' names."""
    pets = load_images(photos, image_size=size)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision.dtype_policy(fast=True))
    try:
        base = models.load_base(name, size, weights)
        pooled = keras.Sequential(
            [keras.Input(base.input_shape[1:]), base, layers.GlobalAveragePooling2D()]
        )
    finally:
        keras.config.set_dtype_policy(policy)
    by_split, labels = {}, {}
    for split in SPLITS:
        images, labels[split] = getattr(pets, split).images, getattr(pets, split).labels
        both = [features.extract(view, pooled) for view in (images, images[:, :, ::-1])]
        by_split[split] = np.mean(both, axis=0)
    found = Features(by_split, base.count_params(), cost.facts(base).multiply_adds)
    return found, labels, pets.test.file_names


def combinations(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return each name alone, then every two of them, then all."""
    alone = [(name,) for name in names]
    return [*alone, *itertools.combinations(names, 2), *([tuple(names)] if len(names) > 2 else [])]


def measure(found: Mapping[str, Features], labels: Mapping[str, NDArray[Any]]) -> list[Any]:
    """Probe each combination of bases; return the records, the lowest validation loss first."""
    records = []
    for names in combinations(list(found)):
        joined = {
            split: np.concatenate([found[name].by_split[split] for name in names], axis=1)
            for split in SPLITS
        }
        record = {
            "bases": list(names),
            # A base at two sizes has its weights once.
            "parameters": sum(
                {name.partition("@")[0]: found[name].parameters for name in names}.values()
            ),
            "multiply_adds": sum(2 * found[name].multiply_adds for name in names),
            **probe(joined, labels),
        }
        print(f"{' + '.join(names)}: test {record['test']:.1%}", flush=True)
        records.append(record)
    return sorted(records, key=lambda record: record["validation_loss"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab probes", description=__doc__)
    parser.add_argument("--photos", default="photos", help="zip or folder of real photos")
    parser.add_argument(
        "--weights",
        nargs=len(SIZES),
        default=["pretrained"] * len(SIZES),
        metavar="FILE",
        help=f"weights of {' and of '.join(SIZES)}; default: those that Keras downloads",
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args(arguments)
    found = {}
    for (name, sizes), weights in zip(SIZES.items(), options.weights, strict=True):
        for size in sizes:
            called = f"{name.partition('(')[0]}@{size}"
            found[called], labels, files = features_of(name, size, options.photos, weights)
    here = machine.check(gpu=True)
    record = {
        "date": date.today().isoformat(),
        "machine": {"system": here.system, "cores": here.cores, "gpus": here.gpus},
        "versions": {"python": here.python, **here.packages},
        "dtype_policy": precision.dtype_policy(fast=True),
        "test_files": list(files),
        "probes": measure(found, labels),
    }
    kept = json.dumps(record, separators=(",", ":")).replace('{"bases"', '\n{"bases"')
    options.out.write_text(kept + "\n", encoding="utf-8")
    return 0
