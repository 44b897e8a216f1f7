"""The exercises of notebooks 02 to 04: right answers, and the mistakes that readers make."""

from collections.abc import Callable
from functools import partial, reduce
from itertools import count
from typing import Any, Final

import numpy as np
from scipy.signal import convolve2d, correlate, correlate2d

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(3)

# 02: shapes, convolution, its gradient ----------------------------------------------------


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
_KERNEL: Final = _rng.normal(size=(3, 3))
_INCOMING: Final = _rng.normal(size=(4, 5))


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
        truth=lambda output, kernel, stride: next(
            size for size in count(kernel) if len(range(0, size - kernel + 1, stride)) == output
        ),
        cases=((148, 3, 1), (74, 2, 2), (73, 5, 2), (1, 3, 2), (3, 4, 3)),
        why="The first window needs the kernel's pixels, and each further one a stride more.",
        mistakes={
            "The first window has to be paid for, but not by a stride: try a feature map with a "
            "single position.": lambda output, kernel, stride: output * stride + kernel,
            "With so few pixels the last window hangs over "
            "the rim.": lambda output, kernel, stride: output * stride,
            "That is right for stride 1 only.": lambda output, kernel, stride: output + kernel - 1,
            "So many pixels give this feature map, but so do fewer: the last stride need not "
            "be complete.": lambda output, kernel, stride: output * stride + kernel - 1,
        },
    ),
    "02.2": Exercise(
        truth=_feature_maps,
        cases=((_IMAGE, _FILTERS),),
        why="One ring of zeros lets a 3 × 3 window sit on every pixel.",
        mistakes={
            "The output is smaller than the picture: nothing was padded.": partial(
                _feature_maps, pad=(0, 0)
            ),
            "The window has been turned by 180°. That is the convolution of mathematics; networks "
            "leave the window as it is.": partial(_feature_maps, turn=True),
            "The rim is padded with copies of the outer pixels; `same` pads with zeros.": partial(
                _feature_maps, rim="edge"
            ),
            "All padding went to one side, so the feature maps are shifted: put half of it "
            "in front.": partial(_feature_maps, pad=(0, 2)),
        },
    ),
    "02.3": Exercise(
        truth=partial(convolve2d, mode="full"),
        cases=((_INCOMING, _KERNEL), (_INCOMING[:2], _KERNEL[:2])),
        why="Every output hands its gradient back to the pixels under the window, weight by "
        "weight: the full convolution with the flipped kernel.",
        mistakes={
            "The kernel was not flipped: the pixel under the window's first weight is up and left "
            "of the one under "
            "its last.": lambda incoming, kernel: correlate2d(incoming, kernel, mode="full"),
            "The gradient is smaller than the picture: pixels at the rim lie under the window too, "
            "so it must be allowed to "
            "hang over.": lambda incoming, kernel: convolve2d(incoming, kernel, mode="valid"),
            "The result is as large as the output, not as the picture.": lambda incoming, kernel: (
                convolve2d(incoming, kernel, mode="same")
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
