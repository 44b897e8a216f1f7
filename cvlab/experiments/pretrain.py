"""Pretrain the embedded base on the drawn zoo: `python -m cvlab pretrain`.

The base learns to classify the species of a drawn animal and the kind of each of its parts, from
images without any cat or dog. The many kinds of parts have the role of ImageNet's thousand classes
for VGG16: with them the base learns detectors of ears, eyes and muzzles. The parts are classified
from block 4 and the species from block 5, so early layers transfer to other animals, and the last
block is specific to the zoo. The package contains the base, the classifier of the species, and a
record of how they were trained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cvlab import precision
from cvlab.drawing import animals, toypets
from cvlab.evaluation import measure
from cvlab.models import embedded, toy_base
from cvlab.models.embedded import TOY_WEIGHTS
from cvlab.training import Augment, augment_all

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = dict[str, NDArray[np.int32]]

PARTS: Final = ("ears", "muzzle", "pupils", "nose", "mouth", "whiskers", "head", "tail")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the base is trained.

    Attributes:
        image_size: Height and width of the images in pixels.
        per_species: Training images of each species of the zoo.
        held_out: Images of each species held out for the accuracy in the record.
        epochs: Passes over the training images without augmentation. With augmentation from the
            beginning, the network would stay at chance level for much longer.
        augmented_epochs: Passes over them and an augmented copy of each, with new classifiers.
        batch_size: Images per step.
        learning_rate: Adam's highest learning rate; in both phases, warm-up over a twentieth of
            the steps and then cosine decay to zero.
        augmented_rate: The same in the second phase.
        part_weight: Weight of the loss of each part; the loss of the species has weight 1.
        seed: Of the images, the initialization and the order.
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


def zoo_images(numbers: range, *, size: int, seed: int) -> tuple[Images, Labels]:
    """Draw every species of the zoo, with labels of species and parts.

    Args:
        numbers: Numbers of the images to draw of each species.
        size: Height and width in pixels.
        seed: Of the images.

    Returns:
        Images (n, size, size, 3) uint8, and for each task ("species" or a part) the index of the
        class in `kinds`, (n,) int32.
    """
    zoo, names = toypets.ZOO, kinds()
    images = [toypets.draw_many(species, numbers, size=size, seed=seed) for species in zoo]
    records = [
        animals.attributes(species, number, seed=seed) for species in zoo for number in numbers
    ]
    labels = {
        part: np.array([names[part].index(getattr(record, part)) for record in records], np.int32)
        for part in PARTS
    }
    species = np.repeat(np.arange(len(zoo), dtype=np.int32), len(numbers))
    return np.concatenate(images), {"species": species, **labels}


def kinds() -> dict[str, list[str]]:
    """Return the classes of each task: the species, and the kinds of each part in the zoo."""
    return {"species": list(toypets.ZOO), **{part: animals.zoo_kinds(part) for part in PARTS}}


def with_classifiers(base: keras.Model) -> keras.Model:
    """Put new classifiers of the parts on block 4 of a base and one of the species on block 5.

    Returns:
        A model from images, each flipped at random in training, to the logits by task, float32.
    """
    flipped = layers.RandomFlip("horizontal")(base.inputs[0])
    both = keras.Model(base.inputs[0], [base.get_layer("block4_pool").output, base.output])
    for_parts, for_species = (
        layers.GlobalAveragePooling2D(dtype="float32")(maps) for maps in both(flipped)
    )
    tasks = {
        name: layers.Dense(len(names), dtype="float32", name=name)(
            for_species if name == "species" else for_parts
        )
        for name, names in kinds().items()
    }
    return keras.Model(base.inputs[0], tasks)


def train(
    base: keras.Model, images: Images, labels: Labels, recipe: Recipe, *, epochs: int, rate: float
) -> keras.Model:
    """Train a base with new classifiers.

    Args:
        base: Changed in place.
        images: (n, size, size, 3) uint8.
        labels: By task, (n,) int32.
        recipe: Its batch size and the weight of the parts are used.
        epochs: Passes over the images, each flipped at random.
        rate: Adam's highest learning rate.

    Returns:
        The base with its classifiers: logits by task.
    """
    model, tasks = with_classifiers(base), kinds()
    steps = epochs * -(-len(images) // recipe.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, steps - steps // 20, warmup_target=rate, warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.Adam(schedule),
        {name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for name in tasks},
        loss_weights={name: 1.0 if name == "species" else recipe.part_weight for name in tasks},
        metrics={"species": "accuracy"},
    )
    model.fit(images, labels, batch_size=recipe.batch_size, epochs=epochs, verbose=2)
    return model


def pretrain(recipe: Recipe) -> tuple[keras.Model, keras.Model, dict[str, Any]]:
    """Train the base on the drawn zoo, in bfloat16 where the processor supports it.

    Returns:
        The base and the head that classifies the species, both in float32, and the record of their
        training: recipe, counts, parameters, accuracy on the held-out images with its 95 %
        interval, seconds, versions.
    """
    start = time.perf_counter()
    keras.utils.set_random_seed(recipe.seed)
    size, seed = recipe.image_size, recipe.seed
    images, labels = zoo_images(range(recipe.per_species), size=size, seed=seed)
    policy = precision.dtype_policy(fast=True)
    keras.config.set_dtype_policy(policy)
    base = toy_base(size, weights=None)
    train(base, images, labels, recipe, epochs=recipe.epochs, rate=recipe.learning_rate)
    augment = Augment(
        rotation_range=40, width_shift_range=0.2, height_shift_range=0.2, zoom_range=0.2, seed=seed
    )
    images = np.concatenate([images, augment_all(images, augment)])
    labels = {name: np.tile(values, 2) for name, values in labels.items()}
    epochs, rate = recipe.augmented_epochs, recipe.augmented_rate
    trained = train(base, images, labels, recipe, epochs=epochs, rate=rate)
    keras.config.set_dtype_policy("float32")
    base = toy_base(size, weights=None)
    model, head = with_classifiers(base), embedded.species_head()
    model.set_weights(trained.get_weights())
    head.set_weights(model.get_layer("species").get_weights())
    record = _record(model, base, recipe, time.perf_counter() - start)
    return base, head, {**record, "trained_in": policy}


def _record(
    model: keras.Model, base: keras.Model, recipe: Recipe, seconds: float
) -> dict[str, Any]:
    """Test the trained network on the held-out images, and describe how it was trained."""
    unseen = range(recipe.per_species, recipe.per_species + recipe.held_out)
    held_out, labels = zoo_images(unseen, size=recipe.image_size, seed=recipe.seed)
    logits = model.predict(held_out, batch_size=256, verbose=0)
    accuracies = {
        name: measure.accuracy(np.argmax(logits[name], axis=-1), labels[name]) for name in labels
    }
    backend = keras.backend.backend()
    return {
        "command": "python -m cvlab pretrain",
        "recipe": asdict(recipe),
        "toypets_version": toypets.VERSION,
        "species": list(toypets.ZOO),
        "training_pictures": recipe.per_species * len(toypets.ZOO),
        "held_out_pictures": len(held_out),
        "held_out_accuracy": asdict(accuracies["species"]),
        "held_out_accuracy_of_parts": {part: round(accuracies[part].value, 4) for part in PARTS},
        "parameters": base.count_params(),
        "seconds": round(seconds, 1),
        "backend": backend,
        "versions": {name: version(name) for name in ("keras", backend, "numpy")},
    }


def beside(weights: Path) -> tuple[Path, Path]:
    """Return the paths of the head's weights and of the record, in the folder of the base's."""
    return weights.with_name(embedded.TOY_HEAD.name), weights.with_name(embedded.TOY_RECORD.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab pretrain", description=__doc__)
    for name in ("per_species", "held_out", "epochs", "augmented_epochs", "seed"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(Recipe, name))
    parser.add_argument("--out", type=Path, default=TOY_WEIGHTS)
    options = vars(parser.parse_args(arguments))
    path = options.pop("out")
    base, head, record = pretrain(Recipe(**options))
    path.parent.mkdir(parents=True, exist_ok=True)
    head_path, record_path = beside(path)
    base.save_weights(path)
    head.save_weights(head_path)
    record["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    record["head_sha256"] = hashlib.sha256(head_path.read_bytes()).hexdigest()
    record_path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    found = measure.Interval(**record["held_out_accuracy"])
    print(
        f"accuracy of the species on {record['held_out_pictures']:,} held-out images: "
        f"{found.percent()}; {record['seconds']:.0f} s; weights in {path}"
    )
    return 0
