"""The weights of a model by name: which layer holds each one, whether it trains, how far it moved.

A weight is named by its path, as in `cvlab.training.gradients`, for example `block5_conv1/kernel`.
Where a model holds two weights of one path (a base and its clone), the names of the models around
them are put in front.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from cvlab.models.graph import Tensor, children, opened

Snapshot: TypeAlias = dict[str, NDArray[Any]]


class Held(NamedTuple):
    """A weight and the innermost layer that holds it.

    Attributes:
        name: What the weight is called in snapshots and messages.
        weight: The variable.
        trains: Whether it is one of the model's trainable weights.
        layer: The layer.
        path: Names of the layer and of the models around it, such as `base/late`.
    """

    name: str
    weight: Tensor
    trains: bool
    layer: keras.Layer
    path: str


def held_weights(model: keras.Model) -> list[Held]:
    """Return each weight of a model once, in the order of its layers."""
    places: dict[int, tuple[Tensor, keras.Layer, str]] = {}
    for path, layer in opened(model):
        inside = {id(weight) for child in children(layer) for weight in child.weights}
        for weight in layer.weights:
            if id(weight) not in inside:
                places.setdefault(id(weight), (weight, layer, path or layer.name))
    times = Counter(weight.path for weight, _, _ in places.values())
    training = {id(weight) for weight in model.trainable_weights}
    return [
        Held(
            weight.path if times[weight.path] == 1 else f"{path}/{weight.name}",
            weight,
            id(weight) in training,
            layer,
            path,
        )
        for weight, layer, path in places.values()
    ]


def check_built(layer: keras.Layer) -> None:
    """Check that a layer or model has its weights.

    Raises:
        TypeError: If it is not a layer.
        ValueError: If it is not built.
    """
    if not isinstance(layer, keras.Layer):
        raise TypeError(f"{layer!r} is not a layer or model: pass the base itself, not its name")
    if not layer.built:
        raise ValueError(
            f"{layer.name} is not built, so its weights do not exist yet: give the model a "
            "keras.Input, or call it once"
        )


def snapshot(model: keras.Model) -> Snapshot:
    """Return copies of all weights, moving statistics included, by path.

    Args:
        model: A built model.

    Returns:
        Arrays of each weight's own shape and dtype, independent of the model.
    """
    return {one.name: np.array(ops.convert_to_numpy(one.weight)) for one in held_weights(model)}


def moved(model: keras.Model, before: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Return how far each weight has moved since a snapshot.

    Args:
        model: The model of which `before` is a snapshot.
        before: From `snapshot`.

    Returns:
        By path, only for weights that differ by at least one bit: the norm of the change divided
        by the norm of the weight before or after, whichever is larger. So 0.01 is a change by one
        percent, and a bias that started at zero has 1.

    Raises:
        ValueError: If `before` is a snapshot of another model.
    """
    now = snapshot(model)
    shapes = [{(path, array.shape) for path, array in one.items()} for one in (before, now)]
    if other := sorted({path for path, _ in shapes[0] ^ shapes[1]}):
        raise ValueError(
            f"the snapshot is not one of {model.name}: they differ in {', '.join(other)}; take "
            "snapshot(model) of the same model before the training"
        )
    return {
        path: _relative_change(before[path], array)
        for path, array in now.items()
        if before[path].tobytes() != array.tobytes()
    }


def _relative_change(before: NDArray[Any], after: NDArray[Any]) -> float:
    old, new = before.astype(np.float64), after.astype(np.float64)
    length = max(np.linalg.norm(old), np.linalg.norm(new))
    return float(np.linalg.norm(new - old) / length) if length else 0.0
