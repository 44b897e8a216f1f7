"""The exercises of notebooks 00 to 04: right answers, and the mistakes that readers make."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, Final

import numpy as np
from scipy.signal import correlate

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(3)

# 00: steps and intervals ------------------------------------------------------------------

_INTERVALS: Final = (
    ((0.70, 0.75), (0.74, 0.80)),
    ((0.70, 0.75), (0.76, 0.80)),
    ((0.76, 0.80), (0.70, 0.75)),
    ((0.60, 0.90), (0.70, 0.75)),
    ((0.70, 0.75), (0.60, 0.90)),
    ((0.70, 0.75), (0.75, 0.80)),
)


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


# 02: batch normalization ------------------------------------------------------------------


def _complex_steps(x: Array, gamma: Array, gradient: Array, epsilon: float) -> tuple[Array, ...]:
    """The three gradients of sum(gradient × output), by complex steps: each number plus i × 1e-30.

    The derivative is the imaginary part over the step, without the rounding error of a difference.
    """
    parts = (x, gamma, np.zeros_like(gamma))
    ends = np.cumsum([part.size for part in parts])

    def loss(numbers: Array) -> complex:
        x_part, gamma_part, beta_part = np.split(numbers, ends[:-1])
        centered = x_part.reshape(x.shape) - x_part.reshape(x.shape).mean(axis=0)
        x_hat = centered / np.sqrt((centered**2).mean(axis=0) + epsilon)
        return complex((gradient * (gamma_part * x_hat + beta_part)).sum())

    numbers = np.concatenate([part.ravel() for part in parts])
    slopes = [loss(numbers + step).imag / 1e-30 for step in 1e-30j * np.eye(ends[-1])]
    found = np.split(np.array(slopes), ends[:-1])
    return tuple(slope.reshape(part.shape) for slope, part in zip(found, parts, strict=True))


def _backward(
    through: str, x: Array, gamma: Array, gradient: Array, epsilon: float
) -> tuple[Array, ...]:
    """A backward pass that may forget a path: `through` names those it follows."""
    centered = x - x.mean(axis=0)
    deviation = np.sqrt(x.var(axis=0) + epsilon)
    x_hat = centered / deviation
    inner = gradient * gamma if "gamma" in through else gradient
    for_x = inner
    if "mean" in through:
        for_x = for_x - inner.mean(axis=0)
    if "variance" in through:
        for_x = for_x - x_hat * (inner * x_hat).mean(axis=0)
    reduce = np.mean if "averaged" in through else np.sum
    return for_x / deviation, reduce(gradient * x_hat, axis=0), reduce(gradient, axis=0)


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


_DATA: Final = _rng.normal(2, 3, size=(6, 4))
_GAMMA: Final = np.array([1.5, 0.5, -1.0, 2.0])
_BACK: Final = (_DATA, _GAMMA, _rng.normal(size=(6, 4)), 1e-3)
_FOLDED: Final = (
    _rng.normal(size=(3, 3, 2, 4)),
    _GAMMA,
    np.array([0.0, 1.0, -2.0, 0.5]),
    (_rng.normal(size=4), _rng.uniform(0.5, 2, size=4)),
    1e-1,
)


# 03: the family ---------------------------------------------------------------------------


def _scaled(x: Array, axes: tuple[int, ...], epsilon: float = 1e-3) -> Array:
    """Standardize over `axes`."""
    spread = np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)
    return np.asarray((x - x.mean(axis=axes, keepdims=True)) / spread)


def _by_groups(x: Array, groups: int, epsilon: float = 1e-3) -> Array:
    """One group at a time."""
    parts = np.split(x, groups, axis=-1)
    return np.concatenate([_scaled(part, (1, 2, 3), epsilon) for part in parts], axis=-1)


def _grouped(x: Array, shape: tuple[int, int], axes: tuple[int, ...]) -> Array:
    """Standardize over `axes` after splitting the channels to `shape`."""
    return _scaled(x.reshape(*x.shape[:3], *shape), axes).reshape(x.shape)


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


def _corrections(
    batch: Array, moving: Array, r_max: float, d_max: float, *, mistake: str = ""
) -> tuple[float, float]:
    """R and d of batch renormalization, each the middle one of its limits and itself."""
    r = moving[1] / batch[1] if mistake == "inverse" else batch[1] / moving[1]
    d = (batch[0] - moving[0]) / (batch[1] if mistake == "batch" else moving[1])
    if mistake == "one limit":
        return min(r, r_max), min(d, d_max)
    d = -d if mistake == "sign" else d
    return sorted((1 / r_max, r, r_max))[1], sorted((-d_max, d, d_max))[1]


_OWN_SPREAD: Final = {"layer", "instance", "group"}
_MAPS: Final = _rng.normal(1, 2, size=(3, 4, 4, 6)) * np.arange(1, 7)

EXERCISES: Final = {
    "00.1": Exercise(
        truth=lambda images, batch_size: len(range(0, images, batch_size)),
        cases=((2000, 20), (2000, 32), (7, 10), (10, 10), (1001, 1000)),
        why="The last batch may be smaller than the others, but it is a step too.",
        mistakes={
            "Pictures that do not fill a batch are left out: a last, smaller batch is a step "
            "as well.": lambda images, batch_size: images // batch_size,
            "A step is a whole batch, so the number of steps is a "
            "whole number.": lambda images, batch_size: images / batch_size,
            "There is one step too many when the batches come out even: try 10 pictures in batches "
            "of 10.": lambda images, batch_size: images // batch_size + 1,
        },
    ),
    "00.2": Exercise(
        truth=lambda first, second: max(first[0], second[0]) <= min(first[1], second[1]),
        cases=_INTERVALS,
        why="They overlap unless one ends before the other begins.",
        mistakes={
            "It looks only for an end of the first interval inside the second. What if the first "
            "one contains all of "
            "the second?": lambda a, b: b[0] <= a[0] <= b[1] or b[0] <= a[1] <= b[1],
            "It takes for granted that the first interval is the lower one.": lambda a, b: (
                a[1] >= b[0]
            ),
            "Two intervals that share only an end overlap too: each contains "
            "its bounds.": lambda a, b: a[0] < b[1] and b[0] < a[1],
        },
    ),
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
        why="What is left of the start shrinks by the momentum at each step; the rest is the "
        "batches'.",
        mistakes={
            "It starts at the wrong number: the moving mean starts at 0, the moving variance "
            "does not.": lambda v, p, t: v * (1 - p**t),
            "Old and new are mixed up: the momentum is the share that stays.": lambda v, p, t: (
                v + (1 - p) ** t * (1 - v)
            ),
            "The steps do not add up to a straight line: each takes its share of what is "
            "still left.": lambda v, p, t: 1 + t * (1 - p) * (v - 1),
        },
    ),
    "03.2": Exercise(
        truth=_complex_steps,
        cases=(_BACK,),
        why="It agrees with what happens to the loss when each number is nudged.",
        mistakes={
            "Your gradient for x takes mean and variance for constants. They depend on every x of "
            "the channel, so each x has two more paths to the loss.": partial(_backward, "gamma"),
            "The path through the variance is missing from the gradient for x.": partial(
                _backward, "gamma mean"
            ),
            "The path through the mean is missing from the gradient for x.": partial(
                _backward, "gamma variance"
            ),
            "Gamma stands between x and the loss, and the gradient for x passes it by.": partial(
                _backward, "mean variance"
            ),
            "The gradients for gamma and beta are averages. Both numbers act on every row, and the "
            "effects add up.": partial(_backward, "gamma mean variance averaged"),
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
            "The moving mean goes through the same stretch as everything else before beta "
            "is added.": lambda k, g, b, mv, e: (k * g / np.sqrt(mv[1] + e), b - mv[0]),
            "The stretch is divided by the variance, not by the "
            "standard deviation.": lambda k, g, b, mv, e: _stretched(k, b, mv[0], g / (mv[1] + e)),
            "The moving mean has the wrong sign in your bias: it is taken off, "
            "not added.": lambda k, g, b, mv, e: _stretched(k, b, -mv[0], g / np.sqrt(mv[1] + e)),
        },
    ),
    "04.1": Exercise(
        truth=_by_groups,
        cases=((_MAPS, 1), (_MAPS, 2), (_MAPS, 3), (_MAPS, 6)),
        why="One group is layer normalization, a group for each channel is instance "
        "normalization, and each picture stays by itself.",
        mistakes={
            "Pictures are mixed: the axis of the batch must not be averaged over.": lambda x, n: (
                _grouped(x, (n, -1), (0, 1, 2, 4))
            ),
            "A group is made of neighboring channels; yours takes every second (or third) one: "
            "look at the order of the two axes you split the "
            "channels into.": lambda x, n: _grouped(x, (-1, n), (1, 2, 3)),
            "Every position is treated by itself. Height and width belong to the "
            "group too.": lambda x, n: _grouped(x, (n, -1), (4,)),
        },
        tolerance=1e-5,
    ),
    "04.2": Exercise(
        truth=_who_notices,
        cases=((),),
        why="Layer, instance and group normalization divide each picture by its own spread. The "
        "batch's spread belongs to all pictures, and weight normalization looks at no picture.",
        mistakes={
            "One method that never looks at the data is missing from your set.": lambda: {"batch"},
            "You named those that do not notice. The question is which ones do.": lambda: (
                _OWN_SPREAD
            ),
            "Batch normalization divides by the spread of all pictures together. Does one brighter "
            "picture get away with that?": lambda: {"weight"},
            "Layer normalization divides by the spread of the picture itself.": lambda: {
                "batch",
                "layer",
                "weight",
            },
        },
    ),
    "04.3": Exercise(
        truth=_corrections,
        cases=(
            ((1.0, 2.0), (0.5, 1.6), 3.0, 5.0),
            ((1.0, 2.0), (0.5, 0.1), 3.0, 2.0),
            ((-1.0, 0.1), (0.5, 1.0), 3.0, 1.0),
            ((1.0, 2.0), (0.5, 1.6), 1.0, 0.0),
        ),
        why="With r_max = 1 and d_max = 0 nothing is corrected, and what is left is BatchNorm.",
        mistakes={
            "r is upside down: the batch's deviation, which was divided by, must "
            "come back.": partial(_corrections, mistake="inverse"),
            "d is measured in the batch's deviations; inference measures in moving ones.": partial(
                _corrections, mistake="batch"
            ),
            "Both limits work in two directions: r must not fall too far either, nor d below its "
            "negative limit.": partial(_corrections, mistake="one limit"),
            "d has the wrong sign.": partial(_corrections, mistake="sign"),
        },
    ),
}
