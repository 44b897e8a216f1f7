"""The lecture's small convnet, which the training notebooks share."""

from __future__ import annotations

import keras
from keras import layers


def small_cnn(
    image_size: int, *, dropout: float = 0.0, augmentation: layers.Layer | None = None
) -> keras.Model:
    """Build the lecture's small convnet for two classes (lecture steps 10 to 15).

    Four pairs of a 3 x 3 convolution and max pooling, then two dense layers; 3,453,121 parameters
    at 150 x 150. Not compiled.

    Args:
        image_size: Height and width of the images in pixels, at least 46.
        dropout: Fraction of the flattened features dropped in training; 0 omits the layer.
        augmentation: A layer on images in 0..255 that acts in training only; None for none.

    Returns:
        A model from images (n, image_size, image_size, 3), uint8 or float in 0..255, to the
        probability of class 1, (n, 1), float32.

    Raises:
        ValueError: If the images are too small for four convolutions and poolings, or `dropout` is
            not from 0 to below 1.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}: it is a fraction, 0 to below 1; pass 0.5")
    if image_size < 46:
        raise ValueError(
            f"image_size is {image_size}: four unpadded convolutions and poolings leave nothing of"
            " an image below 46 pixels; use larger images"
        )
    network = keras.Sequential(name="small_cnn")
    network.add(keras.Input((image_size, image_size, 3), name="images"))
    if augmentation is not None:
        network.add(augmentation)
    network.add(layers.Rescaling(1 / 255, name="rescaling"))
    for filters in (32, 64, 128, 128):
        network.add(layers.Conv2D(filters, 3, activation="relu"))
        network.add(layers.MaxPooling2D(2))
    network.add(layers.Flatten())
    if dropout:
        network.add(layers.Dropout(dropout))
    network.add(layers.Dense(512, activation="relu"))
    # In float32 under every dtype policy: bfloat16 has three digits, too few for a probability.
    network.add(layers.Dense(1, activation="sigmoid", dtype="float32"))
    return network
