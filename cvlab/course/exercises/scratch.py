"""The exercises of notebooks 05 to 08: right answers, and the mistakes that readers make."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any, Final

import numpy as np
from scipy import stats

from cvlab.course.exercises import broken
from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(4)

# 05: faulty datasets, leakage, standardizing ----------------------------------------------


def _fault(
    images: Array,
    labels: Array,
    test_images: Array,
    test_labels: Array,
    *,
    leak: str = "anywhere",
    balanced: str = "both",
    scale: bool = True,
) -> str:
    """The fault of a dataset, by digests and counts; the options are the readers' mistakes."""
    seen, new = (
        [float(image.mean()) if leak == "mean" else image.astype(float).tobytes() for image in some]
        for some in (images, test_images)
    )
    pairs = zip(seen, new, strict=False) if leak == "same place" else product(seen, new)
    if any(one == other for one, other in pairs):
        return "leak"
    counts = [np.bincount(each, minlength=2) for each in (labels, test_labels)]
    if any(cats != dogs for cats, dogs in counts[: 2 if balanced == "both" else 1]):
        return "imbalance"
    ranges = {float(each.max()) > 1 for each in (images, test_images)}
    return "scale" if scale and len(ranges) > 1 else "none"


def _datasets() -> Iterator[tuple[Array, Array, Array, Array]]:
    """One dataset for each fault, one for each fault in the other set, and one without a fault."""
    images = _rng.integers(0, 256, (14, 2, 2, 3))
    images[:, 0, 0, 0] = 200
    labels = np.array([0, 1] * 7)
    train, test = (images[:8], labels[:8]), (images[8:], labels[8:])
    mirrored = images[8:].copy()
    mirrored[1] = images[4, ::-1]  # another image with the same values
    yield *train, np.concatenate([images[8:13], images[2:3]]), labels[8:]
    yield *train, images[8:], np.array([1, 1, 1, 0, 1, 1])
    yield images[:8], np.array([1, 1, 0, 1, 1, 0, 1, 1]), *test
    yield *train, images[8:] / 255, labels[8:]
    yield images[:8] / 255, labels[:8], *test
    yield *train, mirrored, labels[8:]


def _standardized(train: Array, test: Array, source: str) -> tuple[Array, Array]:
    """Both sets by the statistics of `source`: the training set, each its own, or both."""
    both = np.concatenate([train, test])
    by = {"train": (train, train), "own": (train, test), "both": (both, both)}[source]
    return tuple(
        (data - numbers.mean(axis=0)) / numbers.std(axis=0)
        for data, numbers in zip((train, test), by, strict=True)
    )


# 06: parameters, what to change, shuffling ------------------------------------------------


def _parameters(image_size: int, units: int, mistake: str = "") -> int:
    """The small convnet's, layer by layer; `mistake` names one that readers make."""
    size, channels, total, bias = image_size, 3, 0, mistake != "no bias"
    for filters in (32, 64, 128, 128):
        total += (9 * (1 if mistake == "one channel" else channels) + bias) * filters
        size = size // 2 if mistake == "padded" else (size - 2 + (mistake == "rounded up")) // 2
        channels = filters
    last = 0 if mistake == "no output" else units + bias
    return total + (size * size * channels + bias) * units + last


def _shuffled(
    images: Array, labels: Array, seed: int, *, together: bool = True, replaced: bool = False
) -> tuple[Array, Array]:
    """Both arrays in a random order; the options are the readers' mistakes."""
    rng = np.random.default_rng(seed)
    order, other = (rng.choice(len(labels), len(labels), replace=replaced) for _ in range(2))
    return images[order], labels[order if together else other]


def _pairing(
    answer: tuple[Array, Array], images: Array, labels: Array, seed: int
) -> dict[str, bool]:
    """What matters of a shuffled set of different images, whatever its order."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return {"two": False}
    of_image = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    shuffled, theirs = np.asarray(answer[0]), np.asarray(answer[1])
    found = [image.tobytes() for image in shuffled]
    return {
        "pairs": [of_image.get(image) for image in found] == theirs.tolist(),
        "complete": set(found) == set(of_image),
        "moved": not np.array_equal(shuffled, images),
        "mixed": int(np.count_nonzero(np.diff(theirs.astype(int)))) > 1,
    }


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

_SIGNS: Final = {
    ("A", "lower learning rate"): "a learning rate that is too high makes the loss jump. A's "
    "falls smoothly.",
    ("A", "more training images"): "more images help a network that fits its training images and "
    "no others. A's training accuracy is low, too.",
    ("A", "train longer"): "the curves level off far above 0. What else keeps a network from "
    "fitting its training images?",
    ("B", "lower learning rate"): "the training loss reaches 0 without a jump, so the learning "
    "rate works. Look at the gap.",
    ("B", "more hidden units"): "the training accuracy is 100 %, so the network is large enough. "
    "Why does the validation accuracy not follow?",
    ("B", "train longer"): "the training loss is near 0: there is nothing left to learn from "
    "these images.",
    ("C", "more hidden units"): "a network that is too small learns something, and its curves are "
    "smooth. C's loss jumps first, and then stays at chance level.",
    ("C", "more training images"): "with too few images the training accuracy is far above the "
    "validation accuracy. C's are both at chance level.",
    ("C", "train longer"): "after some jumps the loss stays at ln 10. Another hundred of such "
    "epochs would not change that.",
    ("D", "lower learning rate"): "the loss falls smoothly, and too slowly already.",
    ("D", "more hidden units"): "both losses still fall in the last epoch, so you do not know yet "
    "how far this network gets.",
    ("D", "more training images"): "training and validation stay together, so there is no "
    "overfitting. Are the curves at their end?",
}

EXERCISES: Final = {
    "05.1": Exercise(
        truth=_fault,
        cases=tuple(_datasets()),
        why="Each of the four faults leaves the code running: only a look at the arrays finds it.",
        mistakes={
            "An image may leak to any place in the test set: compare each test image with each "
            "training image.": partial(_fault, leak="same place"),
            "Two different images can have the same mean. Compare them pixel by pixel.": partial(
                _fault, leak="mean"
            ),
            "You looked at the classes of the training set alone. In an unbalanced test set a "
            "constant answer gets a high accuracy.": partial(_fault, balanced="train"),
            "One of the faults is in the values, not in the labels: compare the ranges of the two "
            "sets.": partial(_fault, scale=False),
        },
    ),
    "05.2": Exercise(
        # Trained on at least once: the tail of the binomial distribution.
        truth=lambda share, epochs: float(stats.binom.sf(0, epochs, share)),
        cases=((0.8, 1), (0.8, 2), (0.8, 3), (0.5, 4), (0.8, 0)),
        why="An image stays unseen only if every single epoch leaves it out.",
        mistakes={
            "The shares do not simply add up: an image may be trained on in "
            "several epochs.": lambda share, epochs: share * epochs,
            "That is the share of images trained on in *every* epoch. Once is enough for "
            "leakage.": lambda share, epochs: share**epochs,
            "That is the share of images that did not leak.": lambda share, epochs: (
                (1 - share) ** epochs
            ),
        },
    ),
    "05.3": Exercise(
        truth=partial(_standardized, source="train"),
        cases=((_rng.normal(3, 2, size=(20, 4)), _rng.normal(4, 1, size=(10, 4))),),
        why="A new image comes alone and has no mean over images: the statistics must come from "
        "the training set.",
        mistakes={
            "The test set is standardized by its own mean and standard deviation. That hides a "
            "difference between the sets, and it is impossible for a single new "
            "image.": partial(_standardized, source="own"),
            "The test images take part in the mean and the standard deviation: that is "
            "leakage.": partial(_standardized, source="both"),
            "There is one mean for all columns. Each column has its own.": lambda train, test: (
                ((train - train.mean()) / train.std(), (test - train.mean()) / train.std())
            ),
        },
    ),
    "06.1": Exercise(
        truth=_parameters,
        cases=((150, 512), (200, 512), (150, 64), (64, 512), (151, 512)),
        why="Only the first dense layer depends on the size of the image, and it has nearly all "
        "the parameters.",
        mistakes={
            "The biases are missing: one for each filter and each unit.": partial(
                _parameters, mistake="no bias"
            ),
            "Your feature maps do not shrink at the convolutions: without padding, a 3 × 3 kernel "
            "loses a pixel on each side.": partial(_parameters, mistake="padded"),
            "Pooling rounds an odd size down: an incomplete window is left out.": partial(
                _parameters, mistake="rounded up"
            ),
            "A filter has one 3 × 3 kernel for each channel of its input.": partial(
                _parameters, mistake="one channel"
            ),
            "The last layer is missing: the single unit that gives the probability.": partial(
                _parameters, mistake="no output"
            ),
        },
    ),
    "06.2": Exercise(
        truth=broken.needed,
        cases=((),),
        why="A cannot fit even its training images: its capacity is too small. B fits them "
        "perfectly and nothing else: it overfits. C takes steps that are too long. D is not "
        "finished.",
        mistakes=broken.one_wrong(broken.needed(), _SIGNS),
        look=partial(broken.first_wrong, right=broken.needed(), listed=broken.REMEDIES),
    ),
    "06.3": Exercise(
        truth=_shuffled,
        cases=tuple(
            (_rng.integers(0, 256, (24, 2, 2, 3), np.uint8), np.array([0, 1] * 12), seed)
            for seed in (1, 2)
        ),
        why="One order for both arrays. The loss before training, the memorized twenty images and "
        "the training accuracy all look right with wrong labels: only validation tells.",
        mistakes={
            "The images and the labels still get two different orders, so most images have the "
            "label of another one. Follow one image through your code.": partial(
                _shuffled, together=False
            ),
            "Some images are there twice, and others are missing: an order has each index "
            "once.": partial(_shuffled, replaced=True),
            "This is the order of before. Without any shuffling the pairs are right, but the task "
            "is to shuffle them.": lambda images, labels, seed: (images, labels),
            "Return two arrays, the images and the labels.": lambda images, labels, seed: images,
            "You sorted the images by their label. Then most batches have one class "
            "only.": lambda images, labels, seed: (
                images[np.argsort(labels, kind="stable")],
                np.sort(labels),
            ),
        },
        look=_pairing,
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
            "Still broken: values above 1 leave the layers. Which range of values does "
            "RandomBrightness expect, by default?": lambda: _front("rfb"),
            "Without RandomBrightness the network learns, but the cause is not found. Keep all "
            "three layers.": lambda: _front("rf"),
            "The network needs values from 0 to 1: keep the Rescaling.": lambda: _front("bf"),
            "RandomFlip is missing: keep all three layers.": lambda: _front("br"),
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
            "Only the mirror image is used; the original image counts too.": (
                lambda predict, images: predict(images[:, :, ::-1])
            ),
            "That reverses the order of the images: the first axis counts them.": (
                lambda predict, images: (predict(images) + predict(images[::-1])) / 2
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
