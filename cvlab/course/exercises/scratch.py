"""The exercises of notebooks 05 to 08: right answers, and the mistakes that readers make."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from scipy import optimize, stats

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(4)

# 04: subsets, leaks, standardizing --------------------------------------------------------


def _standardized(train: Array, test: Array, source: str) -> tuple[Array, Array]:
    """Both splits by the numbers of `source`: the training split, each its own, or both."""
    both = np.concatenate([train, test])
    by = {"train": (train, train), "own": (train, test), "both": (both, both)}[source]
    return tuple(
        (data - numbers.mean(axis=0)) / numbers.std(axis=0)
        for data, numbers in zip((train, test), by, strict=True)
    )


# 05: parameters, loss, shuffled labels ----------------------------------------------------


def _parameters(image_size: int, units: int, mistake: str = "") -> int:
    """The small convnet's, layer by layer; `mistake` names one that readers make."""
    size, channels, total, bias = image_size, 3, 0, mistake != "no bias"
    for filters in (32, 64, 128, 128):
        total += (9 * channels + bias) * filters
        size = size // 2 if mistake == "padded" else (size - 2 + (mistake == "rounded up")) // 2
        channels = filters
    return total + (size * size * channels + bias) * units + units + bias


def _cross_entropy(probabilities: Array, labels: Array) -> float:
    """By the likelihood: minus the logarithm of what was given to the true class, on average."""
    given_to_truth = [p if label else 1 - p for p, label in zip(probabilities, labels, strict=True)]
    return -float(np.sum(np.log(given_to_truth))) / len(labels)


_GUESSES: Final = (np.array([0.9, 0.2, 0.6, 0.5, 0.99]), np.array([1, 0, 0, 1, 1]))


# 06: units of angles, the shear that shows, gains -----------------------------------------


def _gains_by_counting(before: float, after: float) -> tuple[float, float, float]:
    """Count a thousand images: how many more are right, of those right, of those wrong."""
    right_before, right_after = 1000 * before, 1000 * after
    more = right_after - right_before
    return more / 10, more / right_before, more / (1000 - right_before)


def _gains(
    gain: float, right: float, wrong: float, *, point: float = 100
) -> tuple[float, float, float]:
    return point * gain, gain / right, gain / wrong


# 07: dropout, the kept epoch, Grad-CAM ----------------------------------------------------


def _kept_epoch(history: dict[str, list[float]]) -> int:
    """As ModelCheckpoint does it: keep whatever is better than everything before."""
    best, kept = float("inf"), 0
    for epoch, loss in enumerate(history["val_loss"], start=1):
        if loss < best:
            best, kept = loss, epoch
    return kept


def _epoch(best: Callable[..., Any], curve: str, history: dict[str, list[float]]) -> int:
    return int(best(history[curve])) + 1


def _heat(
    maps: Array, gradients: Array, *, weigh: str = "mean", cut: str = "relu", scale: bool = True
) -> Array:
    """Grad-CAM; the options are the readers' mistakes."""
    mean, largest = gradients.mean(axis=(0, 1)), gradients.max(axis=(0, 1))
    heat = (maps * {"mean": mean, "max": largest, "place": gradients}[weigh]).sum(axis=-1)
    heat = {"relu": np.maximum(heat, 0), "abs": np.abs(heat), "none": heat}[cut]
    return np.asarray(heat / heat.max() if scale and heat.max() > 0 else heat)


_HALF: Final = _rng.random((4, 6)) < 0.5
_CURVES: Final = {
    "accuracy": [0.6, 0.7, 0.8, 0.9, 0.95],
    "loss": [0.7, 0.6, 0.4, 0.3, 0.2],
    "val_accuracy": [0.55, 0.64, 0.70, 0.72, 0.71],
    "val_loss": [0.69, 0.61, 0.58, 0.66, 0.80],
}
_MAPS: Final = np.maximum(_rng.normal(size=(3, 4, 5)), 0)
_SLOPES: Final = _rng.normal(size=(3, 4, 5))

EXERCISES: Final = {
    "05.1": Exercise(
        # The overlap of two random subsets follows the hypergeometric distribution.
        truth=lambda chosen, available: float(stats.hypergeom(available, chosen, chosen).mean()),
        cases=((1000, 12_500), (1000, 2000), (10, 12)),
        why="Each picture of the one subset is in the other with the chance chosen / available.",
        mistakes={
            "That is the chance for one picture. How many pictures have "
            "this chance?": lambda chosen, available: chosen / available,
            "Both subsets are drawn at random, and yours share all "
            "or nothing.": lambda chosen, available: float(chosen),
            "A picture is in both subsets with the *product* of two chances: you squared the "
            "chance and forgot how many pictures there are to "
            "draw from.": lambda chosen, available: (chosen / available) ** 2,
        },
    ),
    "05.2": Exercise(
        # Trained on at least once: the tail of the binomial distribution.
        truth=lambda share, epochs: float(stats.binom.sf(0, epochs, share)),
        cases=((0.8, 1), (0.8, 2), (0.8, 3), (0.5, 4), (0.8, 0)),
        why="A picture stays unseen only if every single epoch leaves it out.",
        mistakes={
            "The shares do not simply add up: a picture may be trained on in "
            "several epochs.": lambda share, epochs: share * epochs,
            "That is the share of pictures trained on in *every* epoch. Once is enough for "
            "a leak.": lambda share, epochs: share**epochs,
            "That is the share of pictures that did not leak.": lambda share, epochs: (
                (1 - share) ** epochs
            ),
        },
    ),
    "05.3": Exercise(
        truth=partial(_standardized, source="train"),
        cases=((_rng.normal(3, 2, size=(20, 4)), _rng.normal(4, 1, size=(10, 4))),),
        why="New pictures come one by one and bring no mean with them: only the training split's "
        "numbers are known beforehand.",
        mistakes={
            "The test split is standardized by its own mean and deviation. A difference between "
            "the splits disappears that way, and a single new picture could not be treated "
            "at all.": partial(_standardized, source="own"),
            "The test pictures take part in the mean and the deviation: that is a leak.": partial(
                _standardized, source="both"
            ),
            "There is one mean for all columns. Each column has its own.": lambda train, test: (
                ((train - train.mean()) / train.std(), (test - train.mean()) / train.std())
            ),
        },
    ),
    "06.1": Exercise(
        truth=_parameters,
        cases=((150, 512), (200, 512), (150, 64), (64, 512), (151, 512)),
        why="Only the first dense layer depends on the picture's size, and it has nearly all the "
        "parameters.",
        mistakes={
            "The biases are missing: one for each filter and each unit.": partial(
                _parameters, mistake="no bias"
            ),
            "Your maps do not shrink at the convolutions: without padding a 3 × 3 window loses a "
            "pixel on each side.": partial(_parameters, mistake="padded"),
            "Pooling rounds an odd size down: half a square is left out.": partial(
                _parameters, mistake="rounded up"
            ),
        },
    ),
    "06.2": Exercise(
        truth=_cross_entropy,
        cases=(_GUESSES, (np.array([0.5, 0.5]), np.array([0, 1]))),
        why="A coin's loss comes out as ln 2, and being sure and wrong is what costs most.",
        mistakes={
            "Cats are missing: where the label is 0, what counts is the probability given to "
            "a cat.": lambda p, y: -float(np.mean(y * np.log(p))),
            "It is the sum over the pictures. The loss is an average, or it would grow with "
            "the batch.": lambda p, y: len(y) * _cross_entropy(p, y),
            "A loss is lower the better; yours has the wrong sign.": lambda p, y: (
                -_cross_entropy(p, y)
            ),
            "The logarithm is the natural one.": lambda p, y: _cross_entropy(p, y) / np.log(2),
            "That is the mean error of the probabilities. It hardly punishes a network that is "
            "sure and wrong.": lambda p, y: float(np.mean(np.abs(p - y))),
        },
    ),
    "06.3": Exercise(
        truth=lambda: ("rises", "stays"),
        cases=((),),
        why="The network has enough parameters to learn any labels by heart, and there is nothing "
        "in shuffled labels that could hold for other pictures.",
        mistakes={
            "A network that knows twenty pictures by heart needs no meaning in their labels. Think "
            "of the number of parameters again.": lambda: ("stays", "stays"),
            "What could the network learn from shuffled labels that helps with pictures it has "
            "not seen?": lambda: ("rises", "rises"),
            "The two are the wrong way round: which pictures does the network "
            "learn from?": lambda: ("stays", "rises"),
        },
    ),
    "07.1": Exercise(
        truth=lambda degrees: float(np.deg2rad(degrees) / (2 * np.pi)),
        cases=((40,), (180,), (7.5,)),
        why="A full turn has 360 degrees, and the range counts to either side in both libraries.",
        mistakes={
            "A full turn is more than 180 degrees.": lambda degrees: degrees / 180,
            "The range goes to either side, for the layer as for the lecture's generator: it is "
            "not halved.": lambda degrees: degrees / 720,
            "Those are radians. The layer counts in full turns.": lambda degrees: float(
                np.deg2rad(degrees)
            ),
            "That is how often the angle fits into a full turn: the other "
            "way round.": lambda degrees: 360 / degrees,
        },
    ),
    "07.2": Exercise(
        # Search for the angle at which the outermost row is where it should be.
        truth=lambda pixels, size: float(
            optimize.brentq(lambda a: (size - 1) / 2 * np.sin(np.deg2rad(a)) - pixels, 0, 90)
        ),
        cases=((0.26, 150), (15.0, 150), (10.0, 64), (3.0, 9)),
        why="The picture is sheared about its middle, and the outermost rows are farthest from it.",
        mistakes={
            "The formula takes and gives radians; the option counts "
            "in degrees.": lambda pixels, size: float(np.arcsin(pixels / ((size - 1) / 2))),
            "The middle of the picture stays where it is, so the outermost rows are only half a "
            "picture away "
            "from it.": lambda pixels, size: float(np.degrees(np.arcsin(pixels / (size - 1)))),
            "Nearly: from the middle of the first row to the middle of the last one there are size "
            "- 1 pixels, "
            "not size.": lambda pixels, size: float(np.degrees(np.arcsin(pixels / (size / 2)))),
            "Look at the formula again: this shear moves a row by the sine of the angle, not by "
            "its tangent.": lambda pixels, size: float(
                np.degrees(np.arctan(pixels / ((size - 1) / 2)))
            ),
        },
    ),
    "07.3": Exercise(
        truth=_gains_by_counting,
        cases=((0.70, 0.80), (0.80, 0.84), (0.50, 0.97)),
        why="One gain, three numbers: from 96 to 97 % is one point, 1 % relative, and a quarter of "
        "the errors.",
        mistakes={
            "A point is a hundredth: from 0.70 to 0.80 are ten.": lambda a, b: _gains(
                b - a, a, 1 - a, point=1
            ),
            "A gain is relative to what there was *before*.": lambda a, b: _gains(b - a, b, 1 - a),
            "The share of the errors that is gone is relative to the errors there "
            "were before.": lambda a, b: _gains(b - a, a, 1 - b),
            "The second and the third are the wrong way round.": lambda a, b: _gains(
                b - a, 1 - a, a
            ),
        },
    ),
    "08.1": Exercise(
        truth=lambda values, kept, rate: np.where(kept, values / (1 - rate), 0),
        cases=(
            (_rng.normal(size=(4, 6)), _HALF, 0.5),
            (_rng.normal(size=(4, 6)), _HALF, 0.2),
            (_rng.normal(size=(4, 6)), _rng.random((4, 6)) < 0.25, 0.75),
        ),
        why="What is left is blown up, so that the next layer gets as much as without dropout, on "
        "average, and nothing has to change outside training.",
        mistakes={
            "The next layer now gets too little in training, compared with later when nothing is "
            "dropped: blow up what is left.": lambda values, kept, rate: values * kept,
            "The rate is the share that is *dropped*. By how much must the rest be "
            "blown up?": lambda values, kept, rate: values * kept / rate,
            "The wrong way round: what is left must become larger, "
            "not smaller.": lambda values, kept, rate: values * kept * (1 - rate),
            "`kept` says which values stay; you dropped those.": lambda values, kept, rate: (
                values * ~kept / (1 - rate)
            ),
            "You divide by the share that happens to be kept this time. Dropout divides by the "
            "share expected: each value has its "
            "own lot.": lambda values, kept, rate: values * kept / kept.mean(),
        },
    ),
    "08.2": Exercise(
        truth=_kept_epoch,
        cases=(
            (_CURVES,),
            (_CURVES | {"val_loss": [0.5, 0.6, 0.7, 0.8, 0.9]},),
            (_CURVES | {"val_loss": [0.7, 0.5, 0.6, 0.5, 0.65]},),
        ),
        why="By its loss a network also says how sure it is, so the loss notices overfitting "
        "before the accuracy does.",
        mistakes={
            "Python counts from 0, epochs from 1.": lambda history: int(
                np.argmin(history["val_loss"])
            ),
            "That is the epoch of the best validation *accuracy*. Which quantity does the "
            "checkpoint watch?": partial(_epoch, np.argmax, "val_accuracy"),
            "The *training* loss keeps falling while the network overfits.": partial(
                _epoch, np.argmin, "loss"
            ),
            "That is the epoch with the largest loss.": partial(_epoch, np.argmax, "val_loss"),
        },
    ),
    "08.3": Exercise(
        truth=_heat,
        cases=((_MAPS, _SLOPES), (_MAPS, -np.abs(_SLOPES)), (_MAPS + 1, _SLOPES)),
        why="A channel counts by how much the logit depends on it, wherever it is active, and only "
        "what speaks for the class is shown.",
        mistakes={
            "What speaks against the class must be cut off, or it shows as less "
            "than nothing.": partial(_heat, cut="none"),
            "What speaks against the class shows up as if it spoke for it.": partial(
                _heat, cut="abs"
            ),
            "Each place has a weight of its own here. Grad-CAM gives each *channel* one weight: "
            "the mean of its gradients over all places.": partial(_heat, weigh="place"),
            "A channel's weight is the mean of its gradients, not the largest of them.": partial(
                _heat, weigh="max"
            ),
            "The heatmap should run from 0 to 1, where anything spoke for the class.": partial(
                _heat, scale=False
            ),
        },
    ),
}
