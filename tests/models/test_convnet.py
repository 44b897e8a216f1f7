"""The small convnet is the lecture's table."""

from typing import Any

import keras
import numpy as np
import pytest

from cvlab.models import small_cnn


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def test_small_cnn_is_the_lectures_table() -> None:
    rows = [
        (layer.output.shape[1:], layer.count_params())
        for layer in small_cnn(150).layers
        if layer.name != "rescaling"
    ]
    assert rows == [
        ((148, 148, 32), 896),
        ((74, 74, 32), 0),
        ((72, 72, 64), 18496),
        ((36, 36, 64), 0),
        ((34, 34, 128), 73856),
        ((17, 17, 128), 0),
        ((15, 15, 128), 147584),
        ((7, 7, 128), 0),
        ((6272,), 0),
        ((512,), 3211776),
        ((1,), 513),
    ]
    assert small_cnn(150).count_params() == 3453121


def test_small_cnn_answers_in_float32_under_a_mixed_policy() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = small_cnn(64)
    finally:
        keras.config.set_dtype_policy(before)
    assert {layer.compute_dtype for layer in network.layers[1:-1]} == {"bfloat16"}
    assert network.layers[-1].compute_dtype == "float32"
    assert {variable.dtype for variable in network.weights} == {"float32"}
    answer = network(np.zeros((2, 64, 64, 3), "uint8"))
    assert keras.backend.standardize_dtype(answer.dtype) == "float32"


def test_small_cnn_takes_augmentation_and_dropout() -> None:
    network = small_cnn(64, dropout=0.5, augmentation=keras.layers.RandomFlip(name="augment"))
    names = [type(layer).__name__ for layer in network.layers]
    assert names[0] == "RandomFlip" and names[-3:] == ["Dropout", "Dense", "Dense"]
    assert network.layers[-3].rate == 0.5


def test_small_cnn_rescales_once(pictures: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    network = small_cnn(64)
    first = keras.Model(network.inputs[0], network.layers[1].output)
    kernel, bias = network.layers[1].get_weights()
    patch = pictures[0, :3, :3].astype(np.float64) / 255
    by_hand = np.maximum(np.einsum("hwc,hwcf->f", patch, kernel) + bias, 0)
    np.testing.assert_allclose(array(first(pictures))[0, 0, 0], by_hand, atol=1e-5)


def test_small_cnn_needs_46_pixels() -> None:
    assert small_cnn(46).output_shape == (None, 1)
    with pytest.raises(ValueError, match="below 46"):
        small_cnn(45)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5])
def test_a_dropout_that_is_no_share_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match="dropout"):
        small_cnn(64, dropout=dropout)
