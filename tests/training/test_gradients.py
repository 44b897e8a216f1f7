"""Gradients read from the optimizer, against gradients worked out by hand."""

import keras
import numpy as np
import pytest

from cvlab.training.gradients import Probe, gradients


def regression() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), Probe(8), keras.layers.Dense(2)])
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(8, 3)).astype("f"), rng.normal(size=(8, 2)).astype("f")


def test_linear_regression_by_hand() -> None:
    model, x, y = regression()
    weights = np.asarray(keras.ops.convert_to_numpy(model.layers[1].kernel))
    found = gradients(model, x, y, "mse")
    for_outputs = 2 * (x @ weights - y) / y.size
    expected = (for_outputs @ weights.T, x.T @ for_outputs, for_outputs.sum(0))
    assert list(found) == [weight.path for weight in model.trainable_weights]
    for gradient, truth in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(gradient, truth, atol=1e-6)


def test_nothing_about_the_model_changes() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    model.compile("adam", "mae")
    before, optimizer = model.get_weights(), model.optimizer
    x = np.random.default_rng(0).normal(3, 1, size=(8, 3))
    gradients(model, x, np.zeros((8, 2)), "mse")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.optimizer is optimizer
    assert model.loss == "mae"


def test_tiny_gradients_are_not_rounded_away() -> None:
    model, x, y = regression()
    found = gradients(model, x, y, lambda target, output: 1e-20 * keras.ops.sum(output))
    np.testing.assert_allclose(
        found[model.layers[1].kernel.path], 1e-20 * x.sum(0)[:, None].repeat(2, 1), rtol=1e-5
    )


def test_probe_changes_nothing_and_can_be_saved() -> None:
    layer = keras.layers.deserialize(keras.layers.serialize(Probe(4)))
    x = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), x)
    assert layer.zeros.shape == (4, 2)


def test_frozen_model_is_refused() -> None:
    model = regression()[0]
    model.trainable = False
    with pytest.raises(ValueError, match="no trainable weight"):
        gradients(model, np.zeros((8, 3)), np.zeros((8, 2)), "mse")


def test_weights_of_one_name_are_refused() -> None:
    x = regression()[1]
    parts = []
    for name in ("one", "other"):
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(3, name="same")(inputs)
        parts.append(keras.Model(inputs, outputs, name=name))
    twice = keras.Sequential([keras.Input((3,)), *parts])
    with pytest.raises(ValueError, match=r"more than one trainable weight called same/kernel"):
        gradients(twice, x, np.zeros((8, 3)), "mse")
