"""The exercises of notebooks 02 to 04: right answers, and the mistakes that readers make."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, Final

import numpy as np
from scipy.signal import correlate

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(3)

# 02: receptive field, convolution, location ----------------------------------------------


def _feature_maps(
    image: Array,
    filters: Array,
    *,
    pad: tuple[int, int] = (1, 1),
    rim: Any = "constant",
    turn: bool = False,
) -> Array:
    """SciPy's correlation with each filter; the options are the readers' mistakes."""
    padded = np.pad(image, (pad, pad, (0, 0)), rim)
    kernels = np.moveaxis(filters[::-1, ::-1] if turn else filters, -1, 0)
    return np.concatenate([correlate(padded, kernel, "valid") for kernel in kernels], axis=-1)


_IMAGE: Final = _rng.normal(size=(6, 7, 3))
_FILTERS: Final = _rng.normal(size=(3, 3, 3, 2))


def _seen_pixels(stack: list[tuple[int, int]]) -> int:
    """Follow one unit back through the layers to the pixels below it, along one axis."""
    seen = {0}
    for kernel, stride in reversed(stack):
        seen = {stride * unit + offset for unit in seen for offset in range(kernel)}
    return max(seen) - min(seen) + 1


def _field(stack: list[tuple[int, int]], *, start: int = 1, strides: str = "below") -> int:
    """The same layer by layer from the pixels up; the options are the readers' mistakes."""
    side, step = start, 1
    for kernel, stride in stack:
        below, step = step, step * stride
        side += (kernel - 1) * {"none": 1, "own": step, "below": below}[strides]
    return side


def _dot_finder(between: str, units: int = 1) -> Any:
    """A small network with a certain layer between its convolution and its dense layer."""
    from keras import Input, Sequential, layers  # noqa: PLC0415 (slow)

    return Sequential(
        [
            Input((16, 16, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            getattr(layers, between)(),
            layers.Dense(units, activation="sigmoid"),
        ]
    )


def _location_kept(model: Any) -> tuple[str, ...]:
    """Whether the outputs for a dot on the left and on the right differ, and if not, how."""
    dots = np.zeros((2, 16, 16, 1), np.float32)
    dots[[0, 1], 8, [3, 12]] = 1
    outputs = np.asarray(model.predict(dots, verbose=0))
    if outputs.shape != (2, 1):
        return ("outputs", *map(str, outputs.shape))
    if np.ptp(outputs) > 1e-6:
        return ("location kept",)
    names = [type(layer).__name__ for layer in model.layers]
    return tuple(name for name in names if name.startswith("Global")) or ("location lost",)


# 03: batch normalization ------------------------------------------------------------------


def _fold(
    kernel: Array, gamma: Array, beta: Array, moments: tuple[Array, Array], epsilon: float
) -> tuple[Array, Array]:
    """Read kernel and bias off the composition: it is affine, so its values on a basis suffice."""
    mean, variance = moments
    taps = kernel.reshape(-1, kernel.shape[-1])
    # A patch of zeros, then each patch with a single one, which picks a row of the kernel.
    responses = np.vstack([np.zeros_like(taps[:1]), taps])
    composed = gamma * (responses - mean) / np.sqrt(variance + epsilon) + beta
    return np.reshape(composed[1:] - composed[0], kernel.shape), composed[0]


def _stretched(kernel: Array, beta: Array, mean: Array, stretch: Array) -> tuple[Array, Array]:
    return kernel * stretch, beta - mean * stretch


_GAMMA: Final = np.array([1.5, 0.5, -1.0, 2.0])
_FOLDED: Final = (
    _rng.normal(size=(3, 3, 2, 4)),
    _GAMMA,
    np.array([0.0, 1.0, -2.0, 0.5]),
    (_rng.normal(size=4), _rng.uniform(0.5, 2, size=4)),
    1e-1,
)


# 04: the family ---------------------------------------------------------------------------


def _scaled(x: Array, axes: tuple[int, ...], epsilon: float = 1e-3) -> Array:
    """Standardize over `axes`."""
    spread = np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)
    return np.asarray((x - x.mean(axis=axes, keepdims=True)) / spread)


def _by_groups(x: Array, groups: int, epsilon: float = 1e-3) -> Array:
    """One group at a time."""
    parts = np.split(x, groups, axis=-1)
    return np.concatenate([_scaled(part, (1, 2, 3), epsilon) for part in parts], axis=-1)


def _works_on_one_image() -> set[str]:
    """Measure whether the output behind a dense layer depends on a batch of one image."""
    dice = np.random.default_rng(0)
    x, other, kernel = dice.normal(size=(1, 8)), dice.normal(size=(1, 8)), dice.normal(size=8)
    methods: dict[str, Callable[[Array], Array]] = {
        "batch": partial(_scaled, axes=(0,)),
        "layer": partial(_scaled, axes=(1,)),
        "instance": lambda a: _scaled(a[..., None], (2,)),
        "group": lambda a: _scaled(a.reshape(1, 2, 4), (2,)),
        "weight": lambda a: a * (kernel / np.linalg.norm(kernel)),
    }
    return {name for name, f in methods.items() if not np.allclose(f(x), f(other))}


def _who_notices() -> set[str]:
    """Measure whether the output for an image changes when its pixels are doubled."""
    dice = np.random.default_rng(0)
    x = dice.normal(size=(4, 5, 5, 6))
    brighter = x.copy()
    brighter[0] *= 2
    kernel = dice.normal(size=6)
    methods: dict[str, Callable[[Array], Array]] = {
        "batch": partial(_scaled, axes=(0, 1, 2), epsilon=0),
        "layer": partial(_scaled, axes=(1, 2, 3), epsilon=0),
        "instance": partial(_scaled, axes=(1, 2), epsilon=0),
        "group": partial(_by_groups, groups=2, epsilon=0),
        "weight": lambda a: a @ (kernel / np.linalg.norm(kernel)),
    }
    return {name for name, f in methods.items() if not np.allclose(f(x)[0], f(brighter)[0])}


def _weight_gradients(v: Array, g: Array, for_w: Array) -> tuple[Array, Array]:
    """The gradients of sum(for_w × g v / ||v||) by complex steps: each number plus i × 1e-30.

    The derivative is the imaginary part over the step, without the rounding error of a difference.
    """
    numbers = np.concatenate([v.ravel(), g])

    def loss(changed: Array) -> complex:
        direction, length = changed[: v.size].reshape(v.shape), changed[v.size :]
        return complex((for_w * length * direction / np.sqrt((direction**2).sum(0))).sum())

    slopes = np.array([loss(numbers + step).imag / 1e-30 for step in 1e-30j * np.eye(numbers.size)])
    return slopes[: v.size].reshape(v.shape), slopes[v.size :]


def _weight_backward(v: Array, g: Array, for_w: Array, *, mistake: str) -> tuple[Array, Array]:
    """The same by the formula of the paper, with a mistake."""
    norm = np.sqrt((v**2).sum(0))
    for_g = (for_w * v).sum(0) / (1 if mistake == "length" else norm)
    along = 0 if mistake == "direction" else (for_w * v).sum(0) * v / norm**2
    scale = {"no g": 1 / norm, "no norm": g}.get(mistake, g / norm)
    return scale * (for_w - along), for_g


_OWN_SPREAD: Final = {"layer", "instance", "group"}
_V: Final = _rng.normal(size=(5, 3)) * np.array([0.5, 1, 2])
_FOR_W: Final = _rng.normal(size=(5, 3))

EXERCISES: Final = {
    "02.1": Exercise(
        truth=_seen_pixels,
        cases=(
            ([(3, 1)],),
            ([(3, 1), (3, 1)],),
            ([(3, 1), (2, 2), (3, 1)],),
            ([(5, 1), (2, 2), (5, 1), (2, 2)],),
            ([(7, 2), (3, 2), (3, 1)],),
            ([],),
        ),
        why="Each layer adds its kernel size less one, times the distance in pixels of the units "
        "below it. For the lecture's network that gives 46 of the 150 pixels.",
        mistakes={
            "Strides are ignored: after a pooling with stride 2, neighboring units are 2 pixels "
            "apart, so the next layer reaches twice as far.": partial(_field, strides="none"),
            "A layer's own stride does not widen its own window, only those of the layers "
            "after it.": partial(_field, strides="own"),
            "One pixel is missing: before the first layer a unit is a pixel and "
            "sees itself.": partial(_field, start=0),
            "Windows overlap, so their sizes do not multiply: two layers of 3 × 3 see 5 × 5 "
            "pixels, not 9 × 9.": lambda stack: int(np.prod([kernel for kernel, _ in stack])),
        },
    ),
    "02.2": Exercise(
        truth=_feature_maps,
        cases=((_IMAGE, _FILTERS),),
        why="One ring of zeros lets a 3 × 3 window sit on every pixel.",
        mistakes={
            "The output is smaller than the image: nothing was padded.": partial(
                _feature_maps, pad=(0, 0)
            ),
            "The kernel has been flipped by 180°. That is the convolution of mathematics; networks "
            "leave it as it is.": partial(_feature_maps, turn=True),
            "The padding repeats the outer pixels; `same` pads with zeros.": partial(
                _feature_maps, rim="edge"
            ),
            "All padding is on one side, so the feature maps are shifted: put half of it "
            "in front.": partial(_feature_maps, pad=(0, 2)),
        },
    ),
    "02.3": Exercise(
        truth=lambda: _dot_finder("Flatten"),
        cases=((),),
        look=_location_kept,
        why="`GlobalMaxPooling2D` returns the same values wherever the dot is, so no weight after "
        "it can tell left from right. Without it, or with a pooling that keeps some locations, the "
        "dense layer can.",
        mistakes={
            "It still returns the same for a dot on the left and on the right. Which layer "
            "discards the location?": lambda: _dot_finder("GlobalMaxPooling2D"),
            "A mean over the whole feature map discards the location, just as the maximum "
            "does.": lambda: _dot_finder("GlobalAveragePooling2D"),
            "It keeps the location, but the output must stay one probability per image.": lambda: (
                _dot_finder("Flatten", units=2)
            ),
        },
    ),
    "03.1": Exercise(
        truth=lambda variance, momentum, steps: reduce(
            lambda moving, _: momentum * moving + (1 - momentum) * variance, range(steps), 1.0
        ),
        cases=((4.0, 0.9, 0), (4.0, 0.9, 1), (4.0, 0.99, 20), (0.25, 0.9, 7)),
        why="The weight of the initial value shrinks by the factor momentum at each step; the "
        "rest comes from the batches.",
        mistakes={
            "The initial value is wrong: the moving mean starts at 0, the moving variance "
            "does not.": lambda v, p, t: v * (1 - p**t),
            "Old and new are exchanged: the momentum is the share of "
            "the old value.": lambda v, p, t: v + (1 - p) ** t * (1 - v),
            "The approach is not linear: each step covers the same share of the distance that "
            "remains.": lambda v, p, t: 1 + t * (1 - p) * (v - 1),
        },
    ),
    "03.2": Exercise(
        truth=lambda: "moving averages",
        cases=((),),
        why="In training mode the layers use the statistics of the batch. The moving averages that "
        "`evaluate` uses have covered only 1 − 0.9995^110, about 5 %, of the way to them.",
        mistakes={
            "Overfitting is a gap between different images. Here both accuracies are measured on "
            "the same ones.": lambda: "overfitting",
            "With a wrong learning rate the accuracy in `fit` would be low too.": lambda: (
                "learning rate"
            ),
            "The biases before BatchNorm are useless, but they do no harm: set use_bias=False and "
            "train again.": lambda: "bias",
            "`fit` reaches a high accuracy from these initial weights, so they are good.": lambda: (
                "initialization"
            ),
        },
    ),
    "03.3": Exercise(
        truth=_fold,
        cases=(_FOLDED,),
        why="In inference mode BatchNorm is affine, and so is a convolution: two in a row are one.",
        mistakes={
            "Epsilon is missing under the root.": lambda k, g, b, mv, e: _stretched(
                k, b, mv[0], g / np.sqrt(mv[1])
            ),
            "The moving mean is multiplied by the same factor as everything else before beta "
            "is added.": lambda k, g, b, mv, e: (k * g / np.sqrt(mv[1] + e), b - mv[0]),
            "The factor is divided by the variance, not by the "
            "standard deviation.": lambda k, g, b, mv, e: _stretched(k, b, mv[0], g / (mv[1] + e)),
            "The moving mean has the wrong sign in your bias: it is subtracted, "
            "not added.": lambda k, g, b, mv, e: _stretched(k, b, -mv[0], g / np.sqrt(mv[1] + e)),
        },
    ),
    "04.1": Exercise(
        truth=_works_on_one_image,
        cases=((),),
        why="Behind a dense layer a batch of one gives BatchNorm a single value per channel, which "
        "is its own mean: the output is always beta. What averages over channels, or over "
        "nothing, still sees the image.",
        mistakes={
            "Instance normalization averages over the spatial positions of a channel. How many are "
            "there behind a dense layer?": lambda: {"layer", "group", "instance", "weight"},
            "One method uses no statistics of the data at all.": lambda: {"layer", "group"},
            "Group normalization with several channels per group has more than one value to "
            "average.": lambda: {"layer", "weight"},
            "You named the methods that fail.": lambda: {"batch", "instance"},
        },
    ),
    "04.2": Exercise(
        truth=_who_notices,
        cases=((),),
        why="Layer, instance and group normalization divide each image by its own standard "
        "deviation. That of the batch belongs to all images, and weight normalization uses "
        "no image.",
        mistakes={
            "One method that never looks at the data is missing from your set.": lambda: {"batch"},
            "You named those that do not notice. The question is which ones do.": lambda: (
                _OWN_SPREAD
            ),
            "Batch normalization divides by the standard deviation of all images together. Does "
            "that undo the contrast of a single image?": lambda: {"weight"},
            "Layer normalization divides by the standard deviation of the image itself.": lambda: {
                "batch",
                "layer",
                "weight",
            },
        },
    ),
    "04.3": Exercise(
        truth=_weight_gradients,
        cases=((_V, np.array([1.5, 0.5, -2.0]), _FOR_W),),
        why="The gradient for v loses its component along v, so it is orthogonal to v, and a "
        "longer v takes smaller steps.",
        mistakes={
            "The gradient for v still has a component along v. The length of v has no effect, so "
            "there can be no slope in this direction.": partial(
                _weight_backward, mistake="direction"
            ),
            "The gradient for g depends on the length of v. Only the direction "
            "v / ||v|| may count.": partial(_weight_backward, mistake="length"),
            "The gradient for v does not depend on g. A filter that is twice as long "
            "passes on twice the change.": partial(_weight_backward, mistake="no g"),
            "The gradient for v is not divided by the length of v: the same step turns a longer "
            "vector less.": partial(_weight_backward, mistake="no norm"),
        },
    ),
}
