"""The layers of a network: each one inside it, and which takes the output of which.

Keras has `model.layers`, which does not look into models inside the model, and no list of the
connections. Cost, keys of stored features, freezing, explanations and diagrams all need both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import keras

Tensor: TypeAlias = Any  # Keras has no type for a tensor of whichever backend runs.

# What `describe` calls a layer; other kinds go by the name of their class.
_KINDS: Final = {
    **{"InputLayer": "input", "Rescaling": "scale", "Concatenate": "concatenate", "Add": "add"},
    **{"Conv2D": "convolution", "DepthwiseConv2D": "depthwise", "MaxPooling2D": "max pooling"},
    **{"Dense": "dense", "MultiHeadAttention": "attention", "Dot": "product"},
    **{"BatchNormalization": "batch norm.", "LayerNormalization": "layer norm."},
    **{"Activation": "activation", "Softmax": "softmax"},
}


def children(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers directly inside a layer or model, in their order; empty if none."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    # Keras shows the layers inside a layer that is not a model only under this name.
    return list(layer._flatten_layers(include_self=False, recursive=False))


def opened(layer: keras.Layer, *, models_only: bool = False) -> Iterator[tuple[str, keras.Layer]]:
    """Go through a layer or model and everything inside it, each layer once, outer ones first.

    Args:
        layer: A layer or model.
        models_only: Whether to look into models only. Layers inside other layers, such as the
            dense layers of `MultiHeadAttention`, are then left out.

    Yields:
        Path and layer, in the order of `model.layers`; first `layer` itself under the path "". A
        path is made of the names of the layers around and the layer's own, such as
        `vgg16/block5_conv1`. A second layer of this name in the same model gets the suffix `#2`.
        A layer that appears several times is listed under its first path only.
    """
    seen: set[keras.Layer] = set()

    def visit(layer: keras.Layer, path: str) -> Iterator[tuple[str, keras.Layer]]:
        if layer in seen:
            return
        seen.add(layer)
        yield path, layer
        if models_only and not isinstance(layer, keras.Model):
            return
        times: Counter[str] = Counter()
        for child in children(layer):
            times[child.name] += 1
            name = child.name if times[child.name] == 1 else f"{child.name}#{times[child.name]}"
            yield from visit(child, f"{path}/{name}".lstrip("/"))

    return visit(layer, "")


def layer_named(
    name: str, model: keras.Model, layers: Mapping[str, keras.Layer] | None = None
) -> keras.Layer:
    """Return the layer of a model that has a name.

    Args:
        name: Name of the layer.
        model: The model.
        layers: Layers by name; by default those directly inside the model.

    Raises:
        ValueError: If there is no such layer.
    """
    found = {one.name: one for one in model.layers} if layers is None else layers
    if name not in found:
        raise ValueError(f"{model.name} has no layer {name!r}; it has {', '.join(found)}")
    return found[name]


def only_layers(model: keras.Model) -> None:
    """Check that a model consists of layers alone.

    Raises:
        ValueError: If the model uses an operation that is not a layer, such as `x * 2`.
    """
    operations = getattr(model, "operations", ())  # a Sequential has none: it holds layers alone
    bare = [one.name for one in operations if not isinstance(one, keras.Layer)]
    if bare:
        raise ValueError(
            f"{model.name} uses {', '.join(bare)} between its layers, which a walk through the "
            "layers does not see: write it as a layer, such as Rescaling, Add or Lambda"
        )


def wiring(model: keras.Model) -> Iterator[tuple[keras.Layer, list[str]]]:
    """Go through the layers of a model, each with the names of the layers whose output it takes.

    Args:
        model: A sequential or functional model in which each layer runs once.

    Yields:
        Each layer after those it depends on; the input layer too where the model lists it.

    Raises:
        ValueError: If the model uses operations that are not layers; see `only_layers`.
    """
    only_layers(model)
    made_by = {
        id(tensor): layer.name
        for layer in model.layers
        for tensor in keras.tree.flatten(layer.output)
    }
    for layer in model.layers:
        taken = keras.tree.flatten(layer.input)
        # The input layer "takes" its own output; one tensor may be taken twice (self-attention).
        names = dict.fromkeys(made_by[id(t)] for t in taken if id(t) in made_by)
        yield layer, [name for name in names if name != layer.name]


def describe(layer: keras.Layer) -> str:
    """Describe a layer in two short lines, for a box of `cvlab.plots.diagram`.

    The first line is the kind of the layer, or the name its author gave it; the second its window
    and stride, where it has one, and the shape of its output.
    """
    kind = type(layer).__name__
    # Keras names a Conv2D conv2d, conv2d_1 and so on.
    given = re.sub(r"(_\d+)?$", "", layer.name).replace("_", "") != kind.lower()
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or ()
    shape = [str(size) for size in layer.output.shape[1:]]
    if len(shape) == 2:
        shape[0] += " tokens"
    details = [" × ".join(map(str, window)), f"→ {' × '.join(shape)}"]
    if getattr(layer, "strides", (1, 1))[0] > 1:
        details.insert(1, f"stride {layer.strides[0]}")
    return f"{layer.name if given else _KINDS.get(kind, kind)}\n{' '.join(filter(None, details))}"


def sketch(model: keras.Model) -> tuple[dict[str, str], list[tuple[str, str]], set[str]]:
    """Return what `cvlab.plots.diagrams` needs to draw a small model.

    Args:
        model: A sequential or functional model in which each layer runs once.

    Returns:
        The text of each layer's box by name (see `describe`), the arrows as pairs of names, and the
        names of the layers with weights.
    """
    found = list(wiring(model))
    boxes = {layer.name: describe(layer) for layer, _ in found}
    arrows = [(start, layer.name) for layer, before in found for start in before]
    return boxes, arrows, {layer.name for layer, _ in found if layer.count_params()}
