"""Freezing that cannot fail silently: set the flags, print them, guard the training.

Keras reads a layer's `trainable` flag when it builds a training step, which is not when `compile`
is called, and says nothing when the two differ. So there are three ways to be sure: `table` prints
what trains, `Guard` stops a training whose flags are not those of `compile`, and `moved` tells
which weights moved since a `snapshot`.
"""

from itertools import groupby

import keras
import numpy as np

from cvlab.models.graph import children, opened
from cvlab.transfer.guard import Guard
from cvlab.transfer.weights import Held, Snapshot, check_built, held_weights, moved, snapshot

__all__ = ["Guard", "Snapshot", "freeze", "moved", "snapshot", "table", "unfreeze_from"]


def freeze(base: keras.Layer) -> None:
    """Freeze all weights of a layer or model; its BatchNormalization runs in inference mode.

    Call it before `compile`. It reaches every layer inside. `base.trainable = False` does not
    always: on the TensorFlow backend an assignment of the value that the flag already has is
    skipped, so layers inside that were set one by one stay as they are.

    Args:
        base: A built layer or model, on its own or inside another model.

    Raises:
        TypeError: If `base` is not a layer.
        ValueError: If `base` is not built: layers made later would train.
    """
    check_built(base)
    for _, layer in opened(base):
        _set_flag(layer, trainable=False)


def unfreeze_from(base: keras.Model, layer_name: str) -> None:
    """Unfreeze a base from one layer to the end, and freeze what comes before (lecture step 24).

    "Before" and "to the end" are the order of `base.layers`, models inside opened. Call it before
    `compile`. BatchNormalization stays frozen throughout, and so in inference mode: otherwise the
    few images of a batch would replace the statistics of the pretraining.

    Args:
        base: A built model, on its own or inside another one, whose other layers keep their flags.
        layer_name: The first layer that trains, for example `block5_conv1`; where layers of
            several models inside `base` share the name, with those models: `left/conv`.

    Raises:
        TypeError: If `base` is not a layer.
        ValueError: If `base` is not built, if it has no such layer or several, or if there is no
            weight to train from there on.
    """
    check_built(base)
    parts = dict(opened(base))
    models = [path for path, layer in parts.items() if isinstance(layer, keras.Model)]
    # Layers inside a layer that is not a model, such as attention, train or freeze together.
    named = [path for path in parts if path and path.rpartition("/")[0] in models]
    matches = [path for path in named if layer_name in (path, path.rpartition("/")[2])]
    if len(matches) != 1:
        what = f"{len(matches)} layers called" if matches else "no layer called"
        raise ValueError(
            f"{base.name} has {what} {layer_name!r}: name one of {', '.join(matches or named)}"
        )
    order = list(parts)
    first = order.index(matches[0])
    training = {
        path
        for path in order[first:]
        if path not in models and not isinstance(parts[path], keras.layers.BatchNormalization)
    }
    if not any(parts[path].weights for path in training):
        earlier = [path for path in order[:first] if path in named and parts[path].weights]
        raise ValueError(
            f"from {layer_name} on {base.name} has no weight to train (BatchNormalization stays "
            f"frozen): name an earlier layer, one of {', '.join(earlier) or 'none'}"
        )
    # A flag counts only if all layers and models around it are trainable too.
    training |= {
        outer
        for outer in order
        if any(path.startswith(f"{outer}/".lstrip("/")) for path in training)
    }
    # Layers that hold others first: their flag is handed down to what they hold.
    for path, layer in sorted(parts.items(), key=lambda part: not children(part[1])):
        _set_flag(layer, trainable=path in training)


def _set_flag(layer: keras.Layer, *, trainable: bool) -> None:
    # On the TensorFlow backend an assignment of the value that is there already is skipped before
    # it reaches the layer's weights.
    layer.trainable = not trainable
    layer.trainable = trainable


def table(model: keras.Model) -> str:
    """Describe what trains and what does not: one row per layer with weights, and totals.

    Models inside the model are opened, and layers without weights are left out. "2 of 4 train"
    says that only some of a layer's weights do; the others of a BatchNormalization are its moving
    statistics, which move in training, but not by gradients.

    Args:
        model: A built model.

    Returns:
        Lines with a layer, its number of weights (arrays), of parameters (numbers), and its state.

    Raises:
        TypeError: If `model` is not a model.
        ValueError: If the model is not built.
    """
    check_built(model)
    held = held_weights(model)
    layers = {path: list(group) for path, group in groupby(held, key=lambda one: one.path)}
    width = max(map(len, [*layers, "of these train"]))

    def row(name: str, weights: list[Held], state: str = "") -> str:
        parameters = sum(int(np.prod(one.weight.shape)) for one in weights)
        return f"{name:<{width}}  {len(weights):>7}  {parameters:>11,}  {state}".rstrip()

    lines = [
        f"{'layer':<{width}}  weights   parameters",
        *(row(path, weights, _state(weights)) for path, weights in layers.items()),
        "-" * (width + 22),
        row("total", held),
        row("of these train", [one for one in held if one.trains]),
    ]
    return "\n".join(lines)


def _state(held: list[Held]) -> str:
    """Describe whether the weights of one layer train."""
    layer, training = held[0].layer, sum(one.trains for one in held)
    states = {0: "frozen", len(held): "trains"}
    state = states.get(training, f"{training} of {len(held)} train")
    if isinstance(layer, keras.layers.BatchNormalization):
        state += ", statistics of the batch" if layer.trainable else ", inference mode"
    return state
