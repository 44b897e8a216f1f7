"""Digests of networks, for the keys of files in the cache.

Another architecture, other code or other weights give another key, so a file in the cache is never
out of date.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from cvlab.models.graph import opened

# The version of Keras stands for their code.
_LIBRARIES: Final = {"keras", "tensorflow", "jax", "flax", "torch", "builtins", "abc", "typing"}


def of_network(network: keras.Model) -> list[object]:
    """Describe what a network computes: its layers, their connections, code and weights.

    Args:
        network: A built model. Names of layers and `trainable` flags make no difference.

    Returns:
        What JSON can write, for `cvlab.cache.key_of`.

    Raises:
        ValueError: If the code of a layer that is not from Keras cannot be read.
    """
    weights = sha256()
    for weight in network.weights:
        array = np.ascontiguousarray(ops.convert_to_numpy(weight))
        weights.update(f"{array.dtype} {array.shape}".encode())
        weights.update(array.data)
    return [*of_plan(network), weights.hexdigest()]


def of_plan(network: keras.Model) -> list[object]:
    """Describe a network without its weights; see `of_network`."""
    plan = _nameless(json.loads(network.to_json())["config"], {})
    return [plan, sorted(set(_own_code(network)))]


def _own_code(network: keras.Model) -> Iterator[str]:
    """Yield the source code of the classes that are not from Keras, also inside other layers."""
    for _, layer in opened(network):
        for kind in type(layer).__mro__:
            if kind.__module__.partition(".")[0] in _LIBRARIES:
                continue
            try:
                yield inspect.getsource(kind)
            except (OSError, TypeError) as error:
                raise ValueError(
                    f"the code of layer {layer.name} ({kind.__name__}) cannot be read, so a change "
                    "in it would go unnoticed: define the class in a module or a notebook"
                ) from error


def _nameless(config: Any, numbers: Mapping[str, int]) -> Any:
    """Replace the names of layers, which change from run to run, by numbers.

    `trainable` is left out too: it makes no difference to the output.

    Args:
        config: A model's configuration, or a part of it.
        numbers: The number of each layer of the surrounding model, by name.
    """
    if isinstance(config, list):
        return [_nameless(one, numbers) for one in config]
    if not isinstance(config, dict):
        return config
    if isinstance(config.get("layers"), list):
        numbers = {layer["config"]["name"]: i for i, layer in enumerate(config["layers"])}
        layers = [
            {**layer, "name": None, "config": {**layer["config"], "name": None, "trainable": None}}
            for layer in config["layers"]
        ]
        config = {**config, "layers": layers, "name": None, "trainable": None}
        for ends in ("input_layers", "output_layers"):
            config[ends] = _numbered(config.get(ends), numbers)
    found = {key: _nameless(value, numbers) for key, value in config.items()}
    if "keras_history" in found:
        found["keras_history"] = _numbered(found["keras_history"], numbers)
    return found


def _numbered(part: Any, numbers: Mapping[str, int]) -> Any:
    if isinstance(part, list):
        return [_numbered(one, numbers) for one in part]
    return numbers.get(part, part) if isinstance(part, str) else part
