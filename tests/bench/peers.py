"""Other ways to do the same, as their authors do it: what the benchmarks measure against.

The lecture's code as it stands is legacy (`ImageDataGenerator`) and runs on TensorFlow only. It is
kept here to be measured and nowhere used.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from cvlab.models import load_base
from cvlab.training.augmentation import LECTURE_OPTIONS

LECTURE_SIZE = 150
LECTURE_BATCH = 20


def lecture_generator(folder: Path, **options: Any) -> Any:
    """The lecture's generator over `folder/<class>/` (steps 11 and 14).

    Args:
        folder: With one sub-folder for each class.
        options: Of the augmentation; none for validation.

    Returns:
        Batches of 20 pictures (20, 150, 150, 3) float32 in 0..1 and labels (20,), for ever.
    """
    generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1.0 / 255, **options)
    return generator.flow_from_directory(
        str(folder),
        target_size=(LECTURE_SIZE, LECTURE_SIZE),
        batch_size=LECTURE_BATCH,
        class_mode="binary",
    )


def lecture_augmentation() -> dict[str, Any]:
    """The seven options of step 12, as the generator takes them."""
    return dict(LECTURE_OPTIONS)


def lecture_convnet() -> keras.Model:
    """The lecture's small network for pictures in 0..1, compiled as in step 10."""
    network = keras.Sequential(
        [
            keras.Input((LECTURE_SIZE, LECTURE_SIZE, 3)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(128, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(128, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile(
        loss="binary_crossentropy",
        optimizer=keras.optimizers.RMSprop(learning_rate=1e-4),
        metrics=["acc"],
    )
    return network


def bare_base(name: str, size: int, weights: str) -> keras.Model:
    """A base without its preprocessing: for pictures in whatever scale the caller has.

    Args:
        name: As `cvlab.models.load_base` takes it.
        size: Height and width of the pictures in pixels.
        weights: Path of a file of weights.
    """
    base = load_base(name, size, weights)
    after = next(layer for layer in base.layers if layer.name == "preprocessing").output
    return keras.Model(after, base.output, name="base")


def guide_dataset(folder: Path) -> Any:
    """Pictures as the Keras guide on transfer learning feeds them: cached, in batches of 32.

    Args:
        folder: With one sub-folder for each class.
    """
    pictures = keras.utils.image_dataset_from_directory(
        folder, label_mode="binary", batch_size=None, image_size=(150, 150), shuffle=True, seed=0
    )
    return pictures.cache().batch(32).prefetch(10)


def guide_model(base: keras.Model) -> keras.Model:
    """The guide's network: flips, turns, the frozen base, mean, dropout, one logit.

    Args:
        base: For pictures in -1..1; is frozen.

    Returns:
        Compiled for the guide's first phase, twenty epochs of the head.

    Source:
        https://keras.io/guides/transfer_learning/
    """
    base.trainable = False
    pictures = keras.Input((150, 150, 3))
    x = layers.RandomFlip("horizontal")(pictures)
    x = layers.RandomRotation(0.1)(x)
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(pictures, layers.Dense(1)(x))
    guide_compile(model, keras.optimizers.Adam())
    return model


def guide_compile(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compile as the guide does, for logits."""
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy()],
    )
