"""Classifier heads for a pretrained base: the lecture's, and the one that is usual today."""

import keras
from keras import layers


def dense_head(features: tuple[int, ...], *, dropout: float = 0.5) -> keras.Sequential:
    """Build the lecture's classifier on a base (step 22): Flatten, Dense 256, Dropout, sigmoid.

    Args:
        features: Shape of the features of one image, such as `base.output_shape[1:]`.
        dropout: Share of the 256 activations dropped in training; 0 leaves the layer out, as the
            lecture does when it augments the images (step 23).

    Returns:
        A model from features `(n, *features)` to the probability of class 1, (n, 1). Not compiled.
    """
    return keras.Sequential(
        [
            keras.Input(features),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="dense_head",
    )


def pooled_head(features: tuple[int, ...], *, dropout: float = 0.0) -> keras.Sequential:
    """Build the classifier that is usual today: global average pooling, then one sigmoid unit.

    Args:
        features: Shape of the feature map of one image, (height, width, channels); or (channels,)
            for features that are already averaged, which leaves the pooling out. Pooling has no
            weights, so on a frozen base it need not run in every epoch either.
        dropout: Share of the channels dropped in training; 0 leaves the layer out.

    Returns:
        A model from features `(n, *features)` to the probability of class 1, (n, 1). Not compiled.

    Source:
        M. Lin, Q. Chen, S. Yan, "Network In Network" (2014), section 3.2.
    """
    return keras.Sequential(
        [
            keras.Input(features),
            *([layers.GlobalAveragePooling2D()] if len(features) > 1 else []),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="pooled_head",
    )
