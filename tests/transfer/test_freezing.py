"""Freezing: flags against a plain loop, and every silent mistake once without and once with Guard.

The tests that show what Keras does without the guard name the backend where it is silent; the
guard itself is tested on whichever runs.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
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


# Flags


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


# Table, snapshot, moved


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


def test_moved_by_hand() -> None:
    model = network()
    before = freezing.snapshot(model)
    assert freezing.moved(model, before) == {}
    early, head = model.get_layer("base").get_layer("early"), model.get_layer("head")
    kernel, bias = early.get_weights()
    early.set_weights([1.5 * kernel, bias])
    head.bias.assign([3.0])
    found = freezing.moved(model, before)
    assert set(found) == {early.kernel.path, head.bias.path}
    assert found[early.kernel.path] == pytest.approx(0.5 / 1.5)
    assert found[head.bias.path] == 1.0


def test_one_bit_is_a_movement_and_nan_is_none() -> None:
    model = network()
    kernel = model.get_layer("head").kernel
    values = keras.ops.convert_to_numpy(kernel).copy()
    values[0, 0] = np.nan
    kernel.assign(values)
    before = freezing.snapshot(model)
    assert freezing.moved(model, before) == {}
    values[1, 0] = np.nextafter(values[1, 0], np.float32(9))
    kernel.assign(values)
    assert set(freezing.moved(model, before)) == {kernel.path}


def test_a_snapshot_does_not_follow_the_model() -> None:
    model = compiled(frozen=False)
    before, truth = freezing.snapshot(model), copies(model)
    fit(model)
    for kept, array in zip(before.values(), truth, strict=True):
        np.testing.assert_array_equal(kept, array)


def test_moved_refuses_the_snapshot_of_another_model() -> None:
    before = freezing.snapshot(network().get_layer("base"))
    with pytest.raises(ValueError, match=r"not one of model: they differ in .*head/kernel"):
        freezing.moved(network(), before)


finite = arrays(np.float32, 4, elements=st.floats(-1e3, 1e3, width=32))


@given(old=finite, new=finite, factor=st.floats(0.125, 8))
def test_change_is_symmetric_free_of_scale_and_at_most_two(
    old: np.ndarray, new: np.ndarray, factor: float
) -> None:
    change = freezing._relative_change(old, new)
    assert 0 <= change <= 2 + 1e-12
    assert (change == 0) == bool((old == new).all())
    assert freezing._relative_change(new, old) == change
    scaled = freezing._relative_change(old.astype(float) * factor, new.astype(float) * factor)
    assert scaled == pytest.approx(change)


# What goes wrong without the guard, and does not with it


def change_before_the_first_fit(model: keras.Model) -> None:
    model.get_layer("base").get_layer("early").trainable = True


def test_thawed_after_compile() -> None:
    """Erratum 1: Keras trains what was frozen when the model was compiled."""
    model = compiled()
    change_before_the_first_fit(model)
    before = copies(model)
    fit(model)
    assert which_moved(model, before) == {"early", "head"}

    model = compiled()
    guard = freezing.Guard(model)
    change_before_the_first_fit(model)
    before = copies(model)
    with pytest.raises(RuntimeError, match=r"base/early \(at compile trainable=False.*compile"):
        fit(model, guard)
    assert which_moved(model, before) == set()


def test_frozen_after_compile() -> None:
    model = compiled(frozen=False)
    guard = freezing.Guard(model)
    freezing.freeze(model.get_layer("base"))
    before = copies(model)
    with pytest.raises(RuntimeError, match=r"base/norm \(at compile .*2 weights train; now"):
        fit(model, guard)
    fit(model)
    assert which_moved(model, before) == {"head"}


@only_tensorflow
@pytest.mark.parametrize("frozen", [True, False])
def test_changed_after_the_first_fit(frozen: bool) -> None:
    """The training step that was built first runs on, whatever the flags say now."""
    model = compiled(frozen)
    guard = freezing.Guard(model)
    fit(model, guard)
    trained = {"head"} if frozen else {"early", "norm", "late", "head"}
    early = model.get_layer("base").get_layer("early")
    early.trainable = not early.trainable
    before = copies(model)
    fit(model)
    assert which_moved(model, before) == trained
    with pytest.raises(RuntimeError, match=r"base/early"):
        fit(model, guard)


@only_tensorflow
def test_changed_after_the_first_fit_and_batches_of_another_size() -> None:
    """A batch of another size gets a new step, with the flags of now: both in one epoch."""
    model = compiled(frozen=False)
    guard = freezing.Guard(model)
    fit(model, guard, batch_size=16)  # two batches of one size
    model.get_layer("base").get_layer("early").trainable = False
    before = copies(model)
    fit(model, batch_size=16)
    assert "early" in which_moved(model, before)
    before = copies(model)
    fit(model, batch_size=8)
    assert "early" not in which_moved(model, before)
    with pytest.raises(RuntimeError, match=r"base/early"):
        fit(model, guard)


@only_tensorflow
def test_step_built_with_other_flags_that_are_set_back() -> None:
    """All flags are as compiled, and yet frozen weights move: only a comparison tells."""
    model = compiled()
    guard = freezing.Guard(model)
    early = model.get_layer("base").get_layer("early")
    early.trainable = True
    fit(model)  # Without the guard: this builds the step.
    early.trainable = False
    before = copies(model)
    fit(model)
    assert which_moved(model, before) == {"early", "head"}
    with pytest.raises(RuntimeError, match=r"moved in epoch 1: base/early/bias, base/early/kernel"):
        fit(model, guard, epochs=3)


@only_tensorflow
def test_statistics_that_move_in_a_frozen_base() -> None:
    """Without gamma and beta nothing of the layer trains, but its statistics follow the data."""
    norm = layers.BatchNormalization(center=False, scale=False, name="norm")
    model = keras.Sequential([keras.Input((6,)), norm, layers.Dense(1, name="head")])
    model.compile("rmsprop", "mse")
    fit(model)
    norm.trainable = False
    before = copies(model)
    fit(model)
    assert which_moved(model, before) == {"norm", "head"}

    norm.trainable = False
    model.compile("rmsprop", "mse")
    guard = freezing.Guard(model)
    fit(model, guard)
    norm.trainable = True
    with pytest.raises(RuntimeError, match=r"norm \(at compile trainable=False, 0 weights"):
        fit(model, guard)


def test_two_layers_swapped_after_compile() -> None:
    """As many weights of the same shapes train as before, but others."""
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6, name="one"), layers.Dense(6, name="two")]
    )
    model.get_layer("two").trainable = False
    model.compile("rmsprop", "mse")
    guard = freezing.Guard(model)
    fit(model, guard)
    model.get_layer("two").trainable, model.get_layer("one").trainable = True, False
    with pytest.raises(RuntimeError, match=r"one \(at compile trainable=True.*two \(at compile"):
        fit(model, guard)


class Thaw(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 1:
            change_before_the_first_fit(self.model)


@only_tensorflow
def test_flags_changed_while_training() -> None:
    model = compiled()
    before = copies(model)
    fit(model, Thaw(), epochs=3)
    assert which_moved(model, before) == {"head"}, "the callback's change was ignored"
    model = compiled()
    with pytest.raises(RuntimeError, match=r"flags of model were changed after compile: base/ea"):
        fit(model, Thaw(), freezing.Guard(model), epochs=3)


def unconnected() -> keras.Model:
    """The second layer starts with weights so low that its ReLU is always zero."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4, activation="relu", name="dead", bias_initializer=dead),
            layers.Dense(1, name="head"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def dead(shape: tuple[int, ...], dtype: str | None = None) -> Any:
    return keras.ops.full(shape, -1e6, dtype=dtype)


def test_weights_that_no_gradient_reaches() -> None:
    model = unconnected()
    before = copies(model)
    fit(model)
    assert which_moved(model, before) == {"head"}
    model = unconnected()
    with pytest.raises(RuntimeError, match=r"did not move: .*dead/bias.*dead/kernel.*head/kernel"):
        fit(model, freezing.Guard(model))
    model = unconnected()
    stuck = [w.path for w in model.weights if "head/bias" not in w.path]
    fit(model, freezing.Guard(model, may_stay=stuck))


def test_a_learning_rate_of_zero_trains_nothing() -> None:
    model = compiled()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    with pytest.raises(RuntimeError, match=r"did not move: .*head/bias.*learning rate of zero"):
        fit(model, freezing.Guard(model))


# The guard's own rules


def test_an_honest_training_passes() -> None:
    model = compiled()
    freezing.unfreeze_from(model.get_layer("base"), "late")
    model.compile(keras.optimizers.RMSprop(1e-3), "mse")
    guard = freezing.Guard(model)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    before = copies(model)
    fit(model, stop, guard, epochs=4, validation_data=numbers(), batch_size=10)
    fit(model, guard, stop, epochs=2, validation_data=numbers())
    assert which_moved(model, before) == {"late", "head"}
    before = copies(model)
    freezing.unfreeze_from(model.get_layer("base"), "early")
    model.compile(keras.optimizers.RMSprop(1e-3), "mse")
    fit(model, freezing.Guard(model))
    assert which_moved(model, before) == {"early", "late", "head"}


class Inference(layers.Wrapper):
    """Runs what it holds in inference mode, although its weights train."""

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs, training=False)


def test_statistics_of_what_trains_may_move_or_not() -> None:
    model = compiled(frozen=False)
    before = copies(model)
    fit(model, freezing.Guard(model))
    assert which_moved(model, before) == {"early", "norm", "late", "head"}
    inputs = keras.Input((6,))
    wrapped = Inference(network().get_layer("base"))
    model = keras.Model(inputs, layers.Dense(1, name="head")(wrapped(inputs)))
    model.compile("rmsprop", "mse")
    start = freezing.snapshot(model)
    fit(model, freezing.Guard(model))
    stayed = start.keys() - freezing.moved(model, start).keys()
    assert {path.split("/")[-1] for path in stayed} == {"moving_mean", "moving_variance"}


def test_a_shared_layer_trained_by_another_model_is_no_mistake() -> None:
    """The other model may move it between two trainings; within one nothing frozen moves."""
    layer = layers.Dense(6, name="layer")
    inputs = keras.Input((6,))
    teacher = keras.Model(inputs, layer(inputs), name="teacher")
    teacher.compile("rmsprop", "mse")
    own_guard = freezing.Guard(teacher)
    x, _ = numbers()
    teacher.fit(x, x[:, ::-1], verbose=0, callbacks=[own_guard])
    layer.trainable = False
    student = keras.Model(inputs, layers.Dense(1, name="head")(layer(inputs)), name="student")
    student.compile("rmsprop", "mse")
    guard = freezing.Guard(student)
    fit(student, guard)
    with pytest.raises(RuntimeError, match=r"flags of teacher were changed.*layer \(at compile t"):
        teacher.fit(x, x, verbose=0, callbacks=[own_guard])
    layer.trainable = True
    teacher.fit(x, x, verbose=0, callbacks=[own_guard])
    layer.trainable = False
    fit(student, guard)


def test_a_guard_is_good_for_one_compile_of_one_model() -> None:
    model = compiled()
    guard = freezing.Guard(model)
    model.compile(model.optimizer, "mse")
    with pytest.raises(RuntimeError, match="compiled again after this Guard"):
        fit(model, guard)
    model.compile("rmsprop", "mse")
    with pytest.raises(RuntimeError, match="belongs to model, not to model"):
        fit(compiled(), freezing.Guard(model))
    fit(model)
    with pytest.raises(RuntimeError, match="was trained since it was compiled"):
        freezing.Guard(model)
    with pytest.raises(ValueError, match="is not compiled"):
        freezing.Guard(network())


def test_a_guard_wants_something_that_trains_and_names_that_exist() -> None:
    model = compiled()
    with pytest.raises(ValueError, match=r"may_stay names base/early/kernel.*head/bias, .*kernel"):
        freezing.Guard(model, may_stay=["base/early/kernel"])
    freezing.freeze(model)
    model.compile("rmsprop", "mse")
    with pytest.raises(ValueError, match="no weight of model trains"):
        freezing.Guard(model)


def test_a_loaded_model_keeps_its_flags(tmp_path: Any) -> None:
    model = compiled()
    freezing.unfreeze_from(model.get_layer("base"), "late")
    model.compile("rmsprop", "mse")
    fit(model, freezing.Guard(model))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert freezing.table(loaded) == freezing.table(model)
    before = copies(loaded)
    fit(loaded, freezing.Guard(loaded))
    assert which_moved(loaded, before) == {"late", "head"}
