"""What pictures and a network are, as digests: the keys of what was made of them.

Something else has another key, so nothing that is kept on disk is ever stale.
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

# Their code is known by the version of Keras.
_LIBRARIES: Final = {"keras", "tensorflow", "jax", "flax", "torch", "builtins", "abc", "typing"}


def of_network(network: keras.Model) -> list[object]:
    """Say what a network computes: its layers, how they hang together, their code and weights.

    Args:
        network: A built model. Names of layers make no difference, nor do flags `trainable`.

    Returns:
        What JSON can write, for `cvlab.cache.key_of`.

    Raises:
        ValueError: If the code of a layer that is not Keras's cannot be read.
    """
    weights = sha256()
    for weight in network.weights:
        array = np.ascontiguousarray(ops.convert_to_numpy(weight))
        weights.update(f"{array.dtype} {array.shape}".encode())
        weights.update(array.data)
    return [*of_plan(network), weights.hexdigest()]


def of_plan(network: keras.Model) -> list[object]:
    """Say what a network would compute with given weights; see `of_network`."""
    plan = _nameless(json.loads(network.to_json())["config"], {})
    return [plan, sorted(set(_own_code(network)))]


def _own_code(network: keras.Model) -> Iterator[str]:
    """The source of the layers that are not Keras's, also of those inside others."""
    for _, layer in opened(network):
        for kind in type(layer).__mro__:
            if kind.__module__.partition(".")[0] in _LIBRARIES:
                continue
            try:
                yield inspect.getsource(kind)
            except (OSError, TypeError) as error:
                raise ValueError(
                    f"the code of layer {layer.name} ({kind.__name__}) cannot be read, so that a "
                    "change in it would go unnoticed: define the class in a module or a notebook"
                ) from error


def _nameless(config: Any, numbers: Mapping[str, int]) -> Any:
    """Put numbers in place of the layers' names, which change from run to run.

    What trains is left out too: it makes no difference to what the network puts out.

    Args:
        config: A model's configuration, or a part of it.
        numbers: Of the layers of the model around, by name.
    """
    if isinstance(config, list):
        return [_nameless(one, numbers) for one in config]
    if not isinstance(config, dict):
        return config
    if isinstance(config.get("layers"), list):
        numbers = {layer["config"]["name"]: i for i, layer in enumerate(config["layers"])}
        layers = [
            {
                **layer,
                "name": None,
                "config": {**layer["config"], "name": None, "trainable": None},
            }
            for layer in config["layers"]
        ]
        config = {**config, "layers": layers, "name": None, "trainable": None}
        for ends in ("input_layers", "output_layers"):
            config[ends] = _numbered(config.get(ends), numbers)
    found = {key: _nameless(value, numbers) for key, value in config.items()}
    if "keras_history" in found:
        found["keras_history"] = _numbered(found["keras_history"], numbers)
    return found


def _numbered(place: Any, numbers: Mapping[str, int]) -> Any:
    if isinstance(place, list):
        return [_numbered(one, numbers) for one in place]
    return numbers.get(place, place) if isinstance(place, str) else place
