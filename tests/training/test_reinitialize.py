"""A reinitialized network trains like a new one."""

import keras
import numpy as np
import pytest

from cvlab.training.reinitialize import reinitialize


def network() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 4)), rng.normal(size=(32, 1))


def used_network() -> keras.Model:
    """A trained network: on JAX and PyTorch the very first `fit` draws one order more."""
    model, (x, y) = network(), data()
    model.fit(x, y, epochs=2, verbose=0)
    return model


def test_second_run_equals_the_first() -> None:
    (x, y) = data()
    model = used_network() if keras.backend.backend() != "tensorflow" else network()
    runs = []
    for seed in (1, 2, 1):
        reinitialize(model, seed)
        runs.append(model.fit(x, y, batch_size=8, epochs=3, verbose=0).history["loss"])
    assert runs[0] == runs[2]
    assert runs[0] != runs[1]


def test_reinitialized_equals_new() -> None:
    (x, y), losses = data(), []
    new = used_network() if keras.backend.backend() != "tensorflow" else network()
    for model in (used_network(), new):
        reinitialize(model, 5)
        losses.append(model.fit(x, y, batch_size=8, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_the_learning_rate_stays() -> None:
    model = network()
    model.optimizer.learning_rate = 0.5
    reinitialize(model, 0)
    assert float(model.optimizer.learning_rate) == 0.5


def test_a_model_without_optimizer_gets_new_weights() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    reinitialize(model, 0)
    first = model.get_weights()[0]
    reinitialize(model, 1)
    assert not np.array_equal(first, model.get_weights()[0])
    reinitialize(model, 0)
    np.testing.assert_array_equal(first, model.get_weights()[0])


def test_a_loss_that_keras_cannot_copy_is_no_obstacle() -> None:
    model = network()
    model.compile("sgd", lambda target, output: keras.ops.mean((target - output) ** 2))
    reinitialize(model, 0)
    assert np.isfinite(model.fit(*data(), verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.Adagrad, keras.optimizers.Ftrl, keras.optimizers.Nadam]
)
def test_what_does_not_start_from_zero_is_refused(
    optimizer: type[keras.optimizers.Optimizer],
) -> None:
    model = network()
    model.compile(optimizer(0.01), "mse")
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"{optimizer.__name__} does not start from zero"):
        reinitialize(model, 1)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Adadelta", "Lion"])
def test_all_others_do_start_from_zero(name: str) -> None:
    optimizer = getattr(keras.optimizers, name)(0.01)
    optimizer.build(network().trainable_variables)
    for variable in optimizer.variables:
        if variable is not optimizer._learning_rate:
            assert not np.any(keras.ops.convert_to_numpy(variable)), variable.path
