"""The embedded base: a small VGG-style convolutional base whose weights come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import keras
from keras import layers

TOY_WEIGHTS: Final = Path(__file__).parent / "weights" / "toy_base.weights.h5"
TOY_CHANNELS: Final = (8, 24, 48, 96, 128)


def toy_base(image_size: int = 64, weights: Literal["zoo"] | None = "zoo") -> keras.Model:
    """Build the embedded convolutional base: VGG16's architecture at a thirtieth of its size.

    Five blocks of two 3 x 3 convolutions and one max pooling, named like VGG16's layers, with 8,
    24, 48, 96 and 128 channels. `python -m cvlab pretrain` trained it to classify the species of
    the drawn zoo.

    Args:
        image_size: Height and width of the images in pixels, at least 32.
        weights: "zoo" for the weights that come with the package, or None for random ones;
            `cvlab.models.load_base` opens other files.

    Returns:
        A model from images (n, image_size, image_size, 3), uint8 or float in 0..255, to feature
        maps (n, image_size // 32, image_size // 32, 128).

    Raises:
        ValueError: If the images are smaller than 32 pixels.
    """
    if image_size < 32:
        raise ValueError(
            f"image_size is {image_size}: five poolings leave nothing of an image below 32 pixels;"
            " use larger images"
        )
    images = keras.Input((image_size, image_size, 3), name="pictures")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(images)
    same = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    for block, channels in enumerate(TOY_CHANNELS, start=1):
        x = layers.Conv2D(channels, 3, **same, name=f"block{block}_conv1")(x)
        x = layers.Conv2D(channels, 3, **same, name=f"block{block}_conv2")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    base = keras.Model(images, x, name="toy_base")
    if weights == "zoo":
        base.load_weights(TOY_WEIGHTS)
    return base
