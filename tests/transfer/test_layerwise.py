"""Layer-wise learning rates: each weight moves by its factor, the factors fall geometrically."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from cvlab.transfer.layerwise import LayerwiseAdam, falling_factors


def chain(layers: int) -> keras.Sequential:
    keras.utils.set_random_seed(0)
    parts = [keras.layers.Dense(3, name=f"dense{k}") for k in range(layers)]
    return keras.Sequential([keras.Input((3,)), *parts], name="chain")


def moved(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    """By weight, how far one step moves it."""
    network = chain(3)
    before = network.get_weights()
    network.compile(optimizer, "mse")
    x = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
    network.fit(x, 10 + x, batch_size=8, epochs=1, verbose=0)
    return [new - old for new, old in zip(network.get_weights(), before, strict=True)]


def test_a_step_is_that_of_adam_times_the_factor() -> None:
    factors = falling_factors(chain(3), 0.01)
    plain = moved(keras.optimizers.Adam(1e-2))
    scaled = moved(LayerwiseAdam(factors, 1e-2))
    for old, new, factor in zip(plain, scaled, [0.01, 0.01, 0.1, 0.1, 1, 1], strict=True):
        np.testing.assert_allclose(new, factor * old, rtol=1e-2, atol=1e-6)


def test_factors_fall_by_a_constant_ratio_and_a_layer_shares_its_own() -> None:
    network = chain(5)
    factors = falling_factors(network, 1e-4)
    assert factors.keys() == {weight.path for weight in network.trainable_weights}
    kernels = [factors[layer.kernel.path] for layer in network.layers]
    assert kernels == [factors[layer.bias.path] for layer in network.layers]
    assert kernels[0] == pytest.approx(1e-4) and kernels[-1] == 1
    assert [b / a for a, b in pairwise(kernels)] == pytest.approx([10] * 4)


def test_frozen_layers_have_no_factor_and_one_layer_has_one() -> None:
    network = chain(2)
    network.layers[0].trainable = False
    assert set(falling_factors(network, 0.5).values()) == {1.0}


@pytest.mark.parametrize("lowest", [0, -1, 1.5])
def test_a_factor_beyond_its_range_is_refused(lowest: float) -> None:
    with pytest.raises(ValueError, match="more than 0 and at most 1"):
        falling_factors(chain(2), lowest)


def test_it_can_be_saved() -> None:
    optimizer = LayerwiseAdam({"dense0/kernel": 0.5}, 1e-3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert isinstance(again, LayerwiseAdam)
    assert again.factors == {"dense0/kernel": 0.5}
