"""A small network to freeze and train, and what moved in it by Keras's own lists."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cvlab.transfer import freezing

only_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only the TensorFlow backend is silent here"
)


def numbers(count: int = 32, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, size=(count, width)).astype("float32")
    return x, rng.normal(size=(count, 1)).astype("float32")


def network() -> keras.Model:
    """A base with BatchNorm, inside a model with a head."""
    base = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, name="early"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(4, name="late"),
        ],
        name="base",
    )
    return keras.Sequential([keras.Input((6,)), base, layers.Dense(1, name="head")], name="model")


def compiled(frozen: bool = True) -> keras.Model:
    model = network()
    if frozen:
        freezing.freeze(model.get_layer("base"))
    model.compile("rmsprop", "mse")
    return model


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback, **options: Any) -> None:
    model.fit(*numbers(), verbose=0, callbacks=list(callbacks), **options)


def copies(model: keras.Model) -> list[np.ndarray]:
    """The weights by Keras's own list, independent of the module under test."""
    return [array.copy() for array in model.get_weights()]


def which_moved(model: keras.Model, before: list[np.ndarray]) -> set[str]:
    """Names of the layers with a weight that is not what it was."""
    paths = [weight.path.split("/")[-2] for weight in model.weights]
    return {
        path
        for path, old, new in zip(paths, before, model.get_weights(), strict=True)
        if not np.array_equal(old, new)
    }
