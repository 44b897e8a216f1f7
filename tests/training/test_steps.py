"""Several steps at a time train the same network."""

import keras
import numpy as np
import pytest

from cvlab.training.steps import steps_per_execution


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
