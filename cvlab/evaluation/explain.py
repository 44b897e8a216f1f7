"""What a network sees: its filters, its feature maps, and where it looked (Grad-CAM).

All of it works on any Keras model that maps pictures to something: sequential, functional or
subclassed, with other models inside, with preprocessing or augmentation in front. Pictures go in
as the model takes them, here uint8; models run in inference mode and are left as they were.
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

from cvlab.models.graph import only_layers
from cvlab.training.gradients import Probe, gradients

Tensor = Any  # Keras has no type for a tensor of whichever backend runs.

_CONVOLUTIONS: Final = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.Conv2DTranspose,
)
_POOLINGS: Final = (layers.MaxPooling2D, layers.AveragePooling2D)
# Layers that join branches, or whose cells are not those of a sliding window.
_OFF_THE_GRID: Final = (
    layers.Add,
    layers.Average,
    layers.Concatenate,
    layers.Maximum,
    layers.Multiply,
    layers.Conv2DTranspose,
    layers.Cropping2D,
    layers.Flatten,
    layers.Resizing,
    layers.UpSampling2D,
)


def filters(model: keras.Model, layer_name: str | None = None) -> NDArray[np.float32]:
    """Kernels of a convolution as pictures.

    Each filter is scaled by its own largest magnitude, symmetrically: 0.5 is a weight of zero, 1
    the filter's largest magnitude, 0 the same magnitude with a minus. So brightness compares
    weights within a filter, not between filters.

    Args:
        model: A built model.
        layer_name: Name of a convolution; by default the model's first.

    Returns:
        Float32 in 0..1, shape (filters, height, width, channels of the input): for a first layer
        on color pictures (filters, height, width, 3), to be shown as color pictures; in deeper
        layers each channel is a gray picture of its own. A depthwise kernel has one filter of one
        channel for each of its outputs.

    Raises:
        ValueError: If there is no such layer, or it is no convolution, or it has no weights yet.
    """
    found = _layers(model)
    name = layer_name or next(iter(_of_kind(found, _CONVOLUTIONS, model)))
    layer = _named(found, name, model)
    if not isinstance(layer, _CONVOLUTIONS):
        raise ValueError(
            f"{name} is a {type(layer).__name__} and has no filters: name one of the convolutions "
            f"{', '.join(_of_kind(found, _CONVOLUTIONS, model))}"
        )
    if not layer.built:
        raise ValueError(f"{name} has no weights yet: build {model.name}, or call it on a picture")
    # The spatial half of a separable convolution has the layout of a depthwise one.
    kernel = layer.depthwise_kernel if isinstance(layer, layers.SeparableConv2D) else layer.kernel
    weights = _array(kernel)
    if isinstance(layer, layers.DepthwiseConv2D | layers.SeparableConv2D):
        pictures = weights.reshape(*weights.shape[:2], 1, -1).transpose(3, 0, 1, 2)
    elif isinstance(layer, layers.Conv2DTranspose):
        pictures = weights.transpose(2, 0, 1, 3)
    else:
        pictures = weights.transpose(3, 0, 1, 2)
    most = np.abs(pictures).max(axis=(1, 2, 3), keepdims=True)
    return np.asarray(0.5 + 0.5 * pictures / np.where(most > 0, most, 1), dtype=np.float32)


def feature_maps(
    model: keras.Model, images: ArrayLike, layer_names: Sequence[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """What chosen layers put out for a batch of pictures, from one forward pass.

    Args:
        model: The model. Its own activation, where a convolution has one, is part of the map.
        images: Pictures as the model takes them, shape (N, H, W, channels), one batch.
        layer_names: Layers whose output is a feature map; by default all convolutions and
            poolings. The layers of a model inside the model go by their own name; if that occurs
            twice, by their path, such as "base/conv2d".

    Returns:
        Float32 arrays (N, h, w, C) by the layer's name, in the order in which the layers ran.

    Raises:
        ValueError: If there is no such layer, it did not run or ran more than once, or its output
            is no feature map.
    """
    found = _layers(model)
    names = layer_names
    if names is None:
        names = list(_of_kind(found, _CONVOLUTIONS + _POOLINGS, model))
    maps, _ = _outputs(model, images, {name: _named(found, name, model) for name in names})
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
    """Where a feature map spoke for a class (Selvaraju et al. 2017, "Grad-CAM", ICCV).

    Each channel of the feature map is weighted by the mean over positions of the derivative of
    the class's logit for it; the weighted sum, cut off at zero, is the heatmap.

    Args:
        model: A classifier that ends in one sigmoid unit, in softmax, or in logits.
        images: Pictures as the model takes them, shape (N, H, W, channels), at least one.
        layer_name: Layer with the feature map; by default the last convolution. In a network of
            parallel branches name the layer that joins them.
        target: The class to explain, for all pictures or one each; by default the class the model
            predicts. With one output, class 1 is the logit and class 0 its negative.
        batch_size: Pictures at a time: all feature maps of so many are in memory at once. It
            does not change the heatmaps.

    Returns:
        Float32 (N, h, w) at the size of the feature map. Each heatmap is divided by its largest
        value, so it runs from 0 to 1; it is 0 everywhere where nothing spoke for the class.
        Heatmaps of different pictures therefore cannot be compared in strength.

    Raises:
        ValueError: If the layer's output is no feature map, the model does not end in logits of
            classes, there is no such class, `target` names neither one class nor one for each
            picture, there are no pictures, or `batch_size` is not positive.
    """
    pictures = np.asarray(images)
    if not len(pictures) or batch_size < 1:
        raise ValueError(
            f"{len(pictures)} pictures, batch_size {batch_size}: Grad-CAM takes one picture or "
            "more, and at least one at a time"
        )
    classes = _class_of_each(target, len(pictures))
    return np.concatenate(
        [
            _grad_cam(
                model,
                pictures[start : start + batch_size],
                layer_name,
                None if classes is None else classes[start : start + batch_size],
            )
            for start in range(0, len(pictures), batch_size)
        ]
    )


def _class_of_each(target: int | Sequence[int] | None, pictures: int) -> NDArray[Any] | None:
    """The class to explain of each picture, shape (pictures,); None for the predicted one."""
    if target is None:
        return None
    asked = np.asarray(target)
    if asked.shape not in ((), (1,), (pictures,)):
        raise ValueError(
            f"target has the shape {asked.shape} for {pictures} pictures: pass one class, or "
            "one for each picture"
        )
    return np.broadcast_to(asked, (pictures,))


def _grad_cam(
    model: keras.Model,
    images: NDArray[Any],
    layer_name: str | None,
    target: NDArray[Any] | None,
) -> NDArray[np.float32]:
    """Heatmaps of one batch."""
    found = _layers(model)
    name = layer_name or list(_of_kind(found, _CONVOLUTIONS, model))[-1]
    watched = _named(found, name, model)
    last_name, last = list(found.items())[-1]
    seen, prediction = _outputs(model, images, {name: watched, last_name: last})
    _check_feature_map(name, seen[name])
    if prediction.ndim != 2 or not np.array_equal(seen[last_name], prediction):
        raise ValueError(
            f"{model.name} does not end in a layer with one number for each class (its output has "
            f"shape {prediction.shape}, its last layer is {last_name}): Grad-CAM needs a classifier"
        )

    def logits(maps: Tensor) -> Tensor:
        # The pictures go in again, for what passes the layer by on a shortcut.
        calls = {watched: lambda *_, **__: maps, last: _without_activation(last_name, last)}
        with _calling(calls):
            return _run(model, images)

    # The logit, not the probability: where the network is sure, the sigmoid is flat, and its
    # derivative p (1 - p), which multiplies the whole gradient, fades to rounding error. Softmax
    # also mixes in the other classes' logits, so that a map would show what speaks against them.
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
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(heat / np.where(most > 0, most, 1), dtype=np.float32)


def cell_centers(
    model: keras.Model, layer_name: str, image_size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where on the picture the cells of a feature map look: the centers of what each one sees.

    Without padding, each convolution takes a rim off the map. In the lecture's convnet the last
    map spans only the middle half of a picture of 64 x 64 pixels; stretched over all of it, as is
    often done, heat would be drawn up to about a fifth of the picture away from its cause.

    Args:
        model: A network that is one chain of layers as far as the named one.
        layer_name: Layer with the feature map, as for `grad_cam`.
        image_size: Height and width of the pictures in pixels.

    Returns:
        Rows and columns in pixels, 0 being the middle of the first pixel: float64, (h,) and (w,).

    Raises:
        ValueError: If there is no such layer, or the model has branches before it, or operations
            that are no layers.
    """
    only_layers(model)
    found = _layers(model)
    _named(found, layer_name, model)
    before = list(found.values())[: list(found).index(layer_name) + 1]
    if any(isinstance(layer, _OFF_THE_GRID) for layer in before):
        raise ValueError(
            f"the layers before {layer_name} are no plain chain of convolutions and poolings: "
            "leave cell_centers() out, and overlay() stretches the heatmap over the picture"
        )
    return _centers(before, 0, image_size[0]), _centers(before, 1, image_size[1])


def overlay(
    image: ArrayLike, heatmap: ArrayLike, centers: tuple[ArrayLike, ArrayLike] | None = None
) -> NDArray[np.uint8]:
    """A picture with its heatmap, readable without color.

    Heat is brightness: the picture keeps its own light where the heatmap is 1 and falls to a
    third of it where the heatmap is 0. A line, white inside and black outside, runs where the
    heatmap is one half.

    Args:
        image: Picture, uint8, shape (H, W, 3).
        heatmap: Values from 0 to 1, shape (h, w); bilinear between its cells, and gone a cell's
            width beyond the outer ones.
        centers: Rows (h,) and columns (w,) of the heatmap's cells on the picture, in pixels, as
            from `cell_centers`. By default the heatmap is stretched over the picture, which is
            right where the network pads its feature maps ("same").

    Returns:
        Picture, uint8, shape (H, W, 3).

    Raises:
        ValueError: If the picture or the heatmap has another shape, type or range, or the centers
            are those of another feature map.
    """
    picture, heat = np.asarray(image), np.asarray(heatmap, dtype=np.float64)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"overlay() takes one uint8 picture (H, W, 3), got {picture.dtype} of shape "
            f"{picture.shape}: pass images[i], and heatmaps[i] with it"
        )
    if heat.ndim != 2 or not (heat.min() >= 0 and heat.max() <= 1):
        raise ValueError(
            f"overlay() takes one heatmap (h, w) with values from 0 to 1, got shape {heat.shape} "
            "or other values: pass heatmaps[i] of grad_cam()"
        )
    for axis in (0, 1):
        pixels, cells = picture.shape[axis], heat.shape[axis]
        stretched = (np.arange(cells) + 0.5) * pixels / cells - 0.5
        positions = stretched if centers is None else np.asarray(centers[axis])
        if positions.shape != (cells,):
            raise ValueError(
                f"centers of shape {positions.shape} for a heatmap of shape {heat.shape}: take "
                "them from cell_centers() for the layer of the heatmap, in a network without "
                "branches"
            )
        step = positions[1] - positions[0] if cells > 1 else pixels
        # An outer cell keeps its heat for the half step that is its own and fades in the next.
        outward = step * np.array([1, 0.5])
        at = np.concatenate([positions[0] - outward, positions, positions[-1] + outward[::-1]])
        rim = [(int(side == axis),) * 2 for side in (0, 1)]
        heat = np.pad(np.pad(heat, rim, mode="edge"), rim)
        heat = np.apply_along_axis(partial(np.interp, np.arange(pixels), at), axis, heat)
    shown = picture * (1 / 3 + 2 / 3 * heat[..., None])
    hot = heat >= 0.5
    shown[ndimage.binary_dilation(hot) & ~hot] = 0
    shown[hot & ~ndimage.binary_erosion(hot, border_value=1)] = 255
    return np.asarray(np.rint(shown), dtype=np.uint8)


def _layers(model: keras.Model) -> dict[str, keras.Layer]:
    """The layers that compute, models inside the model opened, by a name that is unique."""
    paths: dict[keras.Layer, str] = {}
    for path, layer in _opened(model, ""):
        paths.setdefault(layer, path)
    times = Counter(layer.name for layer in paths)
    return {layer.name if times[layer.name] == 1 else path: layer for layer, path in paths.items()}


def _opened(model: keras.Model, inside: str) -> Iterator[tuple[str, keras.Layer]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _opened(layer, f"{inside}{layer.name}/")
        else:
            yield inside + layer.name, layer


def _of_kind(
    found: Mapping[str, keras.Layer], kinds: tuple[type, ...], model: keras.Model
) -> dict[str, keras.Layer]:
    chosen = {name: layer for name, layer in found.items() if isinstance(layer, kinds)}
    if not chosen:
        raise ValueError(
            f"{model.name} has no {kinds[0].__name__} or the like among its layers "
            f"({', '.join(found) or 'none'}): use a convolutional network"
        )
    return chosen


def _named(found: Mapping[str, keras.Layer], name: str, model: keras.Model) -> keras.Layer:
    if name not in found:
        raise ValueError(f"{model.name} has no layer {name!r}; it has {', '.join(found)}")
    return found[name]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(ops.convert_to_numpy(tensor), dtype=np.float32)


def _run(model: keras.Model, images: ArrayLike) -> Tensor:
    return model(ops.convert_to_tensor(np.asarray(images)), training=False)


@contextmanager
def _calling(calls: Mapping[keras.Layer, Callable[..., Tensor]]) -> Iterator[None]:
    """Let layers compute something else for as long as the block lasts.

    Keras has no hooks on layers. Cutting the graph of a functional model in two instead reaches
    neither into a model that is one layer of another nor into a subclassed one.
    """
    try:
        for layer, call in calls.items():
            layer.call = call
        yield
    finally:
        for layer in calls:
            vars(layer).pop("call", None)  # The method of the class shows again.


def _outputs(
    model: keras.Model, images: ArrayLike, watched: Mapping[str, keras.Layer]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """What some layers and the model itself put out, from one forward pass."""
    seen: dict[str, Tensor] = {}

    def noting(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(call)
        def call_and_note(*args: Tensor, **kwargs: Any) -> Tensor:
            if name in seen:
                raise ValueError(f"layer {name} runs more than once: it has no one feature map")
            seen[name] = call(*args, **kwargs)
            return seen[name]

        return call_and_note

    with _calling({layer: noting(name, layer.call) for name, layer in watched.items()}):
        result = _run(model, images)
    if silent := [name for name in watched if name not in seen]:
        raise ValueError(f"{', '.join(silent)} did not run when {model.name} saw the pictures")
    return {name: _array(output) for name, output in seen.items()}, _array(result)


def _centers(chain: Iterable[keras.Layer], axis: int, size: int) -> NDArray[np.float64]:
    """Positions start + step * i of the cells behind a chain of layers, along one axis."""
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
            f"{name} puts out an array of shape {output.shape}, not a feature map (N, h, w, C): "
            "name a layer before the flattening or global pooling"
        )


def _without_activation(name: str, layer: keras.Layer) -> Callable[..., Tensor]:
    """The last layer's call, as far as the logits."""
    if isinstance(layer, layers.Softmax):
        return lambda inputs, *_, **__: inputs
    activation = getattr(layer, "activation", keras.activations.linear)
    known = (keras.activations.linear, keras.activations.sigmoid, keras.activations.softmax)
    if activation not in known:
        raise ValueError(
            f"the model's last layer, {name}, ends in {keras.activations.serialize(activation)}: "
            "only before sigmoid and softmax is there a logit to explain"
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
    """Factor of each logit, shape (N, outputs), that makes the one to explain of them."""
    outputs = prediction.shape[1]
    classes = max(outputs, 2)
    if target is not None:
        chosen = target
    elif outputs == 1:
        is_sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid
        chosen = (prediction[:, 0] > (0.5 if is_sigmoid else 0)).astype(int)
    else:
        chosen = prediction.argmax(axis=1)
    if not np.issubdtype(chosen.dtype, np.integer) or chosen.min() < 0 or chosen.max() >= classes:
        raise ValueError(f"target is {target}: this model's classes are 0 to {classes - 1}")
    one_hot: NDArray[np.float32] = np.eye(classes, dtype=np.float32)[chosen]
    if outputs > 1:
        return one_hot
    return np.asarray(one_hot[:, 1:] - one_hot[:, :1], dtype=np.float32)
