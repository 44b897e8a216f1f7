"""The exercises of notebooks 10 to 12: right answers, and the mistakes that readers make."""

from collections.abc import Callable, Iterator
from functools import partial
from math import exp
from typing import Any, Final

import numpy as np

from cvlab.course.exercises import scratch
from cvlab.course.exercises.judging import Array, Exercise

# 10: features and labels in one order, preprocessing, a probe by hand ---------------------


class _ShuffledImages:
    """Batches of features' images and their labels, in another order in each pass."""

    def __init__(self, count: int, size: int) -> None:
        self.images = np.random.default_rng(4).integers(0, 256, (count, 4, 4, 3)).astype(np.float64)
        self.count, self.size, self.passes = count, size, 0

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        self.passes += 1
        order = np.random.default_rng(self.passes).permutation(self.count)
        for start in range(0, self.count, self.size):
            chosen = order[start : start + self.size]
            yield self.images[chosen], chosen % 2

    def __repr__(self) -> str:
        return f"dataset of {self.count} images"


def _collected(dataset: _ShuffledImages, predict: Callable[[Array], Array]) -> tuple[Array, Array]:
    """All batches first, then one look at each."""
    images, labels = (np.concatenate(parts) for parts in zip(*dataset, strict=True))
    return predict(images), labels


def _in_two_passes(
    dataset: _ShuffledImages, predict: Callable[[Array], Array]
) -> tuple[Array, Array]:
    features = np.concatenate([predict(images) for images, _ in dataset])
    return features, np.concatenate([labels for _, labels in dataset])


def _last_batch(dataset: _ShuffledImages, predict: Callable[[Array], Array]) -> tuple[Array, Array]:
    images, labels = list(dataset)[-1]
    return predict(images), labels


def _preprocessed(mode: str, *, low: int = 0, high: int = 256) -> Array:
    """Random images as Keras preprocesses them; `low` and `high` bound their pixels."""
    images = np.random.default_rng(5).integers(low, high, (2, 6, 6, 3)).astype(np.float64)
    if mode == "none":
        return images
    if mode == "1/255":
        return images / 255
    from keras.applications import imagenet_utils  # noqa: PLC0415 (Keras takes seconds to import)

    return np.asarray(imagenet_utils.preprocess_input(images, mode=mode))


def _which(batch: Array) -> str:
    """By the range of each preprocessing, the narrowest that holds all values."""
    ranges = {"0 to 1": (0, 1), "-1 to 1": (-1, 1), "0 to 255": (0, 255)}
    fits = [
        name for name, (low, high) in ranges.items() if np.all((batch >= low) & (batch <= high))
    ]
    return fits[0] if fits else "mean subtracted"


def _probe(
    features: Array, labels: Array, learning_rate: float, steps: int, *, mistake: str = ""
) -> tuple[Array, float]:
    """Image by image; `mistake` names one that readers make."""
    weights, bias = np.zeros(features.shape[1]), 0.0
    for _ in range(steps):
        slope, slope_of_bias = np.zeros_like(weights), 0.0
        for row, label in zip(features, labels, strict=True):
            logit = float(row @ weights + bias)
            p = 1 / (1 + exp(-logit))
            error = (logit if mistake == "no sigmoid" else p) - label
            error *= p * (1 - p) if mistake == "squared error" else 1
            slope += error * row
            slope_of_bias += error
        step = learning_rate / (1 if mistake == "sum" else len(labels))
        step *= -1 if mistake == "ascent" else 1
        weights = weights - step * slope
        bias -= 0 if mistake == "no bias" else step * slope_of_bias
    return weights, bias


_RNG: Final = np.random.default_rng(6)


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


class _ShuffledInputs:
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


def _accuracy_of_batches(predict: Any, batches: _ShuffledInputs, *, mistake: str = "") -> float:
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


def _broadcast_in_batches(predict: Any, batches: _ShuffledInputs) -> float:
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
        truth=_collected,
        cases=((_ShuffledImages(12, 4), _left_half), (_ShuffledImages(7, 3), _left_half)),
        why="The dataset is shuffled again in each pass, so features and labels must come from the "
        "same pass. shuffle=False is the other way.",
        mistakes={
            "Features and labels come from two passes. Is the order of the images the same in "
            "both?": _in_two_passes,
            "Only the last batch is there: collect the batches in a list.": _last_batch,
            "These are lists of batches; put each list together with "
            "np.concatenate.": lambda dataset, predict: tuple(
                [np.asarray(part) for part in parts]
                for parts in zip(*((predict(x), y) for x, y in dataset), strict=True)
            ),
            "The features are missing: these are the images.": lambda dataset, predict: tuple(
                np.concatenate(parts) for parts in zip(*dataset, strict=True)
            ),
        },
    ),
    "10.2": Exercise(
        truth=_which,
        cases=(
            (_preprocessed("none"),),
            (_preprocessed("1/255"),),
            (_preprocessed("tf"),),
            (_preprocessed("caffe"),),
            (_preprocessed("none", low=20, high=120),),
            (_preprocessed("caffe", low=60, high=200),),
            (_preprocessed("tf", low=40, high=130),),
        ),
        why="Print minimum and maximum of what you feed to a network, once, before you train.",
        mistakes={
            "The maximum alone does not decide: values up to 1 may begin at 0 or at "
            "-1.": lambda batch: (
                "0 to 1"
                if batch.max() <= 1
                else "0 to 255"
                if batch.max() > 152
                else "mean subtracted"
            ),
            "The minimum alone does not decide: values from 0 on may end at 1 or at "
            "255.": lambda batch: (
                "mean subtracted"
                if batch.min() < -1
                else "-1 to 1"
                if batch.min() < 0
                else "0 to 1"
            ),
            "A dark photo has no value near 255, and is still one with values from 0 to "
            "255.": lambda batch: (
                "0 to 1"
                if batch.max() <= 1 and batch.min() >= 0
                else "-1 to 1"
                if batch.max() <= 1 and batch.min() >= -1
                else "0 to 255"
                if batch.max() > 200 and batch.min() >= 0
                else "mean subtracted"
            ),
            "No photo has to be black somewhere: values with the mean subtracted need not begin "
            "near -124.": lambda batch: (
                "mean subtracted"
                if batch.min() < -100
                else _which(np.maximum(batch, -1) if batch.max() <= 1 else np.maximum(batch, 0))
            ),
        },
    ),
    "10.3": Exercise(
        truth=_probe,
        cases=(
            (_RNG.normal(size=(8, 3)), np.array([0, 1, 1, 0, 1, 0, 0, 1]), 0.5, 3),
            (_RNG.normal(size=(5, 2)) + 1, np.array([1, 1, 0, 1, 1]), 0.1, 10),
            (_RNG.normal(size=(4, 6)), np.array([0, 0, 1, 1]), 2.0, 1),
        ),
        why="This is the same neuron as a Dense layer of one unit with a sigmoid, trained by SGD.",
        mistakes={
            "The loss goes up: a step leads against the gradient, not along it.": partial(
                _probe, mistake="ascent"
            ),
            "The steps are too large by the number of images: the loss is a mean, not "
            "a sum.": partial(_probe, mistake="sum"),
            "The error is the probability minus the label: the sigmoid is missing.": partial(
                _probe, mistake="no sigmoid"
            ),
            "The bias is trained, too.": partial(_probe, mistake="no bias"),
            "There is a factor p (1 − p) too many. It belongs to the squared error; with "
            "cross-entropy it cancels.": partial(_probe, mistake="squared error"),
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
    "11.2": scratch.EXERCISES["07.3"],  # asked again of a pretrained network
    "12.1": Exercise(
        truth=_accuracy_of_batches,
        cases=(
            (_sum_is_positive, _ShuffledInputs(90, 20, 1)),
            (_sum_is_positive, _ShuffledInputs(31, 10, 2)),
        ),
        why="Prediction and label come from the same batch of the same loop, both of shape (n,), "
        "and every image counts once.",
        mistakes={
            "Predictions and labels come from two loops over the batches, and each loop has "
            "another order.": partial(_accuracy_of_batches, mistake="two loops"),
            "Shape (N, 1) against shape (N,): NumPy compares every prediction with every "
            "label.": partial(_accuracy_of_batches, mistake="broadcast"),
            "In each batch, shape (n, 1) meets shape (n,): NumPy compares every prediction with "
            "every label, and the sum counts all pairs.": _broadcast_in_batches,
            "np.argmax over a single column is always 0: compare the probability with "
            "0.5.": lambda predict, batches: float(
                np.mean(np.concatenate([y == 0 for _, y in batches]))
            ),
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
            "That moves every probability toward 0.5 by the same factor. A temperature divides the "
            "logit.": lambda p, t: 0.5 + (p - 0.5) / t,
            "A power of the probability moves 0.5 itself, and with it the accuracy.": lambda p, t: (
                p ** (1 / t)
            ),
        },
    ),
}
