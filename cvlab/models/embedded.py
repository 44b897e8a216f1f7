"""The embedded base: a small VGG-style convolutional base whose weights come with the package.

So does the classifier that it was pretrained with: 18 drawn species, no cat or dog among them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

TOY_WEIGHTS: Final = Path(__file__).parent / "weights" / "toy_base.weights.h5"
TOY_RECORD: Final = TOY_WEIGHTS.with_name("toy_base.json")
"""How the base was trained, by `python -m cvlab pretrain`."""
TOY_HEAD: Final = TOY_WEIGHTS.with_name("toy_head.weights.h5")
SPECIES: Final[tuple[str, ...]] = tuple(json.loads(TOY_RECORD.read_text("utf-8"))["species"])
"""The classes of the embedded classifier, in the order of its outputs."""
TOY_CHANNELS: Final = (8, 24, 48, 96, 128)


def toy_base(
    image_size: int = 64, weights: Literal["zoo"] | None = "zoo", *, dtype: str | None = None
) -> keras.Model:
    """Build the embedded convolutional base: VGG16's architecture at a thirtieth of its size.

    Five blocks of two 3 x 3 convolutions and one max pooling, named like VGG16's layers, with 8,
    24, 48, 96 and 128 channels. `python -m cvlab pretrain` trained it to classify the species of
    the drawn zoo.

    Args:
        image_size: Height and width of the images in pixels, at least 32.
        weights: "zoo" for the weights that come with the package, or None for random ones;
            `cvlab.models.load_base` opens other files.
        dtype: Policy of its layers, such as `mixed_bfloat16`; None for Keras's own. The last
            pooling computes in float32: so a head does, too.

    Returns:
        A model from images (n, image_size, image_size, 3), uint8 or float in 0..255, to feature
        maps (n, image_size // 32, image_size // 32, 128), float32 unless Keras's own policy says
        otherwise.

    Raises:
        ValueError: If the images are smaller than 32 pixels.
    """
    if image_size < 32:
        raise ValueError(
            f"image_size is {image_size}: five poolings leave nothing of an image below 32 pixels;"
            " use larger images"
        )
    images = keras.Input((image_size, image_size, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing", dtype=dtype)(images)
    same: dict[str, Any] = {"padding": "same", "activation": "relu", "dtype": dtype}
    same["kernel_initializer"] = "he_normal"
    for block, channels in enumerate(TOY_CHANNELS, start=1):
        x = layers.Conv2D(channels, 3, **same, name=f"block{block}_conv1")(x)
        x = layers.Conv2D(channels, 3, **same, name=f"block{block}_conv2")(x)
        last = block == len(TOY_CHANNELS)
        pooled = "float32" if dtype and last else dtype
        x = layers.MaxPooling2D(2, name=f"block{block}_pool", dtype=pooled)(x)
    base = keras.Model(images, x, name="toy_base")
    if weights == "zoo":
        base.load_weights(TOY_WEIGHTS)
    return base


def with_batchnorm(base: keras.Model, inputs: NDArray[Any]) -> keras.Model:
    """Copy a chain of convolutions and poolings with a BatchNormalization after each convolution.

    Each BatchNormalization has the statistics of `inputs` at its place, and a gamma and beta that
    undo them. So in inference mode the copy computes what `base` computes.

    Args:
        base: A functional model without branches, of convolutions with padding "same" and a ReLU
            each, and of poolings.
        inputs: Inputs of `base` to take the statistics from, (n, h, w, c).

    Returns:
        The copy, with layers `NAME_bn` and `NAME_relu` after each convolution `NAME`.
    """
    start = x = keras.Input(base.input_shape[1:])
    before_norm = {}
    for layer in base.layers[1:]:
        if isinstance(layer, layers.Conv2D):
            size = layer.kernel_size
            x = layers.Conv2D(layer.filters, size, padding="same", name=layer.name)(x)
            before_norm[layer.name] = x
            x = layers.BatchNormalization(name=f"{layer.name}_bn")(x)
            x = layers.ReLU(name=f"{layer.name}_relu")(x)
        else:
            x = type(layer).from_config(layer.get_config())(x)
    copy = keras.Model(start, x, name=f"{base.name}_bn")
    for name, output in before_norm.items():  # front to back: each sees what it will see later
        copy.get_layer(name).set_weights(base.get_layer(name).get_weights())
        seen = keras.Model(start, output).predict(inputs, batch_size=100, verbose=0)
        mean, variance = seen.mean((0, 1, 2)), seen.var((0, 1, 2))
        norm = copy.get_layer(f"{name}_bn")
        norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean, variance])
    return copy


def species_head() -> keras.Model:
    """Build the head of the embedded classifier, with random weights.

    Returns:
        A model from the base's feature maps (n, h, w, 128) to the probabilities of `SPECIES`,
        (n, 18) float32.
    """
    return keras.Sequential(
        [
            keras.Input((None, None, TOY_CHANNELS[-1])),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(SPECIES), activation="softmax", dtype="float32", name="species"),
        ],
        name="species_head",
    )


def classifier(image_size: int = 64) -> keras.Model:
    """Build the embedded base with the classifier head that it was pretrained with.

    Args:
        image_size: Height and width of the images in pixels, at least 32; trained at 64.

    Returns:
        A model from images (n, image_size, image_size, 3), uint8 or float in 0..255, to the
        probabilities of `SPECIES`, (n, 18) float32.

    Raises:
        ValueError: If the images are smaller than 32 pixels.
    """
    base, head = toy_base(image_size), species_head()
    head.load_weights(TOY_HEAD)
    return keras.Model(base.inputs[0], head(base.output), name="toy_classifier")


def decode_predictions(probabilities: NDArray[Any], top: int = 5) -> list[list[tuple[str, float]]]:
    """Name the most probable species, as `keras.applications` does for ImageNet's classes.

    Args:
        probabilities: What the embedded classifier returned, (n, 18).
        top: How many species to name for each image.

    Returns:
        For each image, `top` pairs of species and probability, the most probable first.

    Raises:
        ValueError: If `probabilities` does not have the shape (n, 18).
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(SPECIES):
        raise ValueError(
            f"probabilities has the shape {probabilities.shape}: pass what classifier().predict "
            f"returned, (n, {len(SPECIES)})"
        )
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        [(SPECIES[k], float(row[k])) for k in ranked]
        for row, ranked in zip(probabilities, best, strict=True)
    ]
