"""Make the embedded base: train it on the toy zoo alone, `python -m cvlab.experiments.pretrain`.

The base learns to name the species of a drawn animal and the kind of each of its parts, from
pictures in which no cat and no dog occurs. The many part names do for it what ImageNet's thousand
classes do for VGG16: they leave detectors of ears, eyes and muzzles behind. The parts are read from
block 4 and the species from block 5, so that early layers serve other animals as well, and the last
block is about the zoo. What ships is the base without its classifiers, and a record of how it was
made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cvlab import models
from cvlab.drawing import toypets
from cvlab.evaluation import measure
from cvlab.models.embedded import TOY_WEIGHTS
from cvlab.training.augmentation import Augment, augment_all

PARTS: Final = ("ears", "muzzle", "pupils", "nose", "mouth", "whiskers", "head", "tail")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the base is trained.

    Attributes:
        image_size: Height and width of the pictures in pixels.
        per_species: Training pictures of each species of the zoo.
        held_out: Pictures of each species kept for the accuracy in the record.
        epochs: Passes over the training pictures as they are. Augmentation from the start would
            keep the network at chance for much longer.
        augmented_epochs: Passes over them and an augmented copy of each, with new classifiers.
        batch_size: Pictures a step.
        learning_rate: Adam's highest step size; in both phases it warms up for a twentieth of the
            steps and then falls to nothing along a cosine.
        augmented_rate: The same in the second phase.
        part_weight: Weight of the loss on each part's kind; the loss on the species weighs 1.
        seed: Of the pictures, the initialisation and the order.
    """

    image_size: int = 64
    per_species: int = 1600
    held_out: int = 100
    epochs: int = 8
    augmented_epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    augmented_rate: float = 1e-3
    part_weight: float = 0.5
    seed: int = 1


def zoo_pictures(
    numbers: range, *, size: int, seed: int
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.int32]]]:
    """Draw every species of the zoo, and name what the pictures show.

    Args:
        numbers: Which pictures of each species.
        size: Height and width in pixels.
        seed: Of the pictures.

    Returns:
        Pictures (n, size, size, 3) uint8, and by name of the task ("species" or a part) the index
        of its kind in `kinds`, (n,) int32.
    """
    pictures = np.concatenate(
        [toypets.draw_many(species, numbers, size=size, seed=seed) for species in toypets.ZOO]
    )
    names = kinds()
    labels = {
        "species": np.repeat(np.arange(len(toypets.ZOO), dtype=np.int32), len(numbers)),
    }
    records = [
        toypets.attributes(species, number, seed=seed)
        for species in toypets.ZOO
        for number in numbers
    ]
    for part in PARTS:
        labels[part] = np.array(
            [names[part].index(getattr(record, part)) for record in records], np.int32
        )
    return pictures, labels


def kinds() -> dict[str, list[str]]:
    """List what there is to tell apart: the species, and the kinds of each part in the zoo."""
    return {
        "species": list(toypets.ZOO),
        **{part: toypets.zoo_kinds(part) for part in PARTS},
    }


def augmented(pictures: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Turn, shift and zoom every picture once, (n, size, size, 3) uint8."""
    augment = Augment(
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        zoom_range=0.2,
        seed=seed,
    )
    return augment_all(pictures, augment)


def train(
    base: keras.Model,
    pictures: NDArray[np.uint8],
    labels: dict[str, NDArray[np.int32]],
    recipe: Recipe,
    *,
    epochs: int,
    rate: float,
    verbose: int | str = "auto",
) -> keras.Model:
    """Train a base under classifiers of the parts (on block 4) and of the species (on block 5).

    Args:
        base: Changed in place.
        pictures: (n, size, size, 3) uint8.
        labels: By task, (n,) int32.
        recipe: Gives the batch size and the parts' weight.
        epochs: Passes over the pictures, each mirrored by lot.
        rate: Adam's highest step size.
        verbose: As Keras's `fit` takes it.

    Returns:
        The base with its classifiers: logits by task.
    """
    mirrored = layers.RandomFlip("horizontal")(base.inputs[0])
    both = keras.Model(base.inputs[0], [base.get_layer("block4_pool").output, base.output])
    for_parts, for_species = (
        layers.GlobalAveragePooling2D()(feature_map) for feature_map in both(mirrored)
    )
    tasks = {
        name: layers.Dense(len(names), name=name)(for_species if name == "species" else for_parts)
        for name, names in kinds().items()
    }
    model = keras.Model(base.inputs[0], tasks)
    steps = epochs * -(-len(pictures) // recipe.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, steps - steps // 20, warmup_target=rate, warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.Adam(schedule),
        {name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for name in tasks},
        loss_weights={name: 1.0 if name == "species" else recipe.part_weight for name in tasks},
        metrics={"species": "accuracy"},
    )
    model.fit(pictures, labels, batch_size=recipe.batch_size, epochs=epochs, verbose=verbose)
    return model


def pretrain(recipe: Recipe, *, verbose: int | str = "auto") -> tuple[keras.Model, dict[str, Any]]:
    """Train the base on the toy zoo.

    Args:
        recipe: How.
        verbose: As Keras's `fit` takes it.

    Returns:
        The base, without classifiers, and the record of its training: recipe, counts, parameters,
        accuracy on the held-out pictures with its 95 % interval, seconds, versions.
    """
    start = time.perf_counter()
    keras.utils.set_random_seed(recipe.seed)
    size, seed = recipe.image_size, recipe.seed
    pictures, labels = zoo_pictures(range(recipe.per_species), size=size, seed=seed)
    base = models.toy_base(size, weights=None)
    train(
        base,
        pictures,
        labels,
        recipe,
        epochs=recipe.epochs,
        rate=recipe.learning_rate,
        verbose=verbose,
    )
    model = train(
        base,
        np.concatenate([pictures, augmented(pictures, seed)]),
        {name: np.tile(values, 2) for name, values in labels.items()},
        recipe,
        epochs=recipe.augmented_epochs,
        rate=recipe.augmented_rate,
        verbose=verbose,
    )
    return base, record_of(model, base, recipe, time.perf_counter() - start)


def record_of(
    model: keras.Model, base: keras.Model, recipe: Recipe, seconds: float
) -> dict[str, Any]:
    """Test the trained network on the held-out pictures, and write down how it came about."""
    unseen = range(recipe.per_species, recipe.per_species + recipe.held_out)
    held_out, answers = zoo_pictures(unseen, size=recipe.image_size, seed=recipe.seed)
    guesses = model.predict(held_out, batch_size=256, verbose=0)
    accuracies = {
        name: measure.accuracy(np.argmax(guesses[name], axis=-1), answers[name]) for name in answers
    }
    return {
        "command": "python -m cvlab.experiments.pretrain",
        "recipe": asdict(recipe),
        "toypets_version": toypets.VERSION,
        "species": list(toypets.ZOO),
        "training_pictures": recipe.per_species * len(toypets.ZOO),
        "held_out_pictures": len(held_out),
        "held_out_accuracy": asdict(accuracies["species"]),
        "held_out_accuracy_of_parts": {part: round(accuracies[part].value, 4) for part in PARTS},
        "parameters": base.count_params(),
        "seconds": round(seconds, 1),
        "backend": keras.backend.backend(),
        "versions": {name: version(name) for name in ("keras", "tensorflow", "numpy")},
    }


def save(base: keras.Model, record: dict[str, Any], path: Path) -> None:
    """Write the base's weights, and beside them the record as JSON with the weights' SHA-256.

    Args:
        base: What to save.
        record: What `pretrain` returned with it.
        path: A name that ends in `.weights.h5`; the record's ends in `.json` instead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    base.save_weights(path)
    record = {**record, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    record_path(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def record_path(weights: Path) -> Path:
    """Name the record that lies beside a file of weights."""
    return weights.with_name(weights.name.removesuffix(".weights.h5") + ".json")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    usual = Recipe()
    parser = argparse.ArgumentParser(
        prog="python -m cvlab.experiments.pretrain", description=__doc__
    )
    parser.add_argument("--per-species", type=int, default=usual.per_species)
    parser.add_argument("--held-out", type=int, default=usual.held_out)
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--augmented-epochs", type=int, default=usual.augmented_epochs)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--out", type=Path, default=TOY_WEIGHTS)
    options = parser.parse_args(arguments)
    recipe = Recipe(
        per_species=options.per_species,
        held_out=options.held_out,
        epochs=options.epochs,
        augmented_epochs=options.augmented_epochs,
        seed=options.seed,
    )
    base, record = pretrain(recipe, verbose=2)
    save(base, record, options.out)
    found = measure.Interval(**record["held_out_accuracy"])
    print(
        f"species named right on {record['held_out_pictures']:,} unseen pictures: "
        f"{found.percent()}; {record['seconds']:.0f} s; weights in {options.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
