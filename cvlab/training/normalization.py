"""What the notebooks on normalization share: one formula by hand, and weight normalization.

All members of the family that normalize activations use one formula and differ only in the axes
they average over. `standardize` and `standardize_gradient` are that formula, forward and
backward, in float64 NumPy. `WeightNormalization` is the member that Keras does not have.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

Tensor = Any  # Keras has no type for a tensor of whichever backend runs.

_WITH_FILTERS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)


def standardize(
    x: ArrayLike, axes: tuple[int, ...], *, epsilon: float = 1e-3
) -> NDArray[np.float64]:
    """Subtract the mean and divide by the standard deviation, both taken over `axes`.

    The lecture's `normalized_data`, with `epsilon` added to the variance so that a constant
    input gives zeros and not a division by zero.

    Args:
        x: Activations of any shape, for feature maps (N, H, W, C).
        axes: Axes to average over: (0, 1, 2) for batch, (1, 2, 3) for layer, (1, 2) for instance
            normalization of feature maps.
        epsilon: Added to the variance; 1e-3 is what Keras's layers use.

    Returns:
        Float64 array of the shape of `x`.
    """
    values = np.asarray(x, dtype=np.float64)
    mean = values.mean(axes, keepdims=True)
    variance = values.var(axes, keepdims=True)
    standardized: NDArray[np.float64] = (values - mean) / np.sqrt(variance + epsilon)
    return standardized


def standardize_gradient(
    x: ArrayLike, gradient: ArrayLike, axes: tuple[int, ...], *, epsilon: float = 1e-3
) -> NDArray[np.float64]:
    """Backward pass of `standardize`: the gradient for its input.

    What comes back loses its mean and its part along the standardized values, because adding a
    constant to the input, or stretching it, does not change the output (the stretch up to
    `epsilon`).

    Args:
        x: The input of `standardize`.
        gradient: Gradient of the loss for the output of `standardize`, same shape.
        axes: As for `standardize`.
        epsilon: As for `standardize`.

    Returns:
        Gradient of the loss for `x`, float64, same shape.

    Source:
        S. Ioffe and C. Szegedy, "Batch Normalization" (2015), section 3, simplified.
    """
    values = np.asarray(x, dtype=np.float64)
    g = np.asarray(gradient, dtype=np.float64)
    scale = np.sqrt(values.var(axes, keepdims=True) + epsilon)
    x_hat = standardize(values, axes, epsilon=epsilon)
    g_mean = g.mean(axes, keepdims=True)
    g_along = (g * x_hat).mean(axes, keepdims=True)
    passed_on: NDArray[np.float64] = (g - g_mean - x_hat * g_along) / scale
    return passed_on


@keras.saving.register_keras_serializable("cvlab")
class WeightNormalization(keras.layers.Wrapper):
    """Trains the length and the direction of each filter of a layer apart.

    The layer computes with the kernel `g * v / ||v||`: one length `g` for each filter (or unit),
    and a direction `v`, the kernel variable of the wrapped layer, whose own length no longer
    matters. The statistics of a batch play no part, so training and inference are the same
    function and any batch size will do.

    A fresh layer starts from the kernel that its own initializer draws (`g = ||v||`), so wrapping
    changes nothing until the first training step. `initialize` is the paper's start.

    Args:
        layer: A `Dense`, `Conv1D`, `Conv2D` or `Conv3D` layer, not built yet.
        **kwargs: As for `keras.layers.Layer`.

    Attributes:
        g: Lengths, a trainable weight of shape (filters,).

    Raises:
        TypeError: If `layer` is of another kind.

    Source:
        T. Salimans and D. P. Kingma, "Weight Normalization" (2016), equations 2, 5 and 6.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        if not isinstance(layer, _WITH_FILTERS):
            raise TypeError(
                f"WeightNormalization wraps {', '.join(kind.__name__ for kind in _WITH_FILTERS)}, "
                f"whose kernels hold one filter along the last axis, not {type(layer).__name__}"
            )
        super().__init__(layer, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the wrapped layer and add the lengths; Keras calls this."""
        super().build(input_shape)
        drawn = np.asarray(ops.convert_to_numpy(self.layer.kernel))
        lengths = np.sqrt(np.square(drawn).sum(tuple(range(drawn.ndim - 1))))
        self.g = self.add_weight(
            shape=lengths.shape,
            name="g",
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(lengths, dtype),
        )

    @property
    def kernel(self) -> Tensor:
        """The kernel the layer computes with, `g * v / ||v||` for each filter."""
        v = ops.convert_to_tensor(self.layer.kernel)
        axes = tuple(range(len(v.shape) - 1))
        return v * (ops.convert_to_tensor(self.g) / ops.sqrt(ops.sum(ops.square(v), axis=axes)))

    def call(self, inputs: Tensor) -> Tensor:
        """What the wrapped layer makes of `inputs` with the normalized kernel."""
        trainable, frozen = (
            [self.kernel if one is self.layer.kernel else one.value for one in variables]
            for variables in (self.layer.trainable_variables, self.layer.non_trainable_variables)
        )
        outputs, _ = self.layer.stateless_call(trainable, frozen, inputs)
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape the wrapped layer gives."""
        return tuple(self.layer.compute_output_shape(input_shape))

    def initialize(self, x: ArrayLike) -> None:
        """Set lengths and biases so that a first batch leaves with mean 0 and variance 1.

        The paper's data-dependent start: one look at a batch, once, before training.

        Args:
            x: A batch of the layer's own inputs, such as (N, H, W, C) for `Conv2D`.

        Raises:
            ValueError: If the wrapped layer has no bias, or an activation: the statistics are
                those before the activation.
        """
        if not self.layer.use_bias or self.layer.activation is not keras.activations.linear:
            raise ValueError(
                "initialize() sets the bias and looks at the outputs before the activation: wrap "
                f"a {type(self.layer).__name__} with use_bias=True and no activation, and add the "
                "activation as a layer of its own"
            )
        batch = ops.convert_to_tensor(np.asarray(x, dtype=np.float32))
        if not self.built:
            self.build(tuple(batch.shape))
        self.g.assign(np.ones(self.g.shape, np.float32))
        self.layer.bias.assign(np.zeros(self.g.shape, np.float32))
        outputs = np.asarray(ops.convert_to_numpy(self(batch)), dtype=np.float64)
        outputs = outputs.reshape(-1, outputs.shape[-1])
        deviation = outputs.std(axis=0)
        self.g.assign(1 / deviation)
        self.layer.bias.assign(-outputs.mean(axis=0) / deviation)
