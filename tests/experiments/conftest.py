"""What tests of the experiments share."""

from collections.abc import Iterator

import keras
import pytest


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """Let TensorFlow run each step as it stands: for a few steps, tracing a graph takes longer."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf  # noqa: PLC0415

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
