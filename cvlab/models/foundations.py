"""The networks that the lecture calls foundational, each with its year and its idea.

Source:
    LeNet-5: LeCun et al., "Gradient-Based Learning Applied to Document Recognition"
    AlexNet: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks"
    VGG16, VGG19: Simonyan and Zisserman, "Very Deep Convolutional Networks"
    GoogLeNet: Szegedy et al., "Going Deeper with Convolutions"
    ResNet50: He et al., "Deep Residual Learning for Image Recognition"
    InceptionV3: Szegedy et al., "Rethinking the Inception Architecture"
    Xception: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions"
    MobileNet: Howard et al., "MobileNets: Efficient Convolutional Neural Networks"
    ViT-B/16: Dosovitskiy et al., "An Image is Worth 16x16 Words"

Top-1 accuracies on ImageNet's validation images, one network and one crop per image:
    VGG16 to MobileNet of `keras.applications`: keras.io/api/applications, of the weights in Keras
    AlexNet, GoogLeNet: Howard et al., "MobileNets" (2017), tables 8 and 9
    ViT-B/16: Touvron et al., "Training data-efficient image transformers" (2021), DeiT-B: the same
        network, trained on ImageNet alone, at 224 pixels
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import keras

from cvlab.models import classics


class Foundation(NamedTuple):
    """One of the networks the lecture calls foundational.

    Attributes:
        year: When it was first published.
        idea: What was new, in a few words.
        top1: Published top-1 accuracy on ImageNet; None if it was not trained on ImageNet.
        build: Builds it with its classifier and random weights, at its own image size.
    """

    year: int
    idea: str
    top1: float | None
    build: Callable[[], keras.Model]


def _application(name: str) -> Callable[[], keras.Model]:
    return partial(getattr(keras.applications, name), weights=None)


FOUNDATIONS: Final = {
    "LeNet-5": Foundation(1998, "convolutions learned end to end", None, classics.lenet5),
    "AlexNet": Foundation(2012, "ReLU, dropout, training on GPUs", 0.572, classics.alexnet),
    "VGG16": Foundation(2014, "only 3 × 3 windows, deeper", 0.713, _application("VGG16")),
    "VGG19": Foundation(2014, "three more convolutions", 0.713, _application("VGG19")),
    "GoogLeNet": Foundation(2014, "several window sizes side by side", 0.698, classics.googlenet),
    "ResNet50": Foundation(2015, "a shortcut around each block", 0.749, _application("ResNet50")),
    "InceptionV3": Foundation(
        2015, "factorized windows, batch normalization", 0.779, _application("InceptionV3")
    ),
    "Xception": Foundation(
        2016, "separable convolutions with shortcuts", 0.790, _application("Xception")
    ),
    "MobileNet": Foundation(
        2017, "separable convolutions, small", 0.704, _application("MobileNet")
    ),
    "ViT-B/16": Foundation(2020, "attention between patches", 0.818, classics.vit),
}
