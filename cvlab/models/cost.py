"""What a network costs, read off its layers: depth, parameters, multiply-adds, memory.

The counts hold for any Keras model of a fixed input size. Where the field counts in more than one
way, the docstring says which way is used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, Final

import keras
import numpy as np
from keras import layers

from cvlab.models.graph import wiring

# Layers that apply their kernels once at each position of the output: pixels, or tokens.
_PLAIN: Final = {layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense}


@dataclass(frozen=True)
class Facts:
    """The counts of one network.

    Attributes:
        input_shape: Height, width and channels of an image.
        depth: See `depth`.
        parameters: Trainable and non-trainable ones, such as moving means.
        multiply_adds: See `multiply_adds`.
        megabytes: Memory of the weights, in units of 1,000,000 bytes.
    """

    input_shape: tuple[int, int, int]
    depth: int
    parameters: int
    multiply_adds: int
    megabytes: float


def facts(model: keras.Model) -> Facts:
    """Count everything that `Facts` lists.

    Args:
        model: A model whose input is images of one fixed size.

    Raises:
        ValueError: See `multiply_adds`.
    """
    size = sum(
        prod(weight.shape) * np.dtype(keras.backend.standardize_dtype(weight.dtype)).itemsize
        for weight in model.weights
    )
    return Facts(
        input_shape=model.input_shape[1:],
        depth=depth(model),
        parameters=model.count_params(),
        multiply_adds=multiply_adds(model),
        megabytes=size / 1e6,
    )


def multiply_adds(model: keras.Model) -> int:
    """Count the multiplications for one image, each with its addition.

    Convolutions, dense layers and attention count. Biases, normalization, activations, pooling and
    additions do not: together they are in the order of one percent. Windows that reach over the
    border of an image count in full. Papers count like this; tools that report FLOPs give twice as
    much.

    Args:
        model: A model of a fixed input size.

    Raises:
        ValueError: If the input size is not fixed, or there is no rule for a layer with a kernel.
    """
    return sum(_multiply_adds_of(layer) for layer in model.layers)


def depth(model: keras.Model) -> int:
    """Count the layers with a kernel on the longest path from the images to the output.

    This is the 16 in VGG16 and the 50 in ResNet50. A depthwise and a pointwise convolution count
    as two where they are two layers (MobileNet) and as one where they are one (`SeparableConv2D`,
    Xception). Attention counts as two: the maps into it and the one out of it.

    Args:
        model: A sequential or functional model.
    """
    longest: dict[str, int] = {}
    for layer, before in wiring(model):
        longest[layer.name] = _depth_of(layer) + max((longest[name] for name in before), default=0)
    return max(longest.values())


def steps(model: keras.Model) -> list[tuple[str, int]]:
    """Return kind and height of the output for each step of the depth, from input to output.

    Where several layers are equally deep, such as the branches of an inception module, the first
    one counts.

    Args:
        model: A sequential or functional model of a fixed input size.

    Returns:
        `depth(model)` pairs of a kind (`convolution`, `depthwise or separable`, `attention` or
        `dense`) and the height of the feature map in spatial positions. Tokens count as a square
        of patches; the output of a dense layer on flattened features has the height 1.
    """
    longest: dict[str, int] = {}
    found: dict[int, tuple[str, int]] = {}
    for layer, before in wiring(model):
        start = max((longest[name] for name in before), default=0)
        longest[layer.name] = start + _depth_of(layer)
        for step in range(start, longest[layer.name]):
            found.setdefault(step, (_kind(layer), _height(layer.output.shape)))
    return [found[step] for step in range(len(found))]


def _kind(layer: keras.Layer) -> str:
    if isinstance(layer, layers.MultiHeadAttention):
        return "attention"
    if isinstance(layer, layers.Dense):
        return "dense"
    separable = isinstance(layer, layers.DepthwiseConv2D | layers.SeparableConv2D)
    return "depthwise or separable" if separable else "convolution"


def _height(shape: tuple[int, ...]) -> int:
    if len(shape) == 4:
        return shape[1]
    return isqrt(shape[1]) if len(shape) == 3 else 1


def _kernels(layer: keras.Layer) -> list[tuple[int, ...]]:
    """Return the shape of every kernel of a layer; two for a separable convolution."""
    return [weight.shape for weight in layer.weights if weight.name.endswith("kernel")]


def _depth_of(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return depth(layer)
    return 2 if isinstance(layer, layers.MultiHeadAttention) else int(bool(_kernels(layer)))


def _multiply_adds_of(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if not _kernels(layer):
        return 0
    if isinstance(layer, layers.MultiHeadAttention):
        return _multiply_adds_of_attention(layer)
    if type(layer) in _PLAIN:
        return _positions(layer.output.shape, layer.name) * sum(map(prod, _kernels(layer)))
    raise ValueError(
        f"there is no rule for the multiplications of {layer.name}, a {type(layer).__name__}: "
        "add one to _multiply_adds_of in cvlab.models.cost"
    )


def _multiply_adds_of_attention(layer: keras.Layer) -> int:
    query, *others = keras.tree.flatten(layer.input)
    queries = _positions(query.shape, layer.name)
    keys = _positions((others or [query])[0].shape, layer.name)
    # In every head, each query is compared with all keys, and all values are averaged for it.
    compared = queries * keys * layer.num_heads * (layer.key_dim + layer.value_dim)
    of_queries, of_keys = (
        sum(prod(dense.kernel.shape) for dense in maps)
        for maps in ((layer.query_dense, layer.output_dense), (layer.key_dense, layer.value_dense))
    )
    return int(compared + queries * of_queries + keys * of_keys)


def _positions(shape: tuple[Any, ...], name: str) -> int:
    if None in shape[1:-1]:
        raise ValueError(
            f"the output of {name} has no fixed size: build the model for images of one size, "
            "for example with input_shape=(224, 224, 3)"
        )
    return int(prod(shape[1:-1]))
