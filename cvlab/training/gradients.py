"""Gradients of a Keras model as NumPy arrays, on whichever backend runs.

TensorFlow, JAX and PyTorch each compute gradients by functions of their own. What Keras does is the
same for all three: it passes the gradients to the optimizer. So the optimizer here keeps the
gradients that it gets and changes no weight.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from cvlab.models.graph import Tensor


class _Recorder(keras.optimizers.Optimizer):
    """Stores the gradient of each weight and does not change the weight."""

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0)
        self.recorded: list[Tensor] = []

    def build(self, variables: list[Tensor]) -> None:
        if self.built:
            return
        super().build(variables)
        self.recorded = [
            self.add_variable_from_reference(reference_variable=variable, name="gradient")
            for variable in variables
        ]

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor) -> None:
        self.assign(self.recorded[self._get_variable_index(variable)], gradient)


@keras.saving.register_keras_serializable("cvlab")
class Probe(keras.layers.Layer):
    """Returns a batch unchanged, so that `gradients` can report the gradient at this point.

    It adds a trainable array of zeros. The gradient with respect to the zeros equals the gradient
    with respect to the input. So `gradients` reports, for the probe, the gradient of the loss with
    respect to the values that pass through it: the pixels if it is the first layer.

    Args:
        batch_size: Number of images in the batch.
        **kwargs: As for `keras.layers.Layer`.
    """

    def __init__(self, batch_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: pass the number of images in the batch")
        self.batch_size = batch_size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the zeros, shape (batch_size, *input_shape[1:]); Keras calls this."""
        self.zeros = self.add_weight(
            shape=(self.batch_size, *input_shape[1:]), initializer="zeros", name="zeros"
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Return `inputs` plus zeros."""
        return inputs + self.zeros

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input, so that Keras need not try `call` without a batch."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "batch_size": self.batch_size}


def gradients(
    model: keras.Model,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | keras.losses.Loss | Callable[[Tensor, Tensor], Tensor],
) -> dict[str, NDArray[np.float32]]:
    """Return the gradient of the loss on one batch for every trainable weight of a model.

    The model runs in training mode. It does not change: afterwards its weights, moving averages
    included, and its own optimizer and loss are the same as before.

    Args:
        model: A built functional or sequential model.
        x: Inputs, one batch.
        y: Targets, as `loss` takes them.
        loss: Name of a Keras loss, a `keras.losses.Loss`, or a function (y_true, y_pred) that
            returns one loss, or one per sample, of which the mean is taken.

    Returns:
        Float32 arrays of the shape of the weight, by its path, for example `conv2d/kernel`, in the
        order of `model.trainable_weights`.

    Raises:
        ValueError: If the model has no trainable weight, or two of them have the same path.
    """
    if not model.trainable_weights:
        raise ValueError(
            f"{model.name} has no trainable weight, so there is no gradient to return: build the "
            "model, and set trainable=True on the layers of interest"
        )
    counts = Counter(weight.path for weight in model.trainable_weights)
    if twice := [path for path, count in counts.items() if count > 1]:
        raise ValueError(
            f"{model.name} has more than one trainable weight called {', '.join(twice)}, so their "
            "gradients cannot be told apart: give the layers, or the models inside, other names"
        )
    state = model.get_weights()
    recorder = _Recorder()
    # A second model of the same layers leaves the compilation of the first one as it is.
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    twin = keras.Model(inputs, model.outputs[0] if len(model.outputs) == 1 else model.outputs)
    twin.compile(optimizer=recorder, loss=loss, run_eagerly=True, jit_compile=False)
    twin.train_on_batch(np.asarray(x), np.asarray(y))
    recorded = {
        weight.path: np.asarray(ops.convert_to_numpy(gradient))
        for weight, gradient in zip(model.trainable_weights, recorder.recorded, strict=True)
    }
    model.set_weights(state)
    return recorded
