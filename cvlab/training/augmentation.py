"""The lecture's seven augmentation options as one Keras layer that resamples once.

A chain of `RandomRotation`, `RandomTranslation`, `RandomShear`, `RandomZoom` and `RandomFlip`
interpolates every image five times. `Augment` samples the same parameters, composes them into one
affine map per image and interpolates once: one pass, and less blur.

The options mean the same as in `ImageDataGenerator`, which the lecture uses:

* `rotation_range` is in degrees. (`keras.layers.RandomRotation` takes fractions of a full turn:
  the lecture's 40 degrees are its `factor=40 / 360`.)
* `shear_range` is in degrees as well: the lecture's 0.2 is a fifth of a degree and moves the
  outermost row of a 150-pixel image by a quarter of a pixel. The number dates from a time when
  Keras took radians (changed in January 2018, pull request 8868 of keras-team/keras). For the
  original effect write `shear_range=math.degrees(0.2)`, 11.5 degrees.
* `zoom_range` scales the distance between the pixels that are read, separately for each axis:
  a factor of 1.2 shrinks the image, 0.8 magnifies it.
* `width_shift_range` moves images left and right, `height_shift_range` up and down, as the lecture
  says. Today's generator swaps the two (issue 17398 of keras-team/keras), which has no effect if
  both have the same value.
"""

from collections.abc import Callable, Sequence
from functools import cache
from numbers import Real
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from cvlab.models.graph import Tensor

# The lecture's settings (step 12), including its 0.2 for the shear: `Augment(**LECTURE_OPTIONS)`.
LECTURE_OPTIONS: Final[MappingProxyType[str, Any]] = MappingProxyType(
    {
        "rotation_range": 40,
        "width_shift_range": 0.2,
        "height_shift_range": 0.2,
        "shear_range": 0.2,
        "zoom_range": 0.2,
        "horizontal_flip": True,
        "fill_mode": "nearest",
    }
)
FILL_MODES: Final = ("nearest", "reflect", "constant", "wrap")
# Upper limits, and what to pass.
_RANGES: Final = {
    "rotation_range": (180, "0 to 180 degrees"),
    "width_shift_range": (1, "a fraction of the width, 0 to below 1, not pixels"),
    "height_shift_range": (1, "a fraction of the height, 0 to below 1, not pixels"),
    "shear_range": (90, "0 to below 90 degrees"),
    "zoom_range": (1, "0 to below 1: factors are sampled from 1 - value to 1 + value"),
}

Image: TypeAlias = NDArray[np.generic]
Level = TypeVar("Level", bound=np.generic)  # The dtype of images that keep their own.


class Transforms(NamedTuple):
    """One transform for each image of a batch; seven float32 tensors of shape (N,).

    The values can be NumPy arrays too. The identity has ones for the zooms and zeros for the rest.

    Attributes:
        rotation: Degrees, positive rotates the image counterclockwise.
        width_shift: Fraction of the width, positive moves the image to the right.
        height_shift: Fraction of the height, positive moves the image down.
        shear: Degrees, positive moves the lower rows to the right and the upper ones to the left.
        width_zoom: Distance between the columns read; above 1 the image gets narrower.
        height_zoom: Distance between the rows read; above 1 the image gets flatter.
        flip: 1 to exchange left and right, 0 not to.
    """

    rotation: Tensor
    width_shift: Tensor
    height_shift: Tensor
    shear: Tensor
    width_zoom: Tensor
    height_zoom: Tensor
    flip: Tensor


_IDENTITY: Final = Transforms(*np.array([[0], [0], [0], [0], [1], [1], [0]], np.float32))


def affine_matrix(transforms: Transforms, height: int, width: int) -> Tensor:
    """Compose each image's transform into one affine map from output to input pixels.

    The order is that of `ImageDataGenerator`: the product rotation x shift x shear x zoom about
    the center of the image, ((width - 1) / 2, (height - 1) / 2), and the flip last. The product
    maps output to input positions, so the image itself is rotated first, then shifted, sheared,
    zoomed and flipped.

    Args:
        transforms: N transforms.
        height: Rows of the images.
        width: Columns of the images.

    Returns:
        Float32, shape (N, 2, 3): the output pixel in column x and row y gets the value at position
        `matrix @ [x, y, 1]` of the input.
    """
    turn, width_shift, height_shift, shear, width_zoom, height_zoom, flip = (
        ops.cast(value, "float32") for value in transforms
    )
    turn, shear = turn * (np.pi / 180), shear * (np.pi / 180)
    cos, sin = ops.cos(turn), ops.sin(turn)
    # Keras' shear matrix is [[1, -sin(shear)], [0, cos(shear)]]: in its product with the rotation
    # only the second column is rotated further.
    columns = width_zoom * (1 - 2 * flip)
    xx, xy = columns * cos, -height_zoom * ops.sin(turn + shear)
    yx, yy = columns * sin, height_zoom * ops.cos(turn + shear)
    # An image that moves to the right is read further to the left.
    right, down = width_shift * width, height_shift * height
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x = center_x - xx * center_x - xy * center_y - cos * right + sin * down
    y = center_y - yx * center_x - yy * center_y - sin * right - cos * down
    return ops.stack([ops.stack([xx, xy, x], axis=-1), ops.stack([yx, yy, y], axis=-1)], axis=-2)


def resample(images: Tensor, matrix: Tensor, *, fill_mode: str = "nearest") -> Tensor:
    """Read every output pixel where the affine map of its image points, by bilinear interpolation.

    `keras.ops.image.affine_transform` does the same, but XLA cannot compile its TensorFlow kernel,
    which also truncates uint8 results instead of rounding them and mixes the fill value into the
    seams of `wrap`. With gathers, the pixels beyond the border are exactly those of the fill mode,
    on every backend.

    Args:
        images: Shape (N, height, width, channels), integer or float of any range.
        matrix: Shape (N, 2, 3), see `affine_matrix`.
        fill_mode: How a row `a b c d` continues beyond its ends. `nearest`: `a a | a b c d | d d`;
            `reflect`: `b a | a b c d | d c`; `wrap`: `c d | a b c d | a b`; `constant`:
            `0 0 | a b c d | 0 0`. SciPy calls them `nearest`, `reflect`, `grid-wrap` and
            `grid-constant`.

    Returns:
        Shape and dtype of `images`; integer images are rounded to the nearest level.
    """
    images, matrix = ops.convert_to_tensor(images), ops.cast(matrix, "float32")
    count, height, width, channels = ops.shape(images)
    column = ops.arange(width, dtype="float32")
    row = ops.arange(height, dtype="float32")[:, None]
    xx, xy, x, yx, yy, y = (matrix[:, i, j, None, None] for i in range(2) for j in range(3))
    x, y = (xx * column + x) + xy * row, (yx * column + y) + yy * row

    frame = 0
    if fill_mode == "constant":
        # With a frame one pixel wide, continuing the constant means repeating the border.
        frame = 1
        images = ops.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    pixels = ops.reshape(images, (-1, channels))
    first = ops.arange(count, dtype="int32")[:, None, None] * (height + 2 * frame)

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        rows = _inside(rows + frame, height + 2 * frame, fill_mode)
        columns = _inside(columns + frame, width + 2 * frame, fill_mode)
        index = (first + rows) * (width + 2 * frame) + columns
        return ops.cast(ops.take(pixels, index, axis=0), "float32")

    left, top = ops.floor(x), ops.floor(y)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")

    def read_row(rows: Tensor) -> Tensor:
        here = read(rows, left)
        return here + right_share * (read(rows, left + 1) - here)

    upper = read_row(top)
    values = upper + lower_share * (read_row(top + 1) - upper)
    dtype = keras.backend.standardize_dtype(images.dtype)
    return ops.cast(ops.round(values) if "int" in dtype else values, dtype)


def _inside(index: Tensor, size: int, fill_mode: str) -> Tensor:
    """Map indices beyond the border to those from 0 to size - 1 that have the same value."""
    if fill_mode == "wrap":
        return ops.mod(index, size)
    if fill_mode == "reflect":
        index = ops.mod(index, 2 * size)
        return ops.minimum(index, 2 * size - 1 - index)
    return ops.clip(index, 0, size - 1)


@cache
def _transform_function(fill_mode: str) -> Callable[[Tensor, Transforms], Tensor]:
    """Return composing and resampling as one function, compiled where that pays.

    XLA fuses the whole computation into one loop over the output, several times as fast as the
    single operations. Keras can compile only whole training steps, so backends are named here.
    """

    def transform(images: Tensor, transforms: Transforms) -> Tensor:
        matrix = affine_matrix(transforms, images.shape[1], images.shape[2])
        return resample(images, matrix, fill_mode=fill_mode)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        compiled = tf.function(transform, jit_compile=True, autograph=False)

        def compiled_in_graphs(images: Tensor, transforms: Transforms) -> Tensor:
            # Eager calls are previews of a few images, each time in another shape: compiling
            # takes longer than the work. `fit` and tf.data call from within a graph.
            return (transform if tf.executing_eagerly() else compiled)(images, transforms)

        return compiled_in_graphs
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        return jax.jit(transform)  # type: ignore[no-any-return]
    return transform


@keras.saving.register_keras_serializable(package="cvlab")
class Augment(keras.layers.Layer):
    """Random affine transforms of training images, composed and resampled in one pass.

    The layer acts when called with `training=True`, as `fit` does, and returns its input unchanged
    otherwise. It takes a batch (N, height, width, channels) or one image (height, width, channels),
    integer or float, and returns the same shape and dtype; with uint8 it can come before any
    `Rescaling` or `preprocess_input`. Each image has its own transform.

    In a `tf.data` pipeline (TensorFlow backend): `.batch(n).map(lambda x, y: (augment(x,
    training=True), y))`. Parallel calls share one random state, so omit `num_parallel_calls` where
    a seed must reproduce the images.

    Args:
        rotation_range: Degrees, 0 to 180; angles are sampled from -value to value.
        width_shift_range: Fraction of the width, below 1; shifts from -value to value.
        height_shift_range: Fraction of the height, below 1; shifts from -value to value.
        shear_range: Degrees, below 90; angles from -value to value. The lecture's 0.2 has no
            visible effect; see the top of this module for what to write instead.
        zoom_range: Below 1; factors are sampled from 1 - value to 1 + value, for width and height
            independently. Above 1 the image shrinks.
        horizontal_flip: Whether to exchange left and right in half of the images.
        fill_mode: What is beyond the border: `nearest`, `reflect`, `constant` (zeros) or `wrap`;
            see `resample`.
        seed: An integer makes the sequence of transforms reproducible, for one backend and one
            way to run it: TensorFlow draws other numbers in a function that XLA compiles. Each
            option has its own random numbers: switching one on does not change the others.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If an option is out of its range, or the input does not have 3 or 4 axes.
        TypeError: If an option is not a number.
    """

    def __init__(
        self,
        *,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: float = 0.0,
        horizontal_flip: bool = False,
        fill_mode: str = "nearest",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        """Check and keep the options; see the class."""
        # Without autocasting, images of every dtype come back in the dtype they came in.
        super().__init__(**{"autocast": False, **kwargs})
        self.rotation_range = _checked("rotation_range", rotation_range)
        self.width_shift_range = _checked("width_shift_range", width_shift_range)
        self.height_shift_range = _checked("height_shift_range", height_shift_range)
        self.shear_range = _checked("shear_range", shear_range)
        self.zoom_range = _checked("zoom_range", zoom_range)
        self.horizontal_flip = bool(horizontal_flip)
        if fill_mode not in FILL_MODES:
            raise ValueError(f"fill_mode={fill_mode!r}: pass one of {', '.join(FILL_MODES)}.")
        self.fill_mode = fill_mode
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def draw(self, count: int | Tensor) -> Transforms:
        """Draw the transforms of `count` images and advance the random state."""
        unit = keras.random.uniform((7, count), dtype="float32", seed=self.seed_generator)
        signed = 2 * unit - 1
        low, high = 1 - self.zoom_range, 1 + self.zoom_range
        return Transforms(
            rotation=signed[0] * self.rotation_range,
            width_shift=signed[1] * self.width_shift_range,
            height_shift=signed[2] * self.height_shift_range,
            shear=signed[3] * self.shear_range,
            width_zoom=low + unit[4] * (high - low),
            height_zoom=low + unit[5] * (high - low),
            flip=ops.cast(unit[6] < 0.5 * self.horizontal_flip, "float32"),
        )

    def transform(self, images: Tensor, transforms: Transforms) -> Tensor:
        """Apply given transforms to a batch (N, height, width, channels)."""
        return _transform_function(self.fill_mode)(ops.convert_to_tensor(images), transforms)

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Transform the images if `training`, else return them unchanged."""
        shape = images.shape
        if len(shape) not in (3, 4) or None in shape[-3:]:
            raise ValueError(
                f"{self.name} got an input of shape {tuple(shape)}. Pass a batch (N, height, width,"
                " channels) or one image (height, width, channels) of known size; in a tf.data "
                "pipeline resize the images first."
            )
        if not training:
            return images
        if len(shape) == 3:
            return self.transform(images[None], self.draw(1))[0]
        return self.transform(images, self.draw(ops.shape(images)[0]))

    def compute_output_spec(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Return the shape and dtype of the input."""
        return keras.KerasTensor(images.shape, dtype=images.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = (*_RANGES, "horizontal_flip", "fill_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def preview(image: Image, layer: keras.layers.Layer, n: int) -> Image:
    """Return one image and `n` augmented versions of it.

    Args:
        image: Shape (height, width, channels).
        layer: An `Augment`, or any Keras layer or model that changes images in training.
        n: Number of versions, at least 1.

    Returns:
        Shape (n + 1, height, width, channels), dtype of `image`; the original comes first.

    Raises:
        ValueError: If `image` is not one image, or `n` is not positive.
    """
    image = _one_image(image)
    if n < 1:
        raise ValueError(f"preview was asked for n={n} versions. Pass n >= 1.")
    return np.concatenate([image[None], augment_all(np.repeat(image[None], n, axis=0), layer)])


def augment_all(
    images: NDArray[Level], layer: keras.layers.Layer, *, batch_size: int = 200
) -> NDArray[Level]:
    """Return one augmented version of every image, computed batch by batch.

    Args:
        images: Shape (N, height, width, channels), N at least 1; may be memory-mapped.
        layer: An `Augment`, or any Keras layer or model that changes images in training.
        batch_size: Images in memory besides the result. The transforms that a seed draws depend on
            it too.

    Returns:
        Shape and dtype of `images`.
    """
    images = np.asanyarray(images)
    dtype: np.dtype[Any] = images.dtype
    changed = np.empty_like(images, subok=False)
    for start in range(0, len(images), batch_size):
        batch = layer(np.asarray(images[start : start + batch_size]), training=True)
        batch = ops.convert_to_numpy(batch)
        if dtype.kind in "iu" and batch.dtype.kind not in "iu":
            levels = np.iinfo(dtype)
            batch = np.clip(np.rint(batch), levels.min, levels.max)
        changed[start : start + batch_size] = batch
    return changed


def sweep(
    image: Image, option: str, values: Sequence[Any], *, fill_mode: str = "nearest"
) -> tuple[Image, list[str]]:
    """Return one image with one option at each of several values; nothing is random.

    Args:
        image: Shape (height, width, channels).
        option: One of the lecture's seven, as `Augment` spells them.
        values: Values that the option may draw, in its unit: angles in degrees from -40 to 40 for
            `rotation_range=40`, factors (for both axes) from 0.8 to 1.2 for `zoom_range=0.2`,
            False and True for `horizontal_flip`. For `fill_mode`, names of modes, shown on the
            image rotated by 30 degrees and shifted by a quarter to the right.
        fill_mode: The fill mode for the other options.

    Returns:
        The images, shape (len(values), height, width, channels) and dtype of `image`, and a label
        with unit for each.

    Raises:
        ValueError: If there is no such option, or a fill mode is unknown.
    """
    image = _one_image(image)
    if option == "fill_mode":
        moved = Transforms(*np.array([[30], [0.25], [0], [0], [1], [1], [0]], np.float32))
        images = [Augment(fill_mode=mode).transform(image[None], moved)[0] for mode in values]
        return np.stack([ops.convert_to_numpy(one) for one in images]), [str(v) for v in values]
    fields_and_label = {
        "rotation_range": (("rotation",), "rotated {:+g}°"),
        "width_shift_range": (("width_shift",), "width {:+g}"),
        "height_shift_range": (("height_shift",), "height {:+g}"),
        "shear_range": (("shear",), "sheared {:+g}°"),
        "zoom_range": (("width_zoom", "height_zoom"), "zoom {:g}"),
        "horizontal_flip": (("flip",), "{}"),
    }
    if option not in fields_and_label:
        options = ", ".join([*fields_and_label, "fill_mode"])
        raise ValueError(f"There is no option {option!r} to sweep. Pass one of: {options}.")
    fields, label = fields_and_label[option]
    changed = _IDENTITY._replace(**dict.fromkeys(fields, np.asarray(values, "float32")))
    transforms = Transforms(*np.broadcast_arrays(*changed))
    batch = np.repeat(image[None], len(values), axis=0)
    images = ops.convert_to_numpy(Augment(fill_mode=fill_mode).transform(batch, transforms))
    if option == "horizontal_flip":
        return images, ["flipped" if value else "not flipped" for value in values]
    return images, [label.format(value) for value in values]


def _one_image(image: Image) -> Image:
    image = np.asarray(image)
    if image.ndim != 3:
        raise ValueError(f"Got shape {image.shape}. Pass one image (height, width, channels).")
    return image


def _checked(option: str, value: float) -> float:
    """Return the value of an option with a range as float."""
    limit, allowed = _RANGES[option]
    if not isinstance(value, Real):
        raise TypeError(f"{option}={value!r} is not a number: pass {allowed}.")
    if value < 0 or value > limit or (value == limit and option != "rotation_range"):
        raise ValueError(f"{option}={value} is out of range: pass {allowed}.")
    return float(value)
