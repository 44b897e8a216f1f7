"""What is right in the exercises of notebooks 04 to 07, and the mistakes readers make there."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cvlab.grading import Exercise, Mistake

Array = NDArray[Any]

_rng = np.random.default_rng(4)

# 04: subsets, leaks, standardizing --------------------------------------------------------


def _leak_by_counting(train_share: float, epochs: int) -> float:
    """Ten thousand pictures, each left out of an epoch's training part with the same chance.

    By expectation, picture by picture: the share still unseen is multiplied in each epoch.
    """
    unseen = np.ones(10_000)
    for _ in range(epochs):
        unseen *= 1 - train_share
    return float(1 - unseen.mean())


def _standardized(train: Array, test: Array, source: str) -> tuple[Array, Array]:
    """Both splits by the numbers of `source`: the training split, each its own, or both."""
    both = np.concatenate([train, test])
    by = {"train": (train, train), "own": (train, test), "both": (both, both)}[source]
    return tuple(
        (data - numbers.mean(axis=0)) / numbers.std(axis=0)
        for data, numbers in zip((train, test), by, strict=True)
    )


_DATASET: Final = (
    Exercise(
        number="04.1",
        # The overlap of two random subsets follows the hypergeometric distribution.
        truth=lambda chosen, available: float(stats.hypergeom(available, chosen, chosen).mean()),
        cases=((1000, 12_500), (1000, 2000), (10, 12)),
        why="Each picture of the one subset is in the other with the chance chosen / available.",
        mistakes=(
            Mistake(
                "That is the chance for one picture. How many pictures have this chance?",
                lambda chosen, available: chosen / available,
            ),
            Mistake(
                "Both subsets are drawn at random, and yours share all or nothing.",
                lambda chosen, available: float(chosen),
            ),
            Mistake(
                "A picture is in both subsets with the *product* of two chances: you squared the "
                "chance and forgot how many pictures there are to draw from.",
                lambda chosen, available: (chosen / available) ** 2,
            ),
        ),
    ),
    Exercise(
        number="04.2",
        truth=_leak_by_counting,
        cases=((0.8, 1), (0.8, 2), (0.8, 3), (0.5, 4), (0.8, 0)),
        why="A picture stays unseen only if every single epoch leaves it out.",
        mistakes=(
            Mistake(
                "The shares do not simply add up: a picture may be trained on in several epochs.",
                lambda share, epochs: share * epochs,
            ),
            Mistake(
                "That is the share of pictures trained on in *every* epoch. Once is enough for a "
                "leak.",
                lambda share, epochs: share**epochs,
            ),
            Mistake(
                "That is the share of pictures that did not leak.",
                lambda share, epochs: (1 - share) ** epochs,
            ),
        ),
    ),
    Exercise(
        number="04.3",
        truth=lambda train, test: _standardized(train, test, "train"),
        cases=((_rng.normal(3, 2, size=(20, 4)), _rng.normal(4, 1, size=(10, 4))),),
        why="New pictures come one by one and bring no mean with them: only the training split's "
        "numbers are known beforehand.",
        mistakes=(
            Mistake(
                "The test split is standardized by its own mean and deviation. A difference "
                "between the splits disappears that way, and a single new picture could not be "
                "treated at all.",
                lambda train, test: _standardized(train, test, "own"),
            ),
            Mistake(
                "The test pictures take part in the mean and the deviation: that is a leak.",
                lambda train, test: _standardized(train, test, "both"),
            ),
            Mistake(
                "There is one mean for all columns. Each column has its own.",
                lambda train, test: (
                    (train - train.mean()) / train.std(),
                    (test - train.mean()) / train.std(),
                ),
            ),
        ),
    ),
)

# 05: parameters, loss, shuffled labels ----------------------------------------------------


def _parameters(
    image_size: int, units: int, *, bias: int = 1, shrink: int = 2, round_up: bool = False
) -> int:
    """The small convnet's parameters, layer by layer; the options are the readers' mistakes."""
    size, channels, total = image_size, 3, 0
    for filters in (32, 64, 128, 128):
        total += (9 * channels + bias) * filters
        size = (size - shrink + round_up) // 2
        channels = filters
    return total + (size * size * channels + bias) * units + units + bias


def _cross_entropy(probabilities: Array, labels: Array) -> float:
    """By the likelihood: minus the logarithm of what was given to the true class, on average."""
    given_to_truth = [p if label else 1 - p for p, label in zip(probabilities, labels, strict=True)]
    return -float(np.sum(np.log(given_to_truth))) / len(labels)


_GUESSES: Final = (np.array([0.9, 0.2, 0.6, 0.5, 0.99]), np.array([1, 0, 0, 1, 1]))

_BASELINE: Final = (
    Exercise(
        number="05.1",
        truth=_parameters,
        cases=((150, 512), (200, 512), (150, 64), (64, 512), (151, 512)),
        why="Only the first dense layer depends on the picture's size, and it has nearly all the "
        "parameters.",
        mistakes=(
            Mistake(
                "The biases are missing: one for each filter and each unit.",
                lambda size, units: _parameters(size, units, bias=0),
            ),
            Mistake(
                "Your maps do not shrink at the convolutions: without padding a 3 × 3 window loses "
                "a pixel on each side.",
                lambda size, units: _parameters(size, units, shrink=0),
            ),
            Mistake(
                "Pooling rounds an odd size down: half a square is left out.",
                lambda size, units: _parameters(size, units, round_up=True),
            ),
        ),
    ),
    Exercise(
        number="05.2",
        truth=_cross_entropy,
        cases=(_GUESSES, (np.array([0.5, 0.5]), np.array([0, 1]))),
        why="A coin's loss comes out as ln 2, and being sure and wrong is what costs most.",
        mistakes=(
            Mistake(
                "Cats are missing: where the label is 0, what counts is the probability given to a "
                "cat.",
                lambda p, y: -float(np.mean(y * np.log(p))),
            ),
            Mistake(
                "It is the sum over the pictures. The loss is an average, or it would grow with "
                "the batch.",
                lambda p, y: len(y) * _cross_entropy(p, y),
            ),
            Mistake(
                "A loss is lower the better; yours has the wrong sign.",
                lambda p, y: -_cross_entropy(p, y),
            ),
            Mistake(
                "The logarithm is the natural one.",
                lambda p, y: _cross_entropy(p, y) / np.log(2),
            ),
            Mistake(
                "That is the mean error of the probabilities. It hardly punishes a network that is "
                "sure and wrong.",
                lambda p, y: float(np.mean(np.abs(p - y))),
            ),
        ),
    ),
    Exercise(
        number="05.3",
        truth=lambda: ("rises", "stays"),
        cases=((),),
        why="The network has enough parameters to learn any labels by heart, and there is nothing "
        "in shuffled labels that could hold for other pictures.",
        mistakes=(
            Mistake(
                "A network that knows twenty pictures by heart needs no meaning in their labels. "
                "Think of the number of parameters again.",
                lambda: ("stays", "stays"),
            ),
            Mistake(
                "What could the network learn from shuffled labels that helps with pictures it has "
                "not seen?",
                lambda: ("rises", "rises"),
            ),
            Mistake(
                "The two are the wrong way round: which pictures does the network learn from?",
                lambda: ("stays", "rises"),
            ),
        ),
    ),
)

EXERCISES: Final = (*_DATASET, *_BASELINE)
