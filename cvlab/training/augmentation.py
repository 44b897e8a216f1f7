"""The lecture's seven augmentation options as one Keras layer that resamples once.

A chain of `RandomRotation`, `RandomTranslation`, `RandomShear`, `RandomZoom` and `RandomFlip`
interpolates every picture five times. `Augment` draws the same parameters, multiplies them into
one affine map per picture and interpolates once: one pass, and less blur.

What the options mean is what `ImageDataGenerator`, which the lecture uses, makes of them:

* `rotation_range` is in degrees. (`keras.layers.RandomRotation` takes fractions of a full turn:
  the lecture's 40 degrees are its `factor=40 / 360`.)
* `shear_range` is in degrees as well, and there lies a trap: the lecture's 0.2 is a fifth of a
  degree, which moves the outermost row of a 150-pixel picture by a quarter of a pixel. The
  number dates from a time when Keras took radians (changed in January 2018, pull request 8868 of
  keras-team/keras). Whoever wants what it was chosen for writes
  `shear_range=math.degrees(0.2)`, 11.5 degrees.
* `zoom_range` scales the distance between the pixels that are read, separately for each axis:
  a factor of 1.2 shrinks the picture, 0.8 magnifies it.
* `width_shift_range` moves pictures left and right, `height_shift_range` up and down, as the
  lecture says. The generator of today swaps the two (issue 17398 of keras-team/keras), which
  nobody sees while both have the same value.
"""

from collections.abc import Callable, Sequence
from functools import cache
from numbers import Real
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

# The lecture's settings (step 12), its 0.2 for the shear included. For use as in
# `Augment(**LECTURE_OPTIONS, seed=0)`.
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
FILL_MODES = ("nearest", "reflect", "constant", "wrap")
INTERPOLATIONS = ("bilinear", "nearest")

Tensor: TypeAlias = Any  # Keras has no type for "a tensor of whichever backend runs".
Picture: TypeAlias = NDArray[np.generic]
Level = TypeVar("Level", bound=np.generic)  # The dtype of pictures that come back in their own.


class Transforms(NamedTuple):
    """What is done to each picture of a batch; seven float32 tensors of shape (N,).

    The values can be NumPy arrays too. A transform that changes nothing has ones for the zooms
    and zeros for the rest.

    Attributes:
        rotation: Degrees, positive turns the picture counterclockwise.
        width_shift: Fraction of the width, positive moves the picture to the right.
        height_shift: Fraction of the height, positive moves the picture down.
        shear: Degrees, positive moves the lower rows to the right and the upper ones to the left.
        width_zoom: Distance between the columns read; above 1 the picture gets narrower.
        height_zoom: Distance between the rows read; above 1 the picture gets flatter.
        flip: 1 to exchange left and right, 0 not to.
    """

    rotation: Tensor
    width_shift: Tensor
    height_shift: Tensor
    shear: Tensor
    width_zoom: Tensor
    height_zoom: Tensor
    flip: Tensor


def affine_matrix(transforms: Transforms, height: int, width: int) -> Tensor:
    """Compose each picture's transform into one affine map from output to input pixels.

    The order is that of `ImageDataGenerator`: the product rotation x shift x shear x zoom about
    the center of the picture, ((width - 1) / 2, (height - 1) / 2), and the flip last. The product
    leads from the output back to the input, so the picture itself is rotated first, then shifted,
    sheared, zoomed and flipped.

    Args:
        transforms: N transforms.
        height: Rows of the pictures.
        width: Columns of the pictures.

    Returns:
        Float32, shape (N, 2, 3): the output pixel in column x and row y takes the value found at
        `matrix @ [x, y, 1]` of the input.
    """
    turn, width_shift, height_shift, shear, width_zoom, height_zoom, flip = (
        ops.cast(value, "float32") for value in transforms
    )
    turn, shear = turn * (np.pi / 180), shear * (np.pi / 180)
    cos, sin = ops.cos(turn), ops.sin(turn)
    # Keras' shear matrix is [[1, -sin(shear)], [0, cos(shear)]]: its product with the rotation
    # only turns the second column on.
    columns = width_zoom * (1 - 2 * flip)
    xx, xy = columns * cos, -height_zoom * ops.sin(turn + shear)
    yx, yy = columns * sin, height_zoom * ops.cos(turn + shear)
    # A picture that moves to the right is read further to the left.
    right, down = width_shift * width, height_shift * height
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x = center_x - xx * center_x - xy * center_y - cos * right + sin * down
    y = center_y - yx * center_x - yy * center_y - sin * right - cos * down
    return ops.stack([ops.stack([xx, xy, x], axis=-1), ops.stack([yx, yy, y], axis=-1)], axis=-2)


def resample(
    images: Tensor,
    matrix: Tensor,
    *,
    interpolation: str = "bilinear",
    fill_mode: str = "nearest",
    fill_value: float = 0.0,
) -> Tensor:
    """Read every output pixel from where its picture's affine map points to.

    `keras.ops.image.affine_transform` does the same, but its TensorFlow kernel cannot be compiled
    by XLA, cuts uint8 results off instead of rounding them, and mixes the fill value into the
    seams of `wrap`. Written with gathers, the picture beyond its border is exactly what the fill
    mode says, on every backend.

    Args:
        images: Shape (N, height, width, channels), integer or float of any range.
        matrix: Shape (N, 2, 3), see `affine_matrix`.
        interpolation: `bilinear` or `nearest`.
        fill_mode: How a row `a b c d` goes on beyond its ends. `nearest`: `a a | a b c d | d d`;
            `reflect`: `b a | a b c d | d c`; `wrap`: `c d | a b c d | a b`; `constant`:
            `k k | a b c d | k k` with k the `fill_value`. SciPy's names for them: `nearest`,
            `reflect`, `grid-wrap`, `grid-constant`.
        fill_value: In the unit of the pictures; used by `constant` only.

    Returns:
        Shape and dtype of `images`; integer pictures are rounded to the nearest level.
    """
    images, matrix = ops.convert_to_tensor(images), ops.cast(matrix, "float32")
    count, height, width, channels = ops.shape(images)
    column = ops.arange(width, dtype="float32")
    row = ops.arange(height, dtype="float32")[:, None]
    xx, xy, x, yx, yy, y = (matrix[:, i, j, None, None] for i in range(2) for j in range(3))
    x, y = (xx * column + x) + xy * row, (yx * column + y) + yy * row

    dtype = keras.backend.standardize_dtype(images.dtype)
    frame = 0
    if fill_mode == "constant":
        # Inside a frame one pixel wide, going on with the constant means repeating the border.
        frame = 1
        images = ops.pad(
            images,
            [(0, 0), (1, 1), (1, 1), (0, 0)],
            mode="constant",
            constant_values=int(fill_value) if "int" in dtype else fill_value,
        )
    pixels = ops.reshape(images, (-1, channels))
    first = ops.arange(count, dtype="int32")[:, None, None] * (height + 2 * frame)

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        rows = _inside(rows + frame, height + 2 * frame, fill_mode)
        columns = _inside(columns + frame, width + 2 * frame, fill_mode)
        index = (first + rows) * (width + 2 * frame) + columns
        return ops.take(pixels, index, axis=0)

    if interpolation == "nearest":
        return read(ops.cast(ops.floor(y + 0.5), "int32"), ops.cast(ops.floor(x + 0.5), "int32"))

    left, top = ops.floor(x), ops.floor(y)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")

    def read_row(rows: Tensor) -> Tensor:
        here = ops.cast(read(rows, left), "float32")
        return here + right_share * (ops.cast(read(rows, left + 1), "float32") - here)

    upper = read_row(top)
    values = upper + lower_share * (read_row(top + 1) - upper)
    return ops.cast(ops.round(values) if "int" in dtype else values, dtype)


def _inside(index: Tensor, size: int, fill_mode: str) -> Tensor:
    """The positions in 0 to size - 1 whose values stand at `index`, which may lie outside."""
    if fill_mode == "wrap":
        return ops.mod(index, size)
    if fill_mode == "reflect":
        index = ops.mod(index, 2 * size)
        return ops.minimum(index, 2 * size - 1 - index)
    return ops.clip(index, 0, size - 1)


@cache
def _transform_function(
    interpolation: str, fill_mode: str, fill_value: float
) -> Callable[[Tensor, Transforms], Tensor]:
    """Compose and resample as one function, compiled where that pays.

    XLA fuses the whole computation into one loop over the output, several times as fast as the
    same operations one by one. Keras has no word for it but `compile`, so backends are named here.
    """

    def transform(images: Tensor, transforms: Transforms) -> Tensor:
        return resample(
            images,
            affine_matrix(transforms, images.shape[1], images.shape[2]),
            interpolation=interpolation,
            fill_mode=fill_mode,
            fill_value=fill_value,
        )

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        compiled = tf.function(transform, jit_compile=True, autograph=False)

        def compiled_in_graphs(images: Tensor, transforms: Transforms) -> Tensor:
            # Eager calls are previews of a few pictures, each time in another shape: compiling
            # takes longer than the work. `fit` and tf.data call from within a graph.
            return (transform if tf.executing_eagerly() else compiled)(images, transforms)

        return compiled_in_graphs
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415

        return jax.jit(transform)  # type: ignore[no-any-return]
    return transform


@keras.saving.register_keras_serializable(package="cvlab")
class Augment(keras.layers.Layer):
    """Random affine changes of training pictures, composed and resampled in one pass.

    The layer acts when called with `training=True`, which `fit` does, and hands its input on
    unchanged otherwise. It takes a batch (N, height, width, channels) or one picture (height,
    width, channels), integer or float, and returns the same shape and dtype; with uint8 it can
    stand in front of any `Rescaling` or `preprocess_input`. Each picture has its own transform.

    In a `tf.data` pipeline (TensorFlow backend): `.batch(n).map(lambda x, y: (augment(x,
    training=True), y))`. Calls that run in parallel share one random state, so leave
    `num_parallel_calls` out where a seed must give the same pictures again.

    Args:
        rotation_range: Degrees, 0 to 180; angles are drawn from -value to value.
        width_shift_range: Fraction of the width, below 1; shifts from -value to value.
        height_shift_range: Fraction of the height, below 1; shifts from -value to value.
        shear_range: Degrees, below 90; angles from -value to value. The lecture's 0.2 does
            nothing that can be seen; see the module's text for what to write instead.
        zoom_range: Factors are drawn from 1 - value to 1 + value (value below 1), or from the
            pair (low, high), for width and height independently. Above 1 the picture shrinks.
        horizontal_flip: Whether to exchange left and right in half of the pictures.
        fill_mode: What lies beyond the border: `nearest`, `reflect`, `constant` or `wrap`; see
            `resample`.
        fill_value: In the unit of the pictures; used by `fill_mode="constant"` only.
        interpolation: `bilinear`, or `nearest` for label maps.
        seed: An integer makes the sequence of transforms reproducible, for one backend and one
            way to run it: TensorFlow draws other numbers in a function that XLA compiles. The
            options do not share random numbers: switching one on leaves what the others draw as
            it was.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If an option is out of its range, or the input has no 3 or 4 axes.
    """

    def __init__(
        self,
        *,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        horizontal_flip: bool = False,
        fill_mode: str = "nearest",
        fill_value: float = 0.0,
        interpolation: str = "bilinear",
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        """Check and keep the options; see the class."""
        # Without autocasting, pictures of every dtype come back in the dtype they came in.
        super().__init__(**{"autocast": False, **kwargs})
        self.rotation_range = _half_range(
            "rotation_range", rotation_range, lambda turn: turn <= 180, "0 to 180 degrees"
        )
        fraction = "a fraction of the {}, 0 to below 1, not pixels"
        self.width_shift_range = _half_range(
            "width_shift_range", width_shift_range, lambda part: part < 1, fraction.format("width")
        )
        self.height_shift_range = _half_range(
            "height_shift_range",
            height_shift_range,
            lambda part: part < 1,
            fraction.format("height"),
        )
        self.shear_range = _half_range(
            "shear_range", shear_range, lambda turn: turn < 90, "0 to below 90 degrees"
        )
        self.zoom_range = _zoom_bounds(zoom_range)
        self.horizontal_flip = bool(horizontal_flip)
        self.fill_mode = _one_of("fill_mode", fill_mode, FILL_MODES)
        self.fill_value = float(fill_value)
        self.interpolation = _one_of("interpolation", interpolation, INTERPOLATIONS)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def draw(self, count: int | Tensor) -> Transforms:
        """Draw the transforms of `count` pictures and move the random state on."""
        unit = keras.random.uniform((7, count), dtype="float32", seed=self.seed_generator)
        signed = 2 * unit - 1
        low, high = self.zoom_range
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
        """Apply known transforms to a batch (N, height, width, channels) with the layer's border.

        Raises:
            ValueError: If `fill_value` cannot be a pixel of these integer pictures.
        """
        images = ops.convert_to_tensor(images)
        dtype = keras.backend.standardize_dtype(images.dtype)
        if self.fill_mode == "constant" and "int" in dtype:
            limits = np.iinfo(dtype)
            if self.fill_value % 1 or not limits.min <= self.fill_value <= limits.max:
                raise ValueError(
                    f"fill_value={self.fill_value} is no level of {dtype} pictures. Pass a whole "
                    f"number from {limits.min} to {limits.max}, or convert the pictures to float."
                )
        function = _transform_function(self.interpolation, self.fill_mode, self.fill_value)
        return function(images, transforms)

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Transform the pictures if `training`, else return them as they are."""
        shape = images.shape
        if len(shape) not in (3, 4) or None in shape[-3:]:
            raise ValueError(
                f"{self.name} got an input of shape {tuple(shape)}. Pass a batch (N, height, width,"
                " channels) or one picture (height, width, channels) of known size; in a tf.data "
                "pipeline resize the pictures first."
            )
        if not training:
            return images
        if len(shape) == 3:
            return self.transform(images[None], self.draw(1))[0]
        return self.transform(images, self.draw(ops.shape(images)[0]))

    def compute_output_spec(self, images: Tensor, training: bool | None = None) -> Tensor:
        """A batch of the same shape and dtype."""
        return keras.KerasTensor(images.shape, dtype=images.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again."""
        names = (
            *("rotation_range", "width_shift_range", "height_shift_range", "shear_range"),
            *("zoom_range", "horizontal_flip", "fill_mode", "fill_value", "interpolation", "seed"),
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def preview(image: Picture, layer: keras.layers.Layer, n: int) -> Picture:
    """One picture and `n` augmented versions of it.

    Args:
        image: Shape (height, width, channels).
        layer: An `Augment`, or any Keras layer or model that changes pictures in training.
        n: Versions to make, at least 1.

    Returns:
        Shape (n + 1, height, width, channels), dtype of `image`; the original comes first.
    """
    image = _one_picture(image)
    if n < 1:
        raise ValueError(f"preview was asked for n={n} versions. Pass n >= 1.")
    versions = layer(np.repeat(image[None], n, axis=0), training=True)
    return np.concatenate([image[None], _levels(versions, image.dtype)])


def augment_all(
    images: NDArray[Level], layer: keras.layers.Layer, *, batch_size: int = 200
) -> NDArray[Level]:
    """One augmented version of every picture, a batch at a time.

    Args:
        images: Shape (N, height, width, channels), N at least 1; may be memory-mapped.
        layer: An `Augment`, or any Keras layer or model that changes pictures in training.
        batch_size: Pictures in memory beside the result. Which transforms a seed gives depends on
            it too.

    Returns:
        Shape and dtype of `images`.
    """
    images = np.asanyarray(images)
    changed = np.empty_like(images, subok=False)
    for start in range(0, len(images), batch_size):
        batch = layer(np.asarray(images[start : start + batch_size]), training=True)
        changed[start : start + batch_size] = _levels(batch, images.dtype)
    return changed


def _levels(pictures: Tensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    """What a layer returned, in the dtype of the pictures: whole numbers are rounded, not cut."""
    found = np.asarray(ops.convert_to_numpy(pictures))
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(found.dtype, np.integer):
        limits = np.iinfo(dtype)
        found = np.clip(np.rint(found), limits.min, limits.max)
    return found.astype(dtype, copy=False)


def sweep(
    image: Picture, option: str, values: Sequence[Any], *, fill_mode: str = "nearest"
) -> tuple[Picture, list[str]]:
    """One picture with one option at each of several values, nothing drawn by chance.

    Args:
        image: Shape (height, width, channels).
        option: One of the lecture's seven, as `Augment` spells them.
        values: What the option may draw, in its unit: angles in degrees from -40 to 40 for
            `rotation_range=40`, factors (for both axes) from 0.8 to 1.2 for `zoom_range=0.2`,
            False and True for `horizontal_flip`. For `fill_mode`, names of modes, shown on the
            picture turned by 30 degrees and shifted by a quarter to the right.
        fill_mode: The border while another option is swept.

    Returns:
        The pictures, shape (len(values), height, width, channels) and dtype of `image`, and a
        label with unit for each.

    Raises:
        ValueError: If there is no such option, or a fill mode is unknown.
    """
    image = _one_picture(image)
    if option == "fill_mode":
        moved = _transforms(1, rotation=30.0, width_shift=0.25)
        pictures = [Augment(fill_mode=mode).transform(image[None], moved)[0] for mode in values]
        return np.stack([ops.convert_to_numpy(p) for p in pictures]), [str(v) for v in values]
    fields_and_label = {
        "rotation_range": (("rotation",), "rotated {:+g}°"),
        "width_shift_range": (("width_shift",), "width {:+g}"),
        "height_shift_range": (("height_shift",), "height {:+g}"),
        "shear_range": (("shear",), "sheared {:+g}°"),
        "zoom_range": (("width_zoom", "height_zoom"), "zoom {:g}"),
        "horizontal_flip": (("flip",), "{}"),
    }
    if option not in fields_and_label:
        raise ValueError(
            f"There is no option {option!r} to sweep. Pass one of: "
            f"{', '.join([*fields_and_label, 'fill_mode'])}."
        )
    fields, label = fields_and_label[option]
    column = np.asarray(values, dtype="float32")
    transforms = _transforms(len(values), **dict.fromkeys(fields, column))
    batch = np.repeat(image[None], len(values), axis=0)
    pictures = ops.convert_to_numpy(Augment(fill_mode=fill_mode).transform(batch, transforms))
    if option == "horizontal_flip":
        return pictures, ["flipped" if value else "not flipped" for value in values]
    return pictures, [label.format(value) for value in values]


def _transforms(count: int, **changes: ArrayLike) -> Transforms:
    """`count` transforms that do nothing except `changes`, one value or one per picture each."""
    still = dict.fromkeys(Transforms._fields, 0.0) | {"width_zoom": 1.0, "height_zoom": 1.0}
    return Transforms(
        **{
            name: np.broadcast_to(np.asarray(value, dtype="float32"), (count,))
            for name, value in (still | changes).items()
        }
    )


def _one_picture(image: Picture) -> Picture:
    image = np.asarray(image)
    if image.ndim != 3:
        raise ValueError(
            f"Got an array of shape {image.shape}. Pass one picture (height, width, channels)."
        )
    return image


def _half_range(option: str, value: float, fits: Callable[[float], bool], allowed: str) -> float:
    if not isinstance(value, Real):
        raise TypeError(f"{option}={value!r} is no number: pass {allowed}.")
    if value < 0 or not fits(value):
        raise ValueError(
            f"{option}={value} is out of range: pass {allowed}. Values are drawn from minus to "
            "plus that number."
        )
    return float(value)


def _zoom_bounds(zoom_range: float | Sequence[float]) -> tuple[float, float]:
    if isinstance(zoom_range, Real):
        low, high = 1.0 - float(zoom_range), 1.0 + float(zoom_range)
    elif isinstance(zoom_range, Sequence) and len(zoom_range) == 2:
        low, high = (float(bound) for bound in zoom_range)
    else:
        raise ValueError(f"zoom_range={zoom_range!r} is neither a number nor a pair (low, high).")
    if not 0 < low <= high:
        raise ValueError(
            f"zoom_range={zoom_range!r} gives factors from {low} to {high}. Pass a number from 0 "
            "to below 1, or a pair with 0 < low <= high."
        )
    return low, high


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{option}={value!r} is unknown. Pass one of: {', '.join(allowed)}.")
    return value
