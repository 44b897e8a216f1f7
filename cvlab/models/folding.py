"""BatchNormalization folded away: the same outputs in inference mode, from half the operations.

With moving mean and variance the layer multiplies and adds, and so does the convolution before it:
two in a row are one (notebook 03, exercise 3). TensorFlow computes a convolution with its bias and
its activation in one pass over memory, but BatchNormalization in two more.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray


def fold_batch_norms(network: keras.Model, *, dtype: str | None = None) -> keras.Model:
    """Copy a network with each BatchNormalization folded into the convolution that feeds it.

    One that follows something else stays: in a residual network with pre-activation, say.

    Args:
        network: A functional model. Models inside it stay as they are.
        dtype: Policy of the copy's layers, such as `mixed_bfloat16`; None for that of each layer.

    Returns:
        A copy that computes, in inference mode, what `network` does up to rounding; the network
        itself if there is nothing to fold and no `dtype`.

    Raises:
        TypeError: If `network` is not a functional model.

    Example:
        >>> base = load_base("MobileNet(alpha=0.75)", 224)
        >>> fast = fold_batch_norms(base)
        >>> fast.predict(images)  # as base.predict(images)
    """
    if not getattr(network, "outputs", None) or isinstance(network, keras.Sequential):
        raise TypeError(
            f"network is {network!r}: pass a functional model, such as load_base(...) or "
            "keras.Model(network.inputs, network.outputs)"
        )
    wanted = [output._keras_history.operation for output in network.outputs]
    folded = {}
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization) and len(layer._inbound_nodes) == 1:
            before = layer.input._keras_history.operation
            if before not in wanted and _foldable(before, layer):
                folded[before.name] = layer
    if not folded and dtype is None:
        return network
    norms = {norm.name for norm in folded.values()}

    def copied(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        # Random weights would be drawn for nothing, and change the random numbers that follow.
        config |= {key: "zeros" for key in config if key.endswith("_initializer")}
        config |= {"use_bias": True} if layer.name in folded else {}
        if dtype and not isinstance(layer, keras.Model):
            config["dtype"] = dtype
        return type(layer).from_config(config)

    def connected(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in norms else layer(*inputs, **options)

    copy = keras.models.clone_model(network, clone_function=copied, call_function=connected)
    for layer in network.layers:
        if layer.weights and layer.name not in norms:
            norm = folded.get(layer.name)
            weights = _weights(layer, norm) if norm else layer.get_weights()
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def _foldable(before: keras.Layer, norm: keras.Layer) -> bool:
    """Whether a layer is a convolution that nothing but this BatchNormalization follows."""
    # Not a kind made from these two: it may compute something else.
    if type(before) not in {layers.Conv2D, layers.DepthwiseConv2D}:
        return False
    alone = len(before._inbound_nodes) == len(before._outbound_nodes) == 1
    by_channel = norm.axis in {-1, 3} and before.data_format == "channels_last"
    return alone and by_channel and before.activation is keras.activations.linear


def _weights(convolution: keras.Layer, norm: keras.Layer) -> list[NDArray[Any]]:
    """Return kernel and bias of the convolution that does the work of both."""
    kernel, *biases = map(np.asarray, convolution.get_weights())
    stretch = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        stretch = stretch * np.asarray(norm.gamma)
    bias = (biases[0] if biases else 0) - np.asarray(norm.moving_mean)
    bias = bias * stretch + (np.asarray(norm.beta) if norm.center else 0)
    # The outputs of a depthwise convolution are the last two axes of its kernel.
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    return [kernel * (stretch.reshape(kernel.shape[2:]) if depthwise else stretch), bias]
