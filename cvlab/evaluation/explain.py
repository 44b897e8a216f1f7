"""Filters, feature maps, and the image regions that drove a prediction (Grad-CAM).

All functions take any Keras model of images: sequential, functional or subclassed, with other
models inside, with preprocessing or augmentation at its input. Images are passed as the model takes
them, here uint8. Models run in inference mode and do not change.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, Final

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cvlab.models.graph import Tensor, layer_named, only_layers, opened
from cvlab.training.gradients import Probe, gradients

_DEPTHWISE: Final = (layers.DepthwiseConv2D, layers.SeparableConv2D)
_CONVOLUTIONS: Final = (layers.Conv2D, *_DEPTHWISE, layers.Conv2DTranspose)
_POOLINGS: Final = (layers.MaxPooling2D, layers.AveragePooling2D)
_JOINS: Final = (layers.Add, layers.Average, layers.Concatenate, layers.Maximum, layers.Multiply)
# Layers whose cells do not come from a sliding window.
_RESAMPLING: Final = (layers.Conv2DTranspose, layers.Cropping2D, layers.Resizing)
_OFF_THE_GRID: Final = (*_JOINS, *_RESAMPLING, layers.Flatten, layers.UpSampling2D)


def filters(model: keras.Model, layer_name: str | None = None) -> NDArray[np.float32]:
    """Return the kernels of a convolution as images.

    Each filter is scaled symmetrically by its own largest magnitude: 0.5 is a weight of zero, 1
    the largest magnitude of the filter, 0 the negative of it. So brightness compares weights
    within a filter, not between filters.

    Args:
        model: A built model.
        layer_name: Name of a convolution; by default the model's first.

    Returns:
        Float32 in 0..1, shape (filters, height, width, channels of the input). For a first layer
        on color images this is (filters, height, width, 3), to be shown as color images; in deeper
        layers each channel is a gray image of its own. A depthwise kernel has one filter of one
        channel for each of its outputs.

    Raises:
        ValueError: If there is no such layer, it is not a convolution, or it has no weights yet.
    """
    found = _layers(model)
    name = layer_name or _of_kind(found, _CONVOLUTIONS, model)[0]
    layer = layer_named(name, model, found)
    if not isinstance(layer, _CONVOLUTIONS):
        raise ValueError(
            f"{name} is a {type(layer).__name__} and has no filters: name one of the convolutions "
            f"{', '.join(_of_kind(found, _CONVOLUTIONS, model))}"
        )
    if not layer.built:
        raise ValueError(f"{name} has no weights yet: build {model.name}, or call it on an image")
    # The spatial half of a separable convolution has the layout of a depthwise one.
    kernel = layer.depthwise_kernel if isinstance(layer, layers.SeparableConv2D) else layer.kernel
    weights = _array(kernel)
    if isinstance(layer, _DEPTHWISE):
        weights = weights.reshape(*weights.shape[:2], 1, -1)
    elif isinstance(layer, layers.Conv2DTranspose):
        weights = weights.swapaxes(2, 3)
    images = weights.transpose(3, 0, 1, 2)
    return np.asarray(0.5 + 0.5 * images / _largest(images), dtype=np.float32)


def feature_maps(
    model: keras.Model, images: ArrayLike, layer_names: Sequence[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of chosen layers for a batch of images, from one forward pass.

    Args:
        model: The model. If a convolution has an activation, it is part of the map.
        images: Images as the model takes them, shape (N, H, W, channels), one batch.
        layer_names: Layers whose output is a feature map; by default all convolutions and
            poolings. Layers of a model inside the model go by their own name; if that occurs
            twice, by their path, such as "base/conv2d".

    Returns:
        Float32 arrays (N, h, w, C) by layer name, in the order in which the layers ran.

    Raises:
        ValueError: If there is no such layer, it did not run or ran more than once, or its output
            is not a feature map.
    """
    found = _layers(model)
    names = layer_names
    if names is None:
        names = _of_kind(found, _CONVOLUTIONS + _POOLINGS, model)
    maps, _ = _outputs(model, images, {name: layer_named(name, model, found) for name in names})
    for name, output in maps.items():
        _check_feature_map(name, output)
    return maps


def grad_cam(
    model: keras.Model,
    images: ArrayLike,
    layer_name: str | None = None,
    target: int | Sequence[int] | None = None,
    *,
    batch_size: int = 50,
) -> NDArray[np.float32]:
    """Return Grad-CAM heatmaps: the image regions that drove the prediction of a class.

    Each channel of the feature map is weighted by the derivative of the class's logit, averaged
    over the spatial positions; the weighted sum, cut off at zero, is the heatmap.

    Args:
        model: A classifier that ends in one sigmoid unit, in softmax, or in logits.
        images: Images as the model takes them, shape (N, H, W, channels), at least one.
        layer_name: Layer with the feature map; by default the last convolution. In a network of
            parallel branches name the layer that joins them.
        target: The class to explain, for all images or one for each; by default the class that the
            model predicts. With one output, class 1 is the logit and class 0 its negative.
        batch_size: Images per batch; the feature maps of one batch are in memory at once. It does
            not change the heatmaps.

    Returns:
        Float32 (N, h, w) at the size of the feature map. Each heatmap is divided by its largest
        value, so it runs from 0 to 1; it is 0 everywhere if no region supports the class. So
        heatmaps of different images cannot be compared in strength.

    Raises:
        ValueError: If the layer's output is not a feature map, the model does not end in logits of
            classes, there is no such class, `target` is neither one class nor one for each image,
            there are no images, or `batch_size` is not positive.

    Source:
        R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
        Gradient-based Localization", ICCV 2017.
    """
    inputs, classes = np.asarray(images), np.asarray(target)
    count = len(inputs)
    if not count or batch_size < 1:
        raise ValueError(
            f"{count} images, batch_size {batch_size}: pass at least one image and a batch_size of "
            "at least 1"
        )
    if classes.shape not in ((), (1,), (count,)):
        raise ValueError(
            f"target has the shape {classes.shape} for {count} images: pass one class, or one for "
            "each image"
        )
    classes = np.broadcast_to(classes, (count,))
    found = []
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        chosen = None if target is None else classes[part]
        found.append(_grad_cam(model, inputs[part], layer_name, chosen))
    return np.concatenate(found)


def _grad_cam(
    model: keras.Model, images: NDArray[Any], layer_name: str | None, target: NDArray[Any] | None
) -> NDArray[np.float32]:
    """Return the heatmaps of one batch."""
    found = _layers(model)
    name = layer_name or _of_kind(found, _CONVOLUTIONS, model)[-1]
    watched = layer_named(name, model, found)
    last_name, last = list(found.items())[-1]
    seen, prediction = _outputs(model, images, {name: watched, last_name: last})
    _check_feature_map(name, seen[name])
    if prediction.ndim != 2 or not np.array_equal(seen[last_name], prediction):
        raise ValueError(
            f"{model.name} does not end in a layer with one output per class (its output has "
            f"shape {prediction.shape}, its last layer is {last_name}): pass a classifier"
        )

    def logits(maps: Tensor) -> Tensor:
        # The images go in again, for what bypasses the layer on a shortcut.
        calls = {watched: lambda *_, **__: maps, last: _without_activation(last_name, last)}
        with _calling(calls):
            return _run(model, images)

    # The logit, not the probability: at high confidence the sigmoid is flat, and its derivative
    # p (1 - p), a factor of the whole gradient, rounds to zero. Softmax also depends on the logits
    # of the other classes, so a map would show evidence against them.
    batch, outputs = prediction.shape
    inputs = keras.Input(batch_shape=seen[name].shape)
    rest = layers.Lambda(logits, output_shape=(outputs,), name="rest_of_the_network")
    twin = keras.Model(inputs, rest(Probe(batch)(inputs)))
    directions = _directions(prediction, last, target)
    (gradient,) = gradients(
        twin, seen[name], directions, lambda direction, logit: ops.sum(direction * logit)
    ).values()

    weights = gradient.mean(axis=(1, 2))
    heat: NDArray[np.float32] = np.einsum("nhwc,nc->nhw", seen[name], weights).clip(min=0)
    return np.asarray(heat / _largest(heat), dtype=np.float32)


def last_convolution(model: keras.Model) -> str:
    """Return the name of the layer that `grad_cam` takes by default.

    Raises:
        ValueError: If the model has no convolution.
    """
    return _of_kind(_layers(model), _CONVOLUTIONS, model)[-1]


def cell_centers(
    model: keras.Model, layer_name: str, image_size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centers of the receptive fields of a feature map, in pixels of the image.

    Without padding, each convolution removes a border of the map. In the lecture's convnet the
    last map covers only the middle half of an image of 64 x 64 pixels. Stretched over the whole
    image, as is often done, a high activation would be drawn up to a fifth of the image away from
    the region that caused it.

    Args:
        model: A network that is one chain of layers up to the named one.
        layer_name: Layer with the feature map, as for `grad_cam`.
        image_size: Height and width of the images in pixels.

    Returns:
        Rows and columns in pixels, 0 being the middle of the first pixel: float64, (h,) and (w,).

    Raises:
        ValueError: If there is no such layer, the model has branches before it, or it uses
            operations that are not layers.
    """
    only_layers(model)
    found = _layers(model)
    layer_named(layer_name, model, found)
    before = list(found.values())[: list(found).index(layer_name) + 1]
    if any(isinstance(layer, _OFF_THE_GRID) for layer in before):
        raise ValueError(
            f"the layers before {layer_name} are not a plain chain of convolutions and poolings: "
            "leave cell_centers() out, and overlay() stretches the heatmap over the image"
        )
    return _centers(before, 0, image_size[0]), _centers(before, 1, image_size[1])


def overlay(
    image: ArrayLike, heatmap: ArrayLike, centers: tuple[ArrayLike, ArrayLike] | None = None
) -> NDArray[np.uint8]:
    """Draw a heatmap on its image so that it is readable without color.

    The image keeps its brightness where the heatmap is 1, and has a third of it where the heatmap
    is 0. A contour, white inside and black outside, runs where the heatmap is one half.

    Args:
        image: Image, uint8, shape (H, W, 3).
        heatmap: Values from 0 to 1, shape (h, w); interpolated bilinearly between its cells, and
            zero from one cell width beyond the outer ones.
        centers: Rows (h,) and columns (w,) of the heatmap's cells on the image, in pixels, from
            `cell_centers`. By default the heatmap is stretched over the image, which is right if
            the network pads its feature maps ("same").

    Returns:
        Image, uint8, shape (H, W, 3).

    Raises:
        ValueError: If the image or the heatmap has another shape, type or range, or the centers
            belong to another feature map.
    """
    pixels, heat = np.asarray(image), np.asarray(heatmap, dtype=np.float64)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"overlay() takes one uint8 image (H, W, 3), got {pixels.dtype} of shape "
            f"{pixels.shape}: pass images[i], and heatmaps[i] with it"
        )
    if heat.ndim != 2 or not (heat.min() >= 0 and heat.max() <= 1):
        raise ValueError(
            f"overlay() takes one heatmap (h, w) with values from 0 to 1, got shape {heat.shape} "
            "or other values: pass heatmaps[i] of grad_cam()"
        )
    for axis in (0, 1):
        size, cells = pixels.shape[axis], heat.shape[axis]
        stretched = (np.arange(cells) + 0.5) * size / cells - 0.5
        positions = stretched if centers is None else np.asarray(centers[axis])
        if positions.shape != (cells,):
            raise ValueError(
                f"centers of shape {positions.shape} for a heatmap of shape {heat.shape}: take "
                "them from cell_centers() for the layer of the heatmap, in a network without "
                "branches"
            )
        step = positions[1] - positions[0] if cells > 1 else size
        # An outer cell keeps its value for half a step outward and falls to 0 in the next half.
        outward = step * np.array([1, 0.5])
        at = np.concatenate([positions[0] - outward, positions, positions[-1] + outward[::-1]])
        border = [(int(side == axis),) * 2 for side in (0, 1)]
        heat = np.pad(np.pad(heat, border, mode="edge"), border)
        heat = np.apply_along_axis(partial(np.interp, np.arange(size), at), axis, heat)
    shown = pixels * (1 / 3 + 2 / 3 * heat[..., None])
    hot = heat >= 0.5
    shown[ndimage.binary_dilation(hot) & ~hot] = 0
    shown[hot & ~ndimage.binary_erosion(hot, border_value=1)] = 255
    return np.asarray(np.rint(shown), dtype=np.uint8)


def _layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layers of a model and of the models inside it, by a unique name."""
    found = {
        path: layer
        for path, layer in opened(model, models_only=True)
        if not isinstance(layer, keras.Model)
    }
    times = Counter(layer.name for layer in found.values())
    return {layer.name if times[layer.name] == 1 else path: layer for path, layer in found.items()}


def _of_kind(
    found: Mapping[str, keras.Layer], kinds: tuple[type, ...], model: keras.Model
) -> list[str]:
    """Return the names of the layers of some kinds, at least one."""
    names = [name for name, layer in found.items() if isinstance(layer, kinds)]
    if not names:
        raise ValueError(
            f"{model.name} has no {kinds[0].__name__} or similar layer, only "
            f"{', '.join(found) or 'none'}: use a convolutional network"
        )
    return names


def _largest(arrays: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest magnitude in each array of a batch, or 1 where all is zero."""
    most = np.abs(arrays).max(axis=tuple(range(1, arrays.ndim)), keepdims=True)
    return np.where(most > 0, most, np.float32(1))


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(ops.convert_to_numpy(tensor), dtype=np.float32)


def _run(model: keras.Model, images: ArrayLike) -> Tensor:
    return model(ops.convert_to_tensor(np.asarray(images)), training=False)


@contextmanager
def _calling(calls: Mapping[keras.Layer, Callable[..., Tensor]]) -> Iterator[None]:
    """Replace what layers compute for the duration of the block.

    Keras has no hooks on layers. Cutting the graph of a functional model in two would not work for
    a model that is one layer of another, nor for a subclassed one.
    """
    try:
        for layer, call in calls.items():
            layer.call = call
        yield
    finally:
        for layer in calls:
            vars(layer).pop("call", None)  # uncovers the method of the class


def _outputs(
    model: keras.Model, images: ArrayLike, watched: Mapping[str, keras.Layer]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Return the outputs of some layers and of the model itself, from one forward pass."""
    seen: dict[str, Tensor] = {}

    def noting(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(call)
        def call_and_note(*args: Tensor, **kwargs: Any) -> Tensor:
            if name in seen:
                raise ValueError(
                    f"layer {name} runs more than once, so its feature map is ambiguous"
                )
            seen[name] = call(*args, **kwargs)
            return seen[name]

        return call_and_note

    with _calling({layer: noting(name, layer.call) for name, layer in watched.items()}):
        result = _run(model, images)
    if silent := [name for name in watched if name not in seen]:
        raise ValueError(f"{', '.join(silent)} did not run when {model.name} saw the images")
    return {name: _array(output) for name, output in seen.items()}, _array(result)


def _centers(chain: Iterable[keras.Layer], axis: int, size: int) -> NDArray[np.float64]:
    """Return the positions start + step * i of the cells after a chain of layers, on one axis."""
    start, step = 0.0, 1
    for layer in chain:
        if isinstance(layer, layers.ZeroPadding2D):
            ahead, behind = layer.padding[axis]
            start, size = start - step * ahead, size + ahead + behind
        elif isinstance(layer, _CONVOLUTIONS + _POOLINGS):
            stride = layer.strides[axis]
            if isinstance(layer, _POOLINGS):
                window = layer.pool_size[axis]
            else:
                window = (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1
            if layer.padding == "same":
                cells = -(-size // stride)
                ahead = max((cells - 1) * stride + window - size, 0) // 2
            else:
                cells, ahead = (size - window) // stride + 1, 0
            start += step * ((window - 1) / 2 - ahead)
            size, step = cells, step * stride
    return start + step * np.arange(size, dtype=np.float64)


def _check_feature_map(name: str, output: NDArray[np.float32]) -> None:
    if output.ndim != 4:
        raise ValueError(
            f"the output of {name} has the shape {output.shape} and is not a feature map (N, h, w, "
            "C): name a layer before flattening or global pooling"
        )


def _without_activation(name: str, layer: keras.Layer) -> Callable[..., Tensor]:
    """Return the call of the last layer without its activation: it computes the logits."""
    if isinstance(layer, layers.Softmax):
        return lambda inputs, *_, **__: inputs
    activation = getattr(layer, "activation", keras.activations.linear)
    known = (keras.activations.linear, keras.activations.sigmoid, keras.activations.softmax)
    if activation not in known:
        raise ValueError(
            f"the model's last layer, {name}, ends in {keras.activations.serialize(activation)}: "
            "Grad-CAM explains a logit, the input of a sigmoid or softmax"
        )
    call = layer.call

    def logits(*args: Tensor, **kwargs: Any) -> Tensor:
        layer.activation = keras.activations.linear
        try:
            return call(*args, **kwargs)
        finally:
            layer.activation = activation

    return logits if hasattr(layer, "activation") else call


def _directions(
    prediction: NDArray[np.float32], last: keras.Layer, target: NDArray[Any] | None
) -> NDArray[np.float32]:
    """Return the factors of the logits, shape (N, outputs), that select the one to explain."""
    scores = prediction
    if prediction.shape[1] == 1:  # class 0 wins up to the threshold
        is_sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid
        scores = np.pad(scores, ((0, 0), (1, 0)), constant_values=0.5 if is_sigmoid else 0)
    classes = scores.shape[1]
    chosen = scores.argmax(axis=1) if target is None else target
    if not np.issubdtype(chosen.dtype, np.integer) or chosen.min() < 0 or chosen.max() >= classes:
        raise ValueError(f"target is {target}: this model's classes are 0 to {classes - 1}")
    one_hot: NDArray[np.float32] = np.eye(classes, dtype=np.float32)[chosen]
    # With one output: 1 for class 1, -1 for class 0.
    return one_hot if prediction.shape[1] > 1 else np.diff(one_hot)
