"""The exercises of notebooks 10 to 12: right answers, and the mistakes that readers make."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from cvlab.course.exercises.judging import Array, Exercise

# 09: batches, scales, heads ----------------------------------------------------------------


def _caffe(images: Array) -> Array:
    """Ask Keras."""
    from keras.applications import vgg16  # noqa: PLC0415 (Keras takes seconds to import)

    return np.asarray(vgg16.preprocess_input(np.array(images, dtype=np.float32)))


_MEANS: Final = np.array([123.68, 116.779, 103.939])


def _head_parameters(h: int, w: int, c: int, units: int, pooled: bool, *, mistake: str = "") -> int:
    """Layer by layer; `mistake` names one that readers make."""
    inputs = c if pooled and mistake != "pooling flattens" else h * w * c
    layers = [(inputs, units), (units, 1)]
    if pooled and mistake != "pooled head has two layers":
        layers = [(inputs, 1)]
    elif mistake == "no last layer":
        layers.pop()
    return sum((rows + (mistake != "no bias")) * columns for rows, columns in layers)


_COLORS: Final = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3)).astype(np.float64)


# 11: a training set of views, two looks at an image ---------------------------------------


def _pairs(answer: Any, *_: Any) -> Array:
    """Rows of features with their label, sorted: the order of a training set is free."""
    rows, labels = answer
    return np.array(sorted(map(tuple, np.column_stack([rows, labels]))))


_VIEWS: Final = [np.arange(6.0).reshape(3, 2) + 10 * view for view in range(3)]


def _left_half(images: Array) -> Array:
    """Stand in for a network: mean red of the upper left quarter of each image, shape (N, 1)."""
    height, width = images.shape[1] // 2, images.shape[2] // 2
    return np.asarray(images[:, :height, :width, 0].mean(axis=(1, 2))[:, None] / 255)


# 12: accuracy over batches, confidence ---------------------------------------------------


class _Shuffled:
    """Batches of 2-dimensional inputs with labels, in a new order for each loop."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.random, self.size = np.random.default_rng(seed), size
        self.inputs = self.random.normal(size=(count, 2))
        noise = self.random.normal(size=count)
        self.labels = (self.inputs.sum(axis=1) + noise > 0).astype(int)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        order = self.random.permutation(len(self.labels))
        for start in range(0, len(order), self.size):
            rows = order[start : start + self.size]
            yield self.inputs[rows], self.labels[rows]

    def __repr__(self) -> str:
        return f"{len(self.labels)} inputs in batches of {self.size}"


def _sum_is_positive(inputs: Array) -> Array:
    """Stand in for a network: probabilities of shape (N, 1)."""
    return np.asarray(1 / (1 + np.exp(-inputs.sum(axis=1, keepdims=True))))


def _accuracy_of_batches(predict: Any, batches: _Shuffled, *, mistake: str = "") -> float:
    """Image by image; `mistake` names one that readers make."""
    pairs = [(predict(inputs)[:, 0] > 0.5, labels == 1) for inputs, labels in batches]
    if mistake == "mean of batches":
        return float(np.mean([np.mean(said == truth) for said, truth in pairs]))
    said = np.concatenate([one for one, _ in pairs])
    truth = np.concatenate([one for _, one in pairs])
    if mistake == "two loops":
        truth = np.concatenate([labels == 1 for _, labels in batches])
    if mistake == "broadcast":
        said = said[:, None]
    return float(np.mean(said == truth))


def _broadcast_in_batches(predict: Any, batches: _Shuffled) -> float:
    """Compare (n, 1) with (n,) in each batch, and count."""
    hits = total = 0
    for inputs, labels in batches:
        hits += int(np.sum((predict(inputs) > 0.5) == (labels == 1)))
        total += len(labels)
    return hits / total


def _with_temperature(probabilities: Array, temperature: float) -> Array:
    """By odds: dividing the logit takes a root of them."""
    odds = (probabilities / (1 - probabilities)) ** (1 / temperature)
    return np.asarray(odds / (1 + odds))


EXERCISES: Final = {
    "10.1": Exercise(
        # Cut the numbers of the images into pieces.
        truth=lambda count, size: [
            (piece[0], piece[-1] + 1)
            for piece in np.split(np.arange(count), range(size, count, size))
        ],
        cases=((100, 20), (45, 20), (7, 10), (21, 20), (3, 1)),
        why="Every picture is in one batch, and the last batch takes what is left.",
        mistakes={
            "The pictures that do not fill a batch are left out.": lambda count, size: [
                (k * size, (k + 1) * size) for k in range(count // size)
            ],
            "The last batch ends beyond the last picture. NumPy forgives that where it reads, and "
            "not where "
            "it writes.": lambda count, size: [(k, k + size) for k in range(0, count, size)],
            "There is one batch too many: where the pictures end with a full batch, none is left "
            "for another.": lambda count, size: (
                [(k * size, min((k + 1) * size, count)) for k in range(count // size + 1)]
            ),
        },
    ),
    "10.2": Exercise(
        truth=_caffe,
        cases=((_COLORS,), (np.full((1, 2, 2, 3), 255.0),), (np.zeros((1, 1, 1, 3)),)),
        why="VGG16 learned from pictures in this order and around this mean, so it needs both.",
        mistakes={
            "The channels are still red, green, blue; VGG16 takes blue first.": lambda images: (
                images - _MEANS
            ),
            "The channels are turned round and the means are not: each mean belongs to "
            "its color.": lambda images: images[..., ::-1] - _MEANS,
            "The means are turned round and the channels are not: each mean belongs to "
            "its color.": lambda images: images - _MEANS[::-1],
            "That is the lecture's scale, 0 to 1, which is not the one VGG16 "
            "learned on.": lambda images: images / 255,
            "No division here: VGG16's numbers stay as large as those of "
            "the pixels.": lambda images: (images[..., ::-1] - _MEANS[::-1]) / 255,
        },
        tolerance=1e-4,
    ),
    "10.3": Exercise(
        truth=_head_parameters,
        cases=(
            (4, 4, 512, 256, False),
            (4, 4, 512, 256, True),
            (7, 5, 768, 64, False),
            (2, 2, 128, 10, True),
        ),
        why="Pooling divides by the number of positions before anything is multiplied.",
        mistakes={
            "The biases are missing: one for each output of a dense layer.": partial(
                _head_parameters, mistake="no bias"
            ),
            "The last layer is missing: it turns the outputs into one probability.": partial(
                _head_parameters, mistake="no last layer"
            ),
            "Pooling leaves one number for each channel, whatever the height and width.": partial(
                _head_parameters, mistake="pooling flattens"
            ),
            "The head with pooling has no layer of 256: its one layer follows the means.": partial(
                _head_parameters, mistake="pooled head has two layers"
            ),
        },
    ),
    "11.1": Exercise(
        # One image in one view at a time.
        truth=lambda views, labels: (
            np.array([row for view in views for row in view]),
            np.array([label for _ in views for label in labels]),
        ),
        cases=((_VIEWS, np.array([0, 1, 1])), (_VIEWS[:2], np.array([1, 0, 1]))),
        look=_pairs,
        why="Features and labels are in the same order: view by view, and within a view image by "
        "image.",
        mistakes={
            "The rows run view by view, the labels image by image, so most rows get the label of "
            "another image.": lambda views, labels: (
                np.concatenate(views),
                np.repeat(labels, len(views)),
            ),
            "Only the first view is in the training set.": lambda views, labels: (views[0], labels),
            "A mean of views is not a view: each row must be one image in one "
            "view.": lambda views, labels: (np.mean(views, axis=0), labels),
            "That puts the views side by side, as more features of the same images. They belong "
            "below each other, as more rows.": lambda views, labels: (
                np.concatenate(views, axis=1),
                labels,
            ),
        },
    ),
    "11.2": Exercise(
        truth=lambda predict, images: np.mean(
            [predict(images), predict(np.flip(images, axis=2))], axis=0
        ),
        cases=(
            (_left_half, np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3)).astype(float)),
            (_left_half, np.random.default_rng(2).integers(0, 256, (1, 6, 8, 3)).astype(float)),
        ),
        why="The mirror image has the same class, so both predictions count, and their errors "
        "partly cancel.",
        mistakes={
            "That flips the images upside down: the axes are image, row, "
            "column, channel.": lambda predict, x: (predict(x) + predict(x[:, ::-1])) / 2,
            "That exchanges red and blue: the last axis holds the channels.": lambda predict, x: (
                (predict(x) + predict(x[..., ::-1])) / 2
            ),
            "That reverses the order of the images: the first axis "
            "counts them.": lambda predict, x: (predict(x) + predict(x[::-1, :, ::-1])) / 2,
            "A sum of two probabilities is not a probability: take their "
            "mean.": lambda predict, x: predict(x) + predict(x[:, :, ::-1]),
            "Only the mirror image is used; the original image counts too.": lambda predict, x: (
                predict(x[:, :, ::-1])
            ),
        },
    ),
    "12.1": Exercise(
        truth=_accuracy_of_batches,
        cases=((_sum_is_positive, _Shuffled(90, 20, 1)), (_sum_is_positive, _Shuffled(31, 10, 2))),
        why="Prediction and label come from the same batch of the same loop, both of shape (n,), "
        "and every image counts once.",
        mistakes={
            "Predictions and labels come from two loops over the batches, and each loop has "
            "another order.": partial(_accuracy_of_batches, mistake="two loops"),
            "Shape (N, 1) against shape (N,): NumPy compares every prediction with every "
            "label.": partial(_accuracy_of_batches, mistake="broadcast"),
            "In each batch, shape (n, 1) meets shape (n,): NumPy compares every prediction with "
            "every label, and the sum counts all pairs.": _broadcast_in_batches,
            "A mean of the batches' accuracies gives the images of a small last batch more "
            "weight.": partial(_accuracy_of_batches, mistake="mean of batches"),
        },
    ),
    "12.2": Exercise(
        truth=_with_temperature,
        cases=(
            (np.array([0.1, 0.5, 0.6, 0.99]), 3.0),
            (np.array([0.3, 0.8]), 0.5),
            (np.array([0.45, 0.2, 0.9]), 10.0),
        ),
        why="No probability crosses 0.5, so the accuracy stays; a temperature above 1 lowers the "
        "confidence, and with it the loss of confident errors.",
        mistakes={
            "A probability is not a logit: compute the logit, divide it, and apply the "
            "sigmoid.": lambda p, t: p / t,
            "That multiplies the logits: a temperature above 1 must lower the "
            "confidence.": lambda p, t: 1 / (1 + np.exp(-t * np.log(p / (1 - p)))),
            "That is the logit itself: the sigmoid turns it back into "
            "a probability.": lambda p, t: np.log(p / (1 - p)) / t,
            "A power of the probability moves 0.5 itself, and with it the accuracy.": lambda p, t: (
                p ** (1 / t)
            ),
        },
    ),
}
