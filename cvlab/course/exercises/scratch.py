"""The exercises of notebooks 05 to 08: right answers, and the mistakes that readers make."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from scipy import stats

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


# 07: a map upside down, a broken training, averaging at test time ---------------------------


def _in_front(layers_: Any) -> tuple[set[str], bool, bool]:
    """Layers in front of a network: their kinds, and whether what leaves is in 0..1, and varies."""
    images = np.tile(_rng_images(8), (32, 1, 1, 1))
    first, second = (_through(layers_, images, training=True) for _ in range(2))
    inside = bool(first.min() >= 0 and first.max() <= 1.001 and first.max() > 0.1)
    return {type(layer).__name__ for layer in layers_}, inside, bool(np.any(first != second))


def _through(layers_: Any, values: Array, *, training: bool) -> Array:
    """The output of layers, one after the other."""
    import keras  # noqa: PLC0415

    for layer in layers_:
        values = layer(values, training=training)
    return np.asarray(keras.ops.convert_to_numpy(values))


def _rng_images(size: int) -> Array:
    """Two images of random pixels, the same at every call."""
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)


def _front(names: str, **brightness: Any) -> list[Any]:
    """Layers by the first letters of their names: rescaling, flip, brightness."""
    from keras import layers  # noqa: PLC0415

    return [
        {
            "r": lambda: layers.Rescaling(1 / 255),
            "f": lambda: layers.RandomFlip("horizontal"),
            "b": lambda: layers.RandomBrightness(0.2, **brightness),
        }[name]()
        for name in names
    ]


def _probabilities(images: Array) -> Array:
    """Stands for a network: neither linear nor symmetric."""
    weights = np.random.default_rng(1).normal(size=images.shape[1:])
    return np.asarray(1 / (1 + np.exp(-np.tensordot(images, weights, 3) / 4)))


# 08: dropout of channels, dropout at the wrong end, occlusion --------------------------------


def _dropped_channels(values: Array, kept: Array, rate: float) -> Array:
    """Channel by channel, as SpatialDropout2D does it."""
    result = np.zeros_like(values)
    for image, channel in zip(*np.nonzero(kept), strict=True):
        result[image, :, :, channel] = values[image, :, :, channel] / (1 - rate)
    return result


def _at_the_end(layers_: Any) -> tuple[set[str], bool, bool, bool]:
    """Last layers of a network: their kinds, and whether what leaves is in 0..1, >= 0, varies."""
    maps = np.random.default_rng(2).normal(size=(64, 2, 2, 4)).astype(np.float32)
    first, second = (_through(layers_, maps, training=True) for _ in range(2))
    inside, varies = bool(first.min() > 0 and first.max() < 1), bool(np.any(first != second))
    return {type(layer).__name__ for layer in layers_}, inside, bool(first.min() >= 0), varies


def _end(names: str, *, activation: str | None = "sigmoid") -> list[Any]:
    """Layers by their first letters: flatten, hidden dense, output dense, dropout."""
    from keras import layers  # noqa: PLC0415

    return [
        {
            "f": layers.Flatten,
            "h": lambda: layers.Dense(512, activation="relu"),
            "o": lambda: layers.Dense(1, activation=activation),
            "d": lambda: layers.Dropout(0.5),
        }[name]()
        for name in names
    ]


def _score(image: Array) -> float:
    """Stands for a network's probability of a class."""
    return float(_probabilities(image[None])[0])


def _occlusion(
    score: Callable[[Array], float],
    image: Array,
    patch: int,
    *,
    sign: int = 1,
    fill: float | None = None,
    copied: bool = True,
) -> Array:
    """Occlusion sensitivity; the options are the readers' mistakes."""
    image = image.copy()
    whole, mean = score(image), image.mean(axis=(0, 1)) if fill is None else fill
    result = np.zeros([side // patch for side in image.shape[:2]])
    for row, column in np.ndindex(*result.shape):
        covered = image.copy() if copied else image
        covered[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = mean
        result[row, column] = sign * (whole - score(covered))
    return result


_MAPS: Final = _rng.normal(size=(3, 4, 5, 6))
_KEPT: Final = _rng.random((3, 6)) < 0.5
_IMAGE: Final = _rng.random((8, 12, 3))

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
        truth=lambda height: np.linalg.inv([[1, 0, 0], [0, -1, height - 1], [0, 0, 1]])[:2],
        cases=((150,), (7,)),
        why="Row 0 reads the last row, which is height - 1, and the columns stay.",
        mistakes={
            "Row 0 reads one row beyond the last: rows count from 0.": lambda height: np.array(
                [[1, 0, 0], [0, -1, height]]
            ),
            "That exchanges left and right. The first row of the matrix gives the "
            "column.": lambda height: np.array([[-1, 0, height - 1], [0, 1, 0]]),
            "Every row but row 0 reads above the image: the center must stay where "
            "it is.": lambda height: np.array([[1, 0, 0], [0, -1, 0]]),
            "The center of the image is at (height - 1) / 2, and a mirror image about it moves "
            "every row by twice its "
            "distance.": lambda height: np.array([[1, 0, 0], [0, -1, (height - 1) / 2]]),
        },
    ),
    "07.2": Exercise(
        truth=lambda: _front("bfr"),
        cases=((),),
        look=_in_front,
        why="RandomBrightness expects values from 0 to 255 unless value_range says otherwise: on "
        "values from 0 to 1 it added up to 51. It now gets the range that it expects.",
        mistakes={
            "Still broken: a value far above 1 leaves the layers. Which range of values does "
            "RandomBrightness expect, by default?": lambda: _front("rfb"),
            "Without RandomBrightness the network learns, but the cause is not found. Keep all "
            "three layers.": lambda: _front("rf"),
            "The network needs values from 0 to 1: keep the Rescaling.": lambda: _front("bf"),
        },
    ),
    "07.3": Exercise(
        truth=lambda predict, images: np.mean(
            [predict(images), predict(np.flip(images, axis=2))], axis=0
        ),
        cases=((_probabilities, _rng.random((5, 4, 6, 3))), (_probabilities, _MAPS)),
        why="Two views of an image, one prediction. Probabilities are averaged, so the more "
        "confident view counts more.",
        mistakes={
            "That turns the images upside down. Axis 0 counts images, axis 1 rows, and axis 2 "
            "columns.": lambda predict, images: (predict(images) + predict(images[:, ::-1])) / 2,
            "That reverses the color channels, not the columns.": lambda predict, images: (
                (predict(images) + predict(images[..., ::-1])) / 2
            ),
            "Average the two predictions, not the two images: the mean of a cat and its mirror "
            "image is a blurred "
            "image.": lambda predict, images: predict((images + images[:, :, ::-1]) / 2),
            "That is the sum. A probability lies between 0 and 1.": lambda predict, images: (
                predict(images) + predict(images[:, :, ::-1])
            ),
            "Those are votes. Average the probabilities, so that confidence "
            "counts.": lambda predict, images: (
                ((predict(images) > 0.5) * 1.0 + (predict(images[:, :, ::-1]) > 0.5)) / 2
            ),
        },
    ),
    "08.1": Exercise(
        truth=_dropped_channels,
        cases=((_MAPS, _KEPT, 0.5), (_MAPS, _KEPT, 0.2)),
        why="Neighbors in a feature map are so similar that a dropped value could be guessed from "
        "them. Dropping whole channels leaves nothing to guess from.",
        mistakes={
            "In training the next layer now gets less than in prediction: divide what is left by "
            "the share that is kept on average.": lambda values, kept, rate: (
                values * kept[:, None, None]
            ),
            "The rate is the share that is *dropped*; divide by the share that is "
            "kept.": lambda values, kept, rate: values * kept[:, None, None] / rate,
            "`kept` says which channels stay; you dropped those.": lambda values, kept, rate: (
                values * ~kept[:, None, None] / (1 - rate)
            ),
            "What is left must become larger, not smaller.": lambda values, kept, rate: (
                values * kept[:, None, None] * (1 - rate)
            ),
            "You divide by the share that was kept this time. Dropout divides by the expected "
            "share, 1 - rate.": lambda values, kept, rate: (
                values * kept[:, None, None] / kept.mean()
            ),
        },
    ),
    "08.2": Exercise(
        truth=lambda: _end("fhdo"),
        cases=((),),
        look=_at_the_end,
        why="Behind the output, dropout replaced half of the probabilities by 0 and doubled the "
        "others. Cross-entropy takes their logarithm, so the loss was enormous, and no weight "
        "could change that.",
        mistakes={
            "Still broken: in training some outputs are exactly 0, and others above 1. Which "
            "layer does that to a probability?": lambda: _end("fhod"),
            "Without dropout the network trains, but nothing regularizes it. Keep all four "
            "layers.": lambda: _end("fho"),
            "The output is no probability: keep the sigmoid.": lambda: _end(
                "fdho", activation=None
            ),
        },
    ),
    "08.3": Exercise(
        truth=_occlusion,
        cases=((_score, _IMAGE, 4), (_score, _IMAGE, 2)),
        why="Occlusion needs no gradient and works for every model, at the price of one "
        "prediction per patch.",
        mistakes={
            "The sign is reversed: a region that matters lowers the score when it is "
            "covered.": partial(_occlusion, sign=-1),
            "Your patches stay covered, so each one adds to those before it: copy the image for "
            "every patch.": partial(_occlusion, copied=False),
            "You cover with black. Cover with the image's mean color.": partial(_occlusion, fill=0),
            "Rows and columns are exchanged.": lambda score, image, patch: (
                _occlusion(score, image, patch).T
            ),
        },
    ),
}
