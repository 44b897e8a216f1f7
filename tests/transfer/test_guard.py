"""The guard: every silent mistake once without and once with it.

The tests that show what Keras does without the guard name the backend where it is silent; the
guard itself is tested on whichever runs.
"""

from typing import Any

import keras
import pytest
from keras import layers

from cvlab.transfer import freezing
from tests.transfer.networks import (
    compiled,
    copies,
    fit,
    network,
    numbers,
    only_tensorflow,
    which_moved,
)

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
    with pytest.raises(RuntimeError, match="not made for the last compile"):
        fit(model, guard)
    model.compile("rmsprop", "mse")
    with pytest.raises(RuntimeError, match="not made for the last compile"):
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
