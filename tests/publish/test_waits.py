"""What takes waits out of Keras changes nothing that it computes."""

import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

from cvlab.publish import waits

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only Keras on TensorFlow has these waits"
)
X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")


@pytest.fixture(autouse=True)
def _removed() -> None:
    waits.remove_waits()


class Counting(keras.optimizers.Adam):
    """Adam, which counts how often Python runs its step: once per trace."""

    traces = 0

    def apply(self, *args: Any, **options: Any) -> Any:
        self.traces += 1
        return super().apply(*args, **options)


def new() -> keras.Model:
    """A compiled network with dropout, its weights from a fixed seed."""
    keras.utils.set_random_seed(0)
    parts = [keras.layers.Dense(9, "relu"), keras.layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((6,)), *parts, keras.layers.Dense(1)])
    model.compile(Counting(0.01), "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_a_step_is_traced_once_and_the_weights_are_the_same_bit_by_bit(method: str) -> None:
    once = getattr(keras.Model, method)
    traces, weights = [], []
    for train in (once.__wrapped__, once):
        model = new()
        train(model, X, X[:, 0])
        traces.append(model.optimizer.traces)
        weights.append(model.get_weights())
    assert traces == [2, 1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("x", [X, list(X)])
def test_a_model_that_is_not_compiled_still_says_so(x: object) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="compile"):
        model.fit(x, X[:, 0])


def test_a_dataset_gives_the_same_in_the_same_order() -> None:
    import tensorflow as tf  # noqa: PLC0415 - only this backend has it

    def numbers() -> tf.data.Dataset:
        dataset = tf.data.Dataset.range(1000).shuffle(100, seed=3).batch(7)
        return dataset.map(lambda part: 2 * part, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)

    plain = tf.data.Dataset.__iter__.__wrapped__
    with_autotuning = np.concatenate([part.numpy() for part in plain(numbers())])
    without = np.concatenate([part.numpy() for part in numbers()])
    np.testing.assert_array_equal(with_autotuning, without)
    assert sorted(without) == list(range(0, 2000, 2))


def test_only_what_is_read_from_datasets_is_not_optimized(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow starts with the option, and goes on as it was."""
    import tensorflow as tf  # noqa: PLC0415 - only this backend has it

    options = tf.config.optimizer.get_experimental_options
    at_start = []
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: at_start.append(options()))
    waits._start_datasets_at_once(tf.config)
    assert at_start[0]["disable_meta_optimizer"]
    assert not options()["disable_meta_optimizer"]


def test_a_training_is_the_same_bit_by_bit_in_a_process_of_its_own() -> None:
    """Where TensorFlow has not started yet."""
    code = (
        "import sys, hashlib, keras, numpy as np\n"
        "if sys.argv[1:]:\n"
        "    from cvlab.publish.waits import remove_waits; remove_waits()\n"
        "keras.utils.set_random_seed(0)\n"
        "x = np.random.default_rng(0).normal(size=(50, 6, 6, 1))\n"
        "layers = keras.layers.Conv2D(4, 3, activation='relu'), keras.layers.Flatten()\n"
        "model = keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "model.fit(x, x.mean((1, 2, 3)), 8, epochs=3, verbose=0, validation_data=(x, x[:, 0, 0]))\n"
        "print(hashlib.sha256(b''.join(w.tobytes() for w in model.get_weights())).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, *argument], capture_output=True, text=True, check=True
        ).stdout
        for argument in ([], ["without waits"])
    }
    assert len(digests) == 1
