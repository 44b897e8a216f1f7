"""Freezing: flags against a plain loop, and the table of what trains."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cvlab.transfer import freezing
from tests.transfer.networks import network, numbers, only_tensorflow


def test_vgg16_has_the_lectures_thirty_weights_and_four_when_frozen() -> None:
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    model = keras.Sequential(
        [base, layers.Flatten(), layers.Dense(256, activation="relu"), layers.Dense(1)]
    )
    assert model.count_params() == 16_812_353
    assert len(model.trainable_weights) == 30
    freezing.freeze(base)
    assert len(model.trainable_weights) == 4
    freezing.unfreeze_from(base, "block5_conv1")
    assert [w.path for w in base.trainable_weights] == [
        f"block5_conv{number}/{kind}" for number in (1, 2, 3) for kind in ("kernel", "bias")
    ]
    assert len(model.trainable_weights) == 10
    block5 = 3 * (3 * 3 * 512 * 512 + 512)
    assert f"{block5 + 8192 * 256 + 256 + 256 + 1:,}" in freezing.table(model).splitlines()[-1]


def test_unfreezing_is_the_lectures_loop_but_for_batch_normalization() -> None:
    base = keras.applications.MobileNet(
        alpha=0.25, weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    freezing.unfreeze_from(base, "conv_pw_12")
    found = {weight.path for weight in base.trainable_weights}
    set_trainable, expected = False, set()
    for layer in base.layers:
        if layer.name == "conv_pw_12":
            set_trainable = True
        if set_trainable and "bn" not in layer.name:
            expected |= {weight.path for weight in layer.weights}
    assert found == expected == {"conv_pw_12/kernel", "conv_dw_13/kernel", "conv_pw_13/kernel"}
    norms = [la for la in base.layers if isinstance(la, layers.BatchNormalization)]
    assert len(norms) == 27
    assert not any(norm.trainable for norm in norms)


def test_each_call_of_unfreeze_from_counts_alone() -> None:
    model = network()
    for name, expected in (("late", 4), ("early", 6), ("late", 4), ("norm", 4)):
        freezing.unfreeze_from(model.get_layer("base"), name)
        assert len(model.trainable_weights) == expected
    freezing.freeze(model.get_layer("base"))
    assert len(model.trainable_weights) == 2


def test_unfreezing_reaches_into_models_inside() -> None:
    model = network()
    outermost = keras.Sequential([keras.Input((6,)), model], name="outermost")
    freezing.unfreeze_from(outermost, "late")
    assert {w.path.split("/")[-2] for w in outermost.trainable_weights} == {"late", "head"}
    assert len(model.get_layer("base").trainable_weights) == 2
    freezing.unfreeze_from(outermost, "head")
    assert {w.path.split("/")[-2] for w in outermost.trainable_weights} == {"head"}


def test_unfreezing_reaches_through_a_layer_that_wraps_a_model() -> None:
    """The wrapper itself comes before the first layer that trains, and must not hide it."""
    inputs = keras.Input((2, 6))
    wrapped = layers.TimeDistributed(network().get_layer("base"))
    model = keras.Model(inputs, layers.Dense(1, name="head")(wrapped(inputs)))
    freezing.unfreeze_from(model, "late")
    assert {w.path.split("/")[-2] for w in model.trainable_weights} == {"late", "head"}


def twins() -> keras.Model:
    """A base and its clone side by side: two layers of every name."""
    base = network().get_layer("base")
    other = keras.models.clone_model(base)
    other.name = "other"
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Add()([base(inputs), other(inputs)]), name="twins")


def test_layers_of_one_name_are_told_apart_by_their_models() -> None:
    model = twins()
    with pytest.raises(ValueError, match=r"2 layers called 'late': name one of .*other/late"):
        freezing.unfreeze_from(model, "late")
    freezing.unfreeze_from(model, "other/late")
    assert [w is o for w, o in zip(
        model.trainable_weights, model.get_layer("other").get_layer("late").weights, strict=True
    )] == [True, True]  # fmt: skip
    assert len(freezing.snapshot(model)) == 16


def attention() -> tuple[keras.Layer, keras.Model]:
    layer = layers.MultiHeadAttention(2, 4, trainable=False, name="attention")
    inputs = keras.Input((3, 6))
    return layer, keras.Model(inputs, layers.Dense(1)(layer(inputs, inputs)))


@pytest.mark.parametrize("kind", ["sequential", "attention"])
def test_freezing_reaches_what_the_constructors_flag_does_not(kind: str) -> None:
    if kind == "attention":
        layer, model = attention()
    else:
        layer = keras.Sequential([keras.Input((6,)), layers.Dense(4)], trainable=False)
        model = keras.Sequential([keras.Input((6,)), layer, layers.Dense(1)])
    assert layer.trainable is False
    assert len(layer.trainable_weights) == 0
    assert len(model.trainable_weights) > 2, "the flag alone would do"
    freezing.freeze(layer)
    assert len(model.trainable_weights) == 2


@only_tensorflow
def test_an_assignment_of_the_same_value_is_skipped_by_keras_but_not_here() -> None:
    model = network()
    base = model.get_layer("base")
    base.trainable = False
    base.get_layer("late").trainable = True
    base.trainable = False
    assert len(model.trainable_weights) == 4, "Keras skipped it"
    freezing.freeze(base)
    assert len(model.trainable_weights) == 2


def test_a_shared_layer_has_one_flag() -> None:
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(1, name="end")(shared(shared(inputs))))
    freezing.unfreeze_from(model, "end")
    assert not shared.trainable
    assert len(freezing.snapshot(model)) == 4
    assert "total                 4" in freezing.table(model)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("block5_conv1", r"no layer called 'block5_conv1': name one of early, norm, late"),
        ("norm2", r"no weight to train .* one of early"),
    ],
)
def test_unfreeze_from_names_what_there_is(name: str, message: str) -> None:
    base = network().get_layer("base")
    if name == "norm2":
        base.pop()
        base.add(layers.BatchNormalization(name="norm2"))
    with pytest.raises(ValueError, match=message):
        freezing.unfreeze_from(base, name)


@pytest.mark.parametrize(
    "call",
    [
        freezing.freeze,
        freezing.table,
        lambda model: freezing.unfreeze_from(model, "dense"),
        freezing.Guard,
    ],
)
def test_a_model_that_is_not_built_is_refused(call: Callable[[keras.Model], Any]) -> None:
    with pytest.raises(ValueError, match=r"is not built.*keras\.Input"):
        call(keras.Sequential([layers.Dense(3)]))


def test_a_frozen_base_ignores_training_mode() -> None:
    """The formula of inference by hand, in float64, although `training=True`."""
    norm = layers.BatchNormalization(epsilon=1e-3)
    norm.build((None, 6))
    rng = np.random.default_rng(1)
    gamma, beta, mean = rng.normal(size=(3, 6))
    variance = rng.uniform(0.5, 2, size=6)
    norm.set_weights([gamma, beta, mean, variance])
    x = numbers()[0]
    by_hand = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    output = keras.ops.convert_to_numpy(norm(x, training=True))
    assert np.abs(output - by_hand).max() > 0.1
    norm.set_weights([gamma, beta, mean, variance])
    freezing.freeze(norm)
    output = keras.ops.convert_to_numpy(norm(x, training=True))
    np.testing.assert_allclose(output, by_hand, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.get_weights()[2], mean, rtol=1e-6)


def test_table_word_for_word() -> None:
    model = network()
    freezing.unfreeze_from(model.get_layer("base"), "late")
    assert freezing.table(model).splitlines() == [
        "layer           weights   parameters",
        "base/early            2           35  frozen",
        "base/norm             4           20  frozen, inference mode",
        "base/late             2           24  trains",
        "head                  2            5  trains",
        "------------------------------------",
        "total                10           84",
        "of these train        4           29",
    ]
    model.get_layer("base").get_layer("norm").trainable = True
    assert "4           20  2 of 4 train, statistics of the batch" in freezing.table(model)


def test_table_counts_what_keras_counts() -> None:
    model = keras.applications.ResNet50(weights=None, classes=7, input_shape=(32, 32, 3))
    freezing.unfreeze_from(model, "conv5_block1_1_conv")
    total, training = (
        line.replace(",", "").split() for line in freezing.table(model).split("\n")[-2:]
    )
    assert int(total[-1]) == model.count_params()
    assert int(total[-2]) == len(model.weights)
    assert int(training[-1]) == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert int(training[-2]) == len(model.trainable_weights)
