"""Normalization: the formula by hand against Keras, and weight normalization against its paper."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cvlab.training.gradients import Probe, gradients
from cvlab.training.normalization import (
    GhostBatchNormalization,
    WeightNormalization,
    standardize,
    standardize_gradient,
)

AXES = {"batch": (0, 1, 2), "layer": (1, 2, 3), "instance": (1, 2)}


def feature_maps(seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(5, 4, 3, 6)) * rng.uniform(0.5, 3, 6) + 2).astype(np.float32)


def keras_layer(kind: str) -> keras.layers.Layer:
    return {
        "batch": keras.layers.BatchNormalization(),
        "layer": keras.layers.LayerNormalization(axis=(1, 2, 3)),
        "instance": keras.layers.GroupNormalization(groups=-1),
    }[kind]


@pytest.mark.parametrize("kind", AXES)
def test_standardize_is_what_the_keras_layer_does(kind: str) -> None:
    x = feature_maps()
    layer = keras_layer(kind)
    expected = keras.ops.convert_to_numpy(layer(x, training=True))
    np.testing.assert_allclose(standardize(x, AXES[kind]), expected, atol=1e-5)


@pytest.mark.parametrize("kind", AXES)
def test_gradient_is_what_keras_backpropagates(kind: str) -> None:
    x = feature_maps()
    upstream = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    model = keras.Sequential([keras.Input(x.shape[1:]), Probe(len(x)), keras_layer(kind)])
    found = gradients(model, x, upstream, lambda g, y: keras.ops.sum(g * y))
    expected = found[model.layers[0].zeros.path]
    np.testing.assert_allclose(standardize_gradient(x, upstream, AXES[kind]), expected, atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), axes=st.sampled_from([(0,), (1,), (0, 1)]))
def test_gradient_is_the_slope(seed: int, axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    x, upstream, direction = rng.normal(size=(3, 4, 3))
    step = 1e-5
    ahead, behind = (standardize(x + sign * step * direction, axes) for sign in (1, -1))
    slope = float((upstream * (ahead - behind)).sum() / (2 * step))
    gradient = standardize_gradient(x, upstream, axes)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-4, abs=1e-5)


def test_standardized_values_have_mean_0_and_variance_1() -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(1000, 4))
    result = standardize(x, (0,), epsilon=0)
    np.testing.assert_allclose(result.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(result.var(0), 1, atol=1e-12)


def test_constant_input_gives_zeros() -> None:
    assert not standardize(np.full((8, 3), 7.0), (0,)).any()


def weight_normalized(kind: str) -> tuple[WeightNormalization, NDArray[np.float32]]:
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    if kind == "dense":
        layer, x = keras.layers.Dense(4), rng.normal(1, 2, (64, 5))
    else:
        layer, x = keras.layers.Conv2D(4, 3), rng.normal(1, 2, (16, 6, 6, 2))
    wrapper = WeightNormalization(layer)
    wrapper.build(x.shape)
    return wrapper, x.astype(np.float32)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_fresh_wrapper_computes_what_the_layer_computes(kind: str) -> None:
    wrapper, x = weight_normalized(kind)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(wrapper(x)),
        keras.ops.convert_to_numpy(wrapper.layer(x)),
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_frozen_it_computes_the_same(kind: str) -> None:
    wrapper, x = weight_normalized(kind)
    wrapper.g.assign(np.array([0.5, 1, 2, 3], np.float32))
    before = keras.ops.convert_to_numpy(wrapper(x))
    wrapper.trainable = False
    assert wrapper.trainable_weights == []
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(wrapper(x)), before)


def test_output_is_equation_2() -> None:
    wrapper, x = weight_normalized("dense")
    rng = np.random.default_rng(4)
    v, g, b = rng.normal(size=(5, 4)), rng.normal(size=4), rng.normal(size=4)
    wrapper.layer.kernel.assign(v)
    wrapper.layer.bias.assign(b)
    wrapper.g.assign(g)
    expected = x @ (g * v / np.linalg.norm(v, axis=0)) + b
    np.testing.assert_allclose(keras.ops.convert_to_numpy(wrapper(x)), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_gradients_are_equation_3(kind: str) -> None:
    wrapper, x = weight_normalized(kind)
    # Lengths other than ||v||, or the equations would not tell g from ||v||.
    wrapper.g.assign(np.array([0.5, 1, 2, 3], np.float32))
    kernel = np.asarray(keras.ops.convert_to_numpy(wrapper.kernel))
    upstream = np.random.default_rng(5).normal(size=wrapper(x).shape).astype(np.float32)

    def linear(g: NDArray[np.float32], y: NDArray[np.float32]) -> object:
        return keras.ops.sum(g * y)

    model = keras.Sequential([keras.Input(x.shape[1:]), wrapper])
    found = gradients(model, x, upstream, linear)
    # The same layer without the wrapper, its kernel set to the product.
    plain = keras.layers.deserialize(keras.layers.serialize(wrapper.layer))
    twin = keras.Sequential([keras.Input(x.shape[1:]), plain])
    plain.kernel.assign(kernel)
    plain.bias.assign(wrapper.layer.bias)
    for_kernel = gradients(twin, x, upstream, linear)[plain.kernel.path].astype(np.float64)

    v = np.asarray(keras.ops.convert_to_numpy(wrapper.layer.kernel), dtype=np.float64)
    g = np.array([0.5, 1, 2, 3])
    axes = tuple(range(v.ndim - 1))
    length = np.sqrt((v**2).sum(axes))
    for_g = (for_kernel * v).sum(axes) / length
    for_v = g / length * for_kernel - g * for_g / length**2 * v
    np.testing.assert_allclose(found[wrapper.g.path], for_g, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[wrapper.layer.kernel.path], for_v, rtol=1e-4, atol=1e-4)
    # Section 2.1: the gradient for v is orthogonal to v, so training can only lengthen v.
    assert np.abs((found[wrapper.layer.kernel.path] * v).sum(axes)).max() < 1e-3


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_initialize_gives_mean_0_variance_1(kind: str) -> None:
    wrapper, x = weight_normalized(kind)
    wrapper.initialize(x)
    outputs = np.asarray(keras.ops.convert_to_numpy(wrapper(x))).reshape(-1, 4)
    np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std(0), 1, atol=1e-5)


def test_learns_and_survives_saving(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 6, 6, 2)).astype(np.float32)
    y = x[:, 2:4, 2:4].mean((1, 2))
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            WeightNormalization(keras.layers.Conv2D(4, 3, activation="relu")),
            keras.layers.Flatten(),
            WeightNormalization(keras.layers.Dense(2)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    before = model.get_weights()
    losses = model.fit(x, y, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    after = model.get_weights()
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_wrapper_adds_one_length_a_filter() -> None:
    wrapper, _ = weight_normalized("conv")
    assert len(wrapper.trainable_weights) == 3
    assert wrapper.count_params() == 3 * 3 * 2 * 4 + 4 + 4
    assert wrapper.compute_output_shape((None, 6, 6, 2)) == (None, 4, 4, 4)


def test_wrapper_refuses_layers_without_filters() -> None:
    with pytest.raises(TypeError, match="not DepthwiseConv2D"):
        WeightNormalization(keras.layers.DepthwiseConv2D(3))


def test_initialize_refuses_what_it_cannot_do() -> None:
    wrapper = WeightNormalization(keras.layers.Dense(2, activation="relu"))
    with pytest.raises(ValueError, match="no activation"):
        wrapper.initialize(np.zeros((4, 3)))


def run(layer: keras.layers.Layer, x: NDArray[np.float32], *, training: bool) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(layer(x, training=training)))


@pytest.mark.parametrize("renorm", [False, True])
def test_a_statistic_over_the_whole_batch_is_batch_normalization(renorm: bool) -> None:
    x = feature_maps()
    options = {"renorm_clipping": {"rmax": 3, "rmin": 1 / 3, "dmax": 5}, "renorm_momentum": 0.9}
    by_keras = keras.layers.BatchNormalization(
        momentum=0.9, renorm=renorm, **(options if renorm else {})
    )
    ghost = GhostBatchNormalization(5, renorm)
    for training in (True, False):
        expected = run(by_keras, x, training=training)
        found = run(ghost, x, training=training)
        # Keras averages the standard deviation for renormalization, this layer the variance.
        if training or not renorm:
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-3)


def test_each_part_is_a_batch_of_its_own() -> None:
    x = np.concatenate([feature_maps(seed)[:4] for seed in range(2)])
    ghost, by_keras = GhostBatchNormalization(2), keras.layers.BatchNormalization()
    parts = [run(by_keras, x[first : first + 2], training=True) for first in range(0, 8, 2)]
    np.testing.assert_allclose(run(ghost, x, training=True), np.concatenate(parts), atol=1e-5)


def test_ghost_batch_normalization_survives_serialization_and_refuses_no_images() -> None:
    layer = GhostBatchNormalization(2, renorm=True)
    assert keras.layers.deserialize(keras.layers.serialize(layer)).images == 2
    with pytest.raises(ValueError, match="images is 0"):
        GhostBatchNormalization(0)
