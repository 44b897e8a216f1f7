"""Several steps at a time train the same network."""

import keras
import numpy as np
import pytest

from cvlab.training.steps import steps_per_execution, train_in_steps


def trained(steps: int) -> list[np.ndarray]:
    """Weights after three epochs of seven steps, with dropout and a smaller last batch."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(52, 6)).astype("float32")
    layers = [keras.layers.Dense(9, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", steps_per_execution=steps)
    model.fit(x, x[:, :1], batch_size=8, epochs=3, verbose=0)
    return [np.asarray(weights) for weights in model.get_weights()]


@pytest.mark.parametrize("steps", [2, 7, 50])
def test_the_weights_are_the_same_bit_by_bit(steps: int) -> None:
    for one, several in zip(trained(1), trained(steps_per_execution(steps)), strict=True):
        np.testing.assert_array_equal(one, several)


def test_pytorch_takes_one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert steps_per_execution(20) == 1
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    assert steps_per_execution(20) == 20


def test_training_in_steps_is_fit_in_the_same_order() -> None:
    x = np.random.default_rng(0).normal(size=(52, 6)).astype("float32")
    y = x[:, :1] - x[:, 1:2]

    def new() -> keras.Model:
        keras.utils.set_random_seed(0)
        dense = [keras.layers.Dense(9, "relu"), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((6,)), *dense])
        model.compile(keras.optimizers.Adam(0.01), "mse")
        return model

    by_fit, in_steps = new(), new()
    orders = np.random.default_rng(3)
    for order in (orders.permutation(52), orders.permutation(52)):
        by_fit.fit(x[order], y[order], batch_size=8, shuffle=False, verbose=0)
    train_in_steps(in_steps, x, y, batch_size=8, epochs=2, seed=3)
    assert int(in_steps.optimizer.iterations) == 2 * 7
    for one, other in zip(by_fit.get_weights(), in_steps.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
