"""Normalization: its common formula, forward and backward, and two layers that Keras does not have.

Batch, layer, group and instance normalization use one formula and differ only in the axes they
average over. `standardize` and `standardize_gradient` are that formula, forward and backward, in
float64 NumPy. `WeightNormalization` and `GhostBatchNormalization` are the layers.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike, NDArray

from cvlab.models.graph import Tensor

_WITH_FILTERS = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)


def standardize(
    x: ArrayLike, axes: tuple[int, ...], *, epsilon: float = 1e-3
) -> NDArray[np.float64]:
    """Subtract the mean and divide by the standard deviation, both taken over `axes`.

    The lecture's `normalized_data`, with `epsilon` added to the variance so that a constant
    input gives zeros instead of a division by zero.

    Args:
        x: Activations of any shape, for feature maps (N, H, W, C).
        axes: Axes to average over: (0, 1, 2) for batch, (1, 2, 3) for layer, (1, 2) for instance
            normalization of feature maps.
        epsilon: Added to the variance; 1e-3 is the default of Keras.

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
    """Backward pass of `standardize`: return the gradient of the loss for its input.

    The result has no mean and no component along the standardized values, because adding a constant
    to the input, or scaling it, does not change the output (for scaling, up to `epsilon`).

    Args:
        x: The input of `standardize`.
        gradient: Gradient with respect to the output of `standardize`, same shape.
        axes: As for `standardize`.
        epsilon: As for `standardize`.

    Returns:
        Gradient with respect to `x`, float64, same shape.

    Source:
        S. Ioffe and C. Szegedy, "Batch Normalization" (2015), section 3, simplified.
    """
    g = np.asarray(gradient, dtype=np.float64)
    scale = np.sqrt(np.asarray(x, dtype=np.float64).var(axes, keepdims=True) + epsilon)
    x_hat = standardize(x, axes, epsilon=epsilon)
    g_mean = g.mean(axes, keepdims=True)
    g_along = (g * x_hat).mean(axes, keepdims=True)
    passed_on: NDArray[np.float64] = (g - g_mean - x_hat * g_along) / scale
    return passed_on


@keras.saving.register_keras_serializable("cvlab")
class WeightNormalization(layers.Wrapper):
    """Trains the length and the direction of each filter of a layer separately.

    The layer computes with the kernel `g * v / ||v||`: one length `g` for each filter (or unit),
    and a direction `v`, the kernel variable of the wrapped layer, whose own length no longer
    matters. It uses no statistics of the batch, so training and inference compute the same function
    for any batch size.

    A new layer has the kernel that its own initializer draws (`g = ||v||`), so wrapping changes
    nothing before the first training step. `initialize` is the initialization of the paper.

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

    def __init__(self, layer: layers.Layer, **kwargs: Any) -> None:
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
        """The normalized kernel, `g * v / ||v||` for each filter."""
        v = ops.convert_to_tensor(self.layer.kernel)
        axes = tuple(range(len(v.shape) - 1))
        return v * (ops.convert_to_tensor(self.g) / ops.sqrt(ops.sum(ops.square(v), axis=axes)))

    def call(self, inputs: Tensor) -> Tensor:
        """Apply the wrapped layer with the normalized kernel."""
        trainable, frozen = (
            [self.kernel if one is self.layer.kernel else one.value for one in variables]
            for variables in (self.layer.trainable_variables, self.layer.non_trainable_variables)
        )
        outputs, _ = self.layer.stateless_call(trainable, frozen, inputs)
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output shape of the wrapped layer."""
        return tuple(self.layer.compute_output_shape(input_shape))

    def initialize(self, x: ArrayLike) -> None:
        """Set lengths and biases so that the outputs for one batch have mean 0 and variance 1.

        This is the paper's data-dependent initialization. Call it once, before training.

        Args:
            x: A batch of inputs of the layer, such as (N, H, W, C) for `Conv2D`.

        Raises:
            ValueError: If the wrapped layer has no bias, or an activation: the statistics are
                those before the activation.
        """
        if not self.layer.use_bias or self.layer.activation is not keras.activations.linear:
            raise ValueError(
                "initialize() sets the bias from the outputs before the activation: wrap a "
                f"{type(self.layer).__name__} with use_bias=True and no activation, and add the "
                "activation as a separate layer"
            )
        batch = np.asarray(x, dtype=np.float32)
        self(batch)  # builds the layer if it is new
        self.g.assign(np.ones(self.g.shape, np.float32))
        self.layer.bias.assign(np.zeros(self.g.shape, np.float32))
        outputs = np.asarray(ops.convert_to_numpy(self(batch)), dtype=np.float64)
        outputs = outputs.reshape(-1, outputs.shape[-1])
        deviation = outputs.std(axis=0)
        self.g.assign(1 / deviation)
        self.layer.bias.assign(-outputs.mean(axis=0) / deviation)


@keras.saving.register_keras_serializable("cvlab")
class GhostBatchNormalization(layers.Layer):
    """Batch normalization with statistics over parts of a batch, as several GPUs would compute it.

    The gradient still averages over the whole batch. So this layer changes the number of images per
    statistic, and nothing else.

    Args:
        images: Images per statistic; the batch must be a multiple of it.
        renorm: Whether to correct the statistics by batch renormalization, with its paper's limits
            r_max = 3 and d_max = 5.
        **kwargs: As for `keras.layers.Layer`.

    Source:
        E. Hoffer, I. Hubara and D. Soudry, "Train longer, generalize better" (2017), algorithm 1;
        S. Ioffe, "Batch Renormalization" (2017).
    """

    def __init__(self, images: int, renorm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if images < 1:
            raise ValueError(f"images is {images}: pass the number of images per statistic, 1 up")
        self.images, self.renorm = images, renorm

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "images": self.images, "renorm": self.renorm}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create gamma, beta and the moving averages; Keras calls this."""
        shape = input_shape[-1:]
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.mean, self.variance = (
            self.add_weight(shape=shape, initializer=start, trainable=False, name=name)
            for start, name in (("zeros", "moving_mean"), ("ones", "moving_variance"))
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Normalize; in training mode by the statistics of each part."""
        moving_mean, moving_deviation = 1 * self.mean, ops.sqrt(self.variance + 1e-3)
        if not training:
            return self.gamma * (inputs - moving_mean) / moving_deviation + self.beta
        parts = ops.reshape(inputs, (-1, self.images, *inputs.shape[1:]))
        mean, variance = ops.moments(parts, axes=(1, 2, 3), keepdims=True)
        deviation = ops.sqrt(variance + 1e-3)
        standardized = (parts - mean) / deviation
        if self.renorm:
            r = ops.clip(ops.stop_gradient(deviation / moving_deviation), 1 / 3, 3)
            d = ops.clip(ops.stop_gradient((mean - moving_mean) / moving_deviation), -5, 5)
            standardized = standardized * r + d
        self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(mean, axis=(0, 1, 2, 3)))
        self.variance.assign(0.9 * self.variance + 0.1 * ops.mean(variance, axis=(0, 1, 2, 3)))
        return self.gamma * ops.reshape(standardized, ops.shape(inputs)) + self.beta
