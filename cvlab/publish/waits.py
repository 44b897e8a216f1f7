"""Takes three waits out of Keras on TensorFlow, for the runs of the course: no result changes.

All concern short trainings. Notebooks opened in JupyterLab run Keras as it is.
"""

from collections.abc import Iterator
from functools import cache, wraps
from typing import Any

import keras
import numpy as np


@cache
def remove_waits() -> None:
    """Trace each training step once, and let every dataset start and end at once.

    JAX and PyTorch have none of these waits.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - only this backend has it

        _start_datasets_at_once(tf.config)
        _trace_once()
        _end_datasets_at_once(tf.data)


def _start_datasets_at_once(config: Any) -> None:
    """Let TensorFlow optimize the functions of networks, and not those of datasets as well.

    Those it optimizes again whenever a dataset is read: 10 ms for each epoch, and as many for each
    validation. They follow the option that is set when TensorFlow starts, networks the later one.
    Where it has started already, nothing changes.
    """
    option = "disable_meta_optimizer"
    before = config.optimizer.get_experimental_options().get(option, False)
    config.optimizer.set_experimental_options({option: True})
    config.list_logical_devices()  # starts it
    config.optimizer.set_experimental_options({option: before})


def _trace_once() -> None:
    """Let `fit` and `train_on_batch` create optimizer and metrics before a step is traced.

    Keras creates them within the first step, and TensorFlow traces a step that creates variables a
    second time: for a small network this takes as long as a hundred steps.
    """
    plain_fit, plain_step = keras.Model.fit, keras.Model.train_on_batch

    @wraps(plain_fit)
    def fit(
        model: keras.Model, x: Any = None, y: Any = None, batch_size: Any = None, **rest: Any
    ) -> Any:
        if isinstance(x, keras.utils.PyDataset):
            _build(model, x[0])
        elif isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            _build(model, (x[: batch_size or 32], y[: batch_size or 32]))
        return plain_fit(model, x, y, batch_size, **rest)

    @wraps(plain_step)
    def train_on_batch(model: keras.Model, x: Any, y: Any = None, **rest: Any) -> Any:
        _build(model, (x, y))
        return plain_step(model, x, y, **rest)

    keras.Model.fit, keras.Model.train_on_batch = fit, train_on_batch


def _build(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Create what a step of a compiled model needs, from the shapes of its first batch."""
    arrays = all(isinstance(part, np.ndarray) for part in batch)
    if arrays and model.compiled and model.built and not getattr(model.optimizer, "built", True):
        model._symbolic_build(data_batch=batch)


def _end_datasets_at_once(data: Any) -> None:
    """Read datasets without TensorFlow's autotuning, for whose thread an iterator waits at its end.

    That thread wakes up 0.01, 0.03, 0.07, ... 2.6, 5.1, ... seconds after the start. Every second
    epoch of about three seconds then takes five, and most of it is waiting.
    """
    plain = data.Dataset.__iter__
    options = data.Options()
    options.autotune.enabled = False

    @wraps(plain)
    def read(dataset: Any) -> Iterator[Any]:
        iterator: Iterator[Any] = plain(dataset.with_options(options))
        return iterator

    data.Dataset.__iter__ = read
