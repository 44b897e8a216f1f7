"""The exercises of notebook 15: right answers, and the mistakes readers make."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from cvlab.course.exercises.judging import Array, Exercise

# 15.1: what LoRA trains -------------------------------------------------------------------


def _lora_by_keras(height: int, width: int, channels: int, filters: int, rank: int) -> int:
    """Ask Keras: enable LoRA on a convolution and count."""
    from keras import layers  # noqa: PLC0415 (Keras takes seconds to import)

    layer = layers.Conv2D(filters, (height, width), use_bias=False)
    layer.build((None, 8, 8, channels))
    layer.enable_lora(rank)
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


# 15.2: a probe as the first weights of a head -----------------------------------------------

_rng = np.random.default_rng(15)
_Probe = tuple[Array, float, Array, Array]


def _probe(dimensions: int) -> _Probe:
    """Weights and bias on standardized features, and the mean and standard deviation of those."""
    return (
        _rng.normal(size=dimensions),
        float(_rng.normal()),
        _rng.uniform(0.2, 2, dimensions),
        _rng.uniform(0.5, 3, dimensions),
    )


def _solved(weights: Array, bias: float, mean: Array, deviation: Array) -> tuple[Array, Array]:
    """Find kernel and bias from logits of arbitrary features, by least squares."""
    random = np.random.default_rng(0)
    features = random.normal(size=(3 * len(weights) + 3, len(weights)))
    logits = ((features - mean) / deviation) @ weights + bias
    with_one = np.column_stack([features, np.ones(len(features))])
    solution = np.linalg.lstsq(with_one, logits, rcond=None)[0]
    return solution[:-1, None], solution[-1:]


def _folded(scaled: Callable[..., Array], shift: Callable[..., Any]) -> Callable[..., Any]:
    """Answer with a kernel and a bias that are computed by these functions of w, b, m and s."""

    def answer(w: Array, b: float, m: Array, s: Array) -> tuple[Array, Array]:
        kernel = scaled(w, s)
        return kernel[:, None], np.array([b + shift(w, m, s, kernel)])

    return answer


# 15.3: choose by validation, test once ----------------------------------------------------

_Trials = list[tuple[float, int, float, float]]


def _trials(*rows: tuple[float, tuple[float, ...], tuple[float, ...]]) -> _Trials:
    """Lay out rates with the validation and test accuracies of their seeds, in shuffled order."""
    found = [
        (rate, seed, validation, test)
        for rate, validations, tests in rows
        for seed, (validation, test) in enumerate(zip(validations, tests, strict=True))
    ]
    return [found[k] for k in np.random.default_rng(1).permutation(len(found))]


_CASES: Final = (
    (
        _trials(
            (1e-4, (0.90, 0.90, 0.89), (0.88, 0.89, 0.90)),
            (1e-3, (0.97, 0.80, 0.80), (0.85, 0.84, 0.95)),
            (1e-2, (0.70, 0.72, 0.71), (0.92, 0.93, 0.94)),
        ),
    ),
    (
        _trials(
            (3e-5, (0.80, 0.81), (0.78, 0.84)),
            (3e-4, (0.86, 0.84), (0.83, 0.81)),
            (3e-3, (0.90, 0.50), (0.91, 0.52)),
            (3e-2, (0.50, 0.50), (0.50, 0.99)),
        ),
    ),
)


def _by_rate(trials: _Trials) -> dict[float, Array]:
    """Validation and test accuracies of each rate, (seeds, 2)."""
    return {
        rate: np.array([one[2:] for one in trials if one[0] == rate])
        for rate in sorted({one[0] for one in trials})
    }


def _chosen(trials: _Trials) -> tuple[float, float]:
    """Choose by a sorted list of means."""
    means = sorted(
        (
            (values[:, 0].mean(), rate, values[:, 1].mean())
            for rate, values in _by_rate(trials).items()
        )
    )
    return means[-1][1], float(means[-1][2])


def _choosing(
    score: Callable[[Array], float], report: Callable[[Array], float]
) -> Callable[..., Any]:
    def answer(trials: _Trials) -> tuple[float, float]:
        found = _by_rate(trials)
        best = max(found, key=lambda rate: score(found[rate]))
        return best, float(report(found[best]))

    return answer


EXERCISES: Final = {
    "15.1": Exercise(
        truth=_lora_by_keras,
        cases=[(3, 3, 64, 128, 4), (1, 1, 512, 256, 8), (3, 3, 8, 8, 1)],
        why="The first factor is a convolution with `rank` filters, the second a 1 × 1 convolution "
        "from them to the filters of the layer. The kernel itself is frozen.",
        mistakes={
            "The first factor has the height and width of the kernel, too: look at the shape of "
            "`lora_kernel_a`.": lambda h, w, c, f, r: c * r + r * f,
            "The second factor has no height and width: look at the shape of `lora_kernel_b`.": (
                lambda h, w, c, f, r: h * w * r * (c + f)
            ),
            "That counts the frozen kernel as well.": (
                lambda h, w, c, f, r: h * w * c * (f + r) + r * f
            ),
            "That is the number of parameters of the frozen kernel.": (
                lambda h, w, c, f, r: h * w * c * f
            ),
        },
    ),
    "15.2": Exercise(
        truth=_solved,
        cases=[_probe(3), _probe(5)],
        why="Subtracting the mean and dividing by the standard deviation is linear, so it can be "
        "folded into the weights. The network then starts exactly at the accuracy of the probe.",
        mistakes={
            "The division is in the kernel, but the subtraction of the mean is missing: it changes "
            "the bias.": _folded(lambda w, s: w / s, lambda w, m, s, k: 0.0),
            "The weights were multiplied by the standard deviation; the features were divided by "
            "it.": _folded(lambda w, s: w * s, lambda w, m, s, k: -m @ k),
            "The mean was subtracted before the division, so in the bias it is divided, too.": (
                _folded(lambda w, s: w / s, lambda w, m, s, k: -m @ w)
            ),
            "The mean enters the bias with the wrong sign.": _folded(
                lambda w, s: w / s, lambda w, m, s, k: m @ k
            ),
            "That is the probe as it is: these weights expect standardized features, and the "
            "network computes features that are not.": _folded(
                lambda w, s: w, lambda w, m, s, k: 0.0
            ),
        },
    ),
    "15.3": Exercise(
        truth=_chosen,
        cases=_CASES,
        why="The validation images choose, by the mean over seeds, so that no single seed decides. "
        "The test images are used once, for the chosen learning rate.",
        mistakes={
            "That learning rate was chosen on the test images, so its test accuracy is too good.": (
                _choosing(lambda v: float(v[:, 1].mean()), lambda v: float(v[:, 1].mean()))
            ),
            "One seed decided. Choose by the mean over seeds.": _choosing(
                lambda v: float(v[:, 0].max()), lambda v: float(v[:, 1].mean())
            ),
            "The learning rate is right, but the accuracy is that of the validation images, which "
            "chose it.": _choosing(
                lambda v: float(v[:, 0].mean()), lambda v: float(v[:, 0].mean())
            ),
            "The learning rate is right, but the accuracy is that of the seed with the best test "
            "result. Report the mean over seeds.": _choosing(
                lambda v: float(v[:, 0].mean()), lambda v: float(v[:, 1].max())
            ),
        },
    ),
}
