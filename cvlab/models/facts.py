"""What a network costs, read off its layers: depth, parameters, multiply-adds, memory, time.

The counts hold for any Keras model of a fixed input size. Where the field counts in more than one
way, the docstring says which way is taken here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import keras
import numpy as np
from keras import layers

from cvlab.models import classics
from cvlab.models.graph import describe, wiring

__all__ = ["FOUNDATIONS", "depth", "describe", "facts", "multiply_adds", "wiring"]


@dataclass(frozen=True)
class Foundation:
    """One of the networks the lecture calls foundational.

    Attributes:
        year: When it was first published.
        idea: What was new, in a few words.
        source: Its authors and title.
        build: Makes it with its classifier and random weights, at its own picture size.
    """

    year: int
    idea: str
    source: str
    build: Callable[[], keras.Model]


def _application(name: str) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        model: keras.Model = getattr(keras.applications, name)(weights=None)
        return model

    return build


FOUNDATIONS: Final = {
    "LeNet-5": Foundation(
        1998,
        "convolutions learned end to end",
        "LeCun et al., Gradient-Based Learning Applied to Document Recognition",
        classics.lenet5,
    ),
    "AlexNet": Foundation(
        2012,
        "ReLU, dropout, graphics cards",
        "Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks",
        classics.alexnet,
    ),
    "VGG16": Foundation(
        2014,
        "only 3 × 3 windows, deeper",
        "Simonyan and Zisserman, Very Deep Convolutional Networks",
        _application("VGG16"),
    ),
    "VGG19": Foundation(
        2014,
        "three more convolutions",
        "Simonyan and Zisserman, Very Deep Convolutional Networks",
        _application("VGG19"),
    ),
    "GoogLeNet": Foundation(
        2014,
        "several window sizes side by side",
        "Szegedy et al., Going Deeper with Convolutions",
        classics.googlenet,
    ),
    "ResNet50": Foundation(
        2015,
        "shortcuts past every block",
        "He et al., Deep Residual Learning for Image Recognition",
        _application("ResNet50"),
    ),
    "InceptionV3": Foundation(
        2015,
        "windows factored, batch normalization",
        "Szegedy et al., Rethinking the Inception Architecture",
        _application("InceptionV3"),
    ),
    "Xception": Foundation(
        2016,
        "separable convolutions with shortcuts",
        "Chollet, Xception: Deep Learning with Depthwise Separable Convolutions",
        _application("Xception"),
    ),
    "MobileNet": Foundation(
        2017,
        "separable convolutions, small",
        "Howard et al., MobileNets: Efficient Convolutional Neural Networks",
        _application("MobileNet"),
    ),
    "ViT-B/16": Foundation(
        2020,
        "attention between patches",
        "Dosovitskiy et al., An Image is Worth 16x16 Words",
        classics.vit,
    ),
}


@dataclass(frozen=True)
class Facts:
    """The counts of one network.

    Attributes:
        input_shape: Height, width and channels of a picture.
        depth: See `depth`.
        parameters: Numbers that training learns, and those it only tracks, such as moving means.
        multiply_adds: See `multiply_adds`.
        megabytes: Memory of the weights, in units of 1,000,000 bytes.
    """

    input_shape: tuple[int, int, int]
    depth: int
    parameters: int
    multiply_adds: int
    megabytes: float


def facts(model: keras.Model) -> Facts:
    """Count what there is to count in a network.

    Args:
        model: A model from pictures of one fixed size.

    Raises:
        ValueError: See `multiply_adds`.
    """
    bytes_of = sum(
        prod(weight.shape) * np.dtype(keras.backend.standardize_dtype(weight.dtype)).itemsize
        for weight in model.weights
    )
    return Facts(
        input_shape=model.input_shape[1:],
        depth=depth(model),
        parameters=model.count_params(),
        multiply_adds=multiply_adds(model),
        megabytes=bytes_of / 1e6,
    )


def multiply_adds(model: keras.Model) -> int:
    """Count the multiplications that one picture needs, each with its addition.

    Counted are convolutions, dense layers and attention. Biases, normalization, activations,
    pooling and additions are not: together they are in the order of one percent. Windows that
    reach over the border of a picture count in full. Papers count like this; tools that report
    FLOPs give twice as much.

    Args:
        model: A model of a fixed input size.

    Raises:
        ValueError: If the input size is not fixed, or a layer with a kernel is of a kind that
            this function does not know.
    """
    return sum(_multiply_adds_of(layer) for layer in model.layers)


def depth(model: keras.Model) -> int:
    """Count the layers with a kernel on the longest way from the pictures to the output.

    This is what the 16 in VGG16 and the 50 in ResNet50 mean. A depthwise and a pointwise
    convolution count as two where they are two layers (MobileNet) and as one where they are one
    (`SeparableConv2D`, Xception); attention counts as two, the maps into it and the one out of it.

    Args:
        model: A sequential or functional model.
    """
    longest: dict[str, int] = {}
    for layer, before in wiring(model):
        longest[layer.name] = _depth_of(layer) + max((longest[name] for name in before), default=0)
    return max(longest.values())


def seconds_per_picture(model: keras.Model, *, repeats: int = 3) -> float:
    """Time one picture through the compiled model, on this machine, as it is loaded now.

    Args:
        model: A model of a fixed input size.
        repeats: Runs of which the fastest counts; the one that compiles comes before.

    Returns:
        Seconds, measured from NumPy array to NumPy array.
    """
    picture = np.zeros((1, *model.input_shape[1:]), np.uint8)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.predict_on_batch(picture)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _has_kernel(layer: keras.Layer) -> bool:
    return any(weight.name.endswith("kernel") for weight in layer.weights)


def _depth_of(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return depth(layer)
    if isinstance(layer, layers.MultiHeadAttention):
        return 2
    return int(_has_kernel(layer))


def _multiply_adds_of(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if not _has_kernel(layer):
        return 0
    if isinstance(layer, layers.MultiHeadAttention):
        return _multiply_adds_of_attention(layer)
    # A kernel is applied once at each position of the output: pixels, or tokens.
    positions = _positions(layer.output.shape, layer.name)
    if isinstance(layer, layers.SeparableConv2D):
        return positions * (_size(layer.depthwise_kernel) + _size(layer.pointwise_kernel))
    if type(layer) in {layers.Conv2D, layers.DepthwiseConv2D, layers.Dense}:
        return positions * _size(layer.kernel)
    raise ValueError(
        f"{layer.name} is a {type(layer).__name__}, whose multiplications nobody has told "
        "cvlab.models.facts how to count: add a rule to _multiply_adds_of"
    )


def _multiply_adds_of_attention(layer: keras.Layer) -> int:
    query, *others = keras.tree.flatten(layer.input)
    asking = _positions(query.shape, layer.name)
    asked = _positions((others or [query])[0].shape, layer.name)
    maps = sum(
        tokens * _size(dense.kernel)
        for tokens, dense in (
            (asking, layer.query_dense),
            (asked, layer.key_dense),
            (asked, layer.value_dense),
            (asking, layer.output_dense),
        )
    )
    # Each token compares its query with all keys, then mixes all values, in every head.
    mixing: int = asking * asked * layer.num_heads * (layer.key_dim + layer.value_dim)
    return maps + mixing


def _positions(shape: tuple[int | None, ...], name: str) -> int:
    places = shape[1:-1]
    if None in places:
        raise ValueError(
            f"the output of {name} has no fixed size: build the model for pictures of one size, "
            "for example with input_shape=(224, 224, 3)"
        )
    return prod(place for place in places if place is not None)


def _size(weight: Any) -> int:
    shape: tuple[int, ...] = weight.shape
    return prod(shape)
