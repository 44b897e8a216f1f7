"""A folded network computes what the network did; its own `predict` is the truth."""

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cvlab.models import load_base
from cvlab.models.folding import fold_batch_norms

pytestmark = pytest.mark.usefixtures("eager")

# Base: BatchNormalization layers, and those that follow something else than a plain convolution.
BASES = {
    "MobileNet(alpha=0.25)": (27, 0),
    "MobileNetV3Small": (34, 0),
    # Some stand before the convolution, and the shortcut takes the first one's output.
    "ResNet50V2": (49, 17),
}


def norms(network: keras.Model) -> list[layers.Layer]:
    return [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]


def trained(network: keras.Model) -> keras.Model:
    """Give every BatchNormalization weights and moments as if it had been trained."""
    rng = np.random.default_rng(0)
    for norm in norms(network):
        norm.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
    return network


def some(network: keras.Model) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (2, *network.input_shape[1:]))


def check_same(network: keras.Model, copy: keras.Model) -> None:
    images = some(network)
    expected = network.predict(images, verbose=0)
    assert expected.std() > 1e-6
    found = copy.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize("name", BASES)
def test_bases_compute_the_same(name: str) -> None:
    base = trained(load_base(name, 96, None))
    copy = fold_batch_norms(base)
    assert (len(norms(base)), len(norms(copy))) == BASES[name]
    check_same(base, copy)
    assert copy.name == base.name
    assert len(norms(base)) == BASES[name][0]  # the base itself is as it was


def test_the_weights_by_hand() -> None:
    """3 x + 1, then (y - 4) / sqrt(0.25) * 5 + 2, is 30 x - 28 (epsilon 0)."""
    network = keras.Sequential(
        [keras.Input((1, 1, 1)), layers.Conv2D(1, 1), layers.BatchNormalization(epsilon=0)]
    )
    convolution, norm = network.layers
    convolution.set_weights([np.full((1, 1, 1, 1), 3), np.ones(1)])
    norm.set_weights([np.full(1, value) for value in (5, 2, 4, 0.25)])
    copy = fold_batch_norms(keras.Model(network.inputs, network.outputs))
    assert [weight.item() for weight in copy.get_weights()] == [30, -28]


def after(*middle: Callable[[Any], Any], **options: Any) -> keras.Model:
    """A convolution, layers, and a BatchNormalization with options."""
    x = inputs = keras.Input((8, 8, 3))
    for layer in (layers.Conv2D(8, 3), *middle):
        x = layer(x)
    return keras.Model(inputs, layers.BatchNormalization(**options)(x))


def shared() -> keras.Model:
    """One convolution of two inputs, of which one is normalized."""
    convolution, inputs = layers.Conv2D(3, 3, padding="same"), keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.BatchNormalization()(convolution(convolution(inputs))))


def branched() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3)(inputs)
    return keras.Model(inputs, layers.Add()([x, layers.BatchNormalization()(x)]))


def both_wanted() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3)(inputs)
    return keras.Model(inputs, [x, layers.BatchNormalization()(x)])


@pytest.mark.parametrize(
    "build",
    [
        shared,
        branched,
        both_wanted,
        lambda: after(layers.ReLU()),
        lambda: after(layers.MaxPooling2D()),
        lambda: after(axis=1),
        lambda: keras.Model(start := keras.Input((8, 8, 3)), layers.Flatten()(start)),
    ],
)
def test_what_would_compute_something_else_stays(build: Callable[[], keras.Model]) -> None:
    network = build()
    assert fold_batch_norms(network) is network


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"epsilon": 0.3}])
def test_options_of_the_layer(options: dict[str, Any]) -> None:
    network = trained(after(**options))
    copy = fold_batch_norms(network)
    assert not norms(copy)
    check_same(network, copy)


def test_models_inside_stay_as_they_are() -> None:
    inner = trained(after())
    inputs = keras.Input((8, 8, 3))
    outputs = layers.BatchNormalization()(layers.Conv2D(2, 1)(inner(inputs)))
    network = keras.Model(inputs, outputs)
    copy = fold_batch_norms(trained(network))
    assert not norms(copy)
    assert norms(copy.layers[1])
    check_same(network, copy)


def test_another_policy() -> None:
    """The copy computes in bfloat16; its weights, and the network, stay as they are."""
    network = trained(after(layers.ReLU()))  # nothing to fold
    copy = fold_batch_norms(network, dtype="mixed_bfloat16")
    assert {layer.compute_dtype for layer in copy.layers[1:]} == {"bfloat16"}
    assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}
    images = some(network)
    expected, found = (np.asarray(one.predict(images, verbose=0)) for one in (network, copy))
    assert 0 < abs(found.astype("float32") - expected).max() < 0.05 * abs(expected).max()
    for one, other in zip(copy.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_random_numbers_are_as_without() -> None:
    network = after()
    random.seed(0)
    fold_batch_norms(network)
    moved = random.random()
    random.seed(0)
    assert moved == random.random()
