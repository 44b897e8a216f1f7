"""The exercises of notebooks 10 to 12: right answers, and the mistakes that readers make."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from math import ceil, exp
from typing import Final

import numpy as np
from numpy.linalg import norm

from cvlab.course.exercises.judging import Array, Exercise

# 10: features and labels in one order, preprocessing, a probe by hand ---------------------


class _Shuffled:
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


def _collected(dataset: _Shuffled, predict: Callable[[Array], Array]) -> tuple[Array, Array]:
    """All batches first, then one look at each."""
    images, labels = (np.concatenate(parts) for parts in zip(*dataset, strict=True))
    return predict(images), labels


def _in_two_passes(dataset: _Shuffled, predict: Callable[[Array], Array]) -> tuple[Array, Array]:
    features = np.concatenate([predict(images) for images, _ in dataset])
    return features, np.concatenate([labels for _, labels in dataset])


def _last_batch(dataset: _Shuffled, predict: Callable[[Array], Array]) -> tuple[Array, Array]:
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
            error = (logit if mistake == "no sigmoid" else 1 / (1 + exp(-logit))) - label
            slope += error * row
            slope_of_bias += error
        step = learning_rate / (1 if mistake == "sum" else len(labels))
        step *= -1 if mistake == "ascent" else 1
        weights = weights - step * slope
        bias -= 0 if mistake == "no bias" else step * slope_of_bias
    return weights, bias


_RNG: Final = np.random.default_rng(6)


# 10: what a stored view costs, and two looks at a image ----------------------------------


def _left_half(images: Array) -> Array:
    """Stand in for a network: mean red of the upper left quarter of each image, shape (N, 1)."""
    height, width = images.shape[1] // 2, images.shape[2] // 2
    return np.asarray(images[:, :height, :width, 0].mean(axis=(1, 2))[:, None] / 255)


# 11: what trains, how far it moves, confidence ---------------------------------------

_PLAN: Final = {1: (64, 64), 2: (128, 128), 3: (256,) * 3, 4: (512,) * 3, 5: (512,) * 3}


def _vgg16_from(block: int, *, bias: int = 1, only: bool = False, channels: int = 0) -> int:
    """Convolution by convolution; the options are the readers' mistakes."""
    seen, total = 3, 0
    for number, filters in _PLAN.items():
        for out in filters:
            if number == block or (number > block and not only):
                total += 9 * (out if channels else seen) * out + bias * out
            seen = out
    return total


def _surer(probabilities: Array, factor: float) -> Array:
    """By odds: multiplying the logit raises the odds to that power."""
    odds = (probabilities / (1 - probabilities)) ** factor
    return np.asarray(odds / (1 + odds))


_WEIGHTS: Final = np.random.default_rng(3).normal(size=(3, 3, 2, 4))

EXERCISES: Final = {
    "10.1": Exercise(
        truth=_collected,
        cases=((_Shuffled(12, 4), _left_half), (_Shuffled(7, 3), _left_half)),
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
        },
    ),
    "11.1": Exercise(
        truth=lambda views, view, whole, head: next(
            epochs for epochs in count() if views * view + epochs * head < epochs * whole
        ),
        cases=((4, 3.0, 4.0, 0.5), (8, 10.0, 12.0, 1.0), (1, 2.0, 5.0, 0.25), (5, 2.0, 4.5, 2.0)),
        why="The views are paid once, and each epoch afterwards saves nearly all that the base "
        "costs.",
        mistakes={
            "Training the head takes time in every epoch from stored "
            "views too.": lambda views, view, whole, head: int(views * view / whole) + 1,
            "With exactly this many epochs both cost the same; asked is where it "
            "gets cheaper.": lambda views, view, whole, head: ceil(views * view / (whole - head)),
            "Every view of a picture has to be paid, not "
            "only one.": lambda views, view, whole, head: int(view / (whole - head)) + 1,
            "That is one epoch early: there the end-to-end training is still cheaper, or the two "
            "cost the same.": lambda views, view, whole, head: int(views * view / (whole - head)),
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
        why="A cat is a cat in the mirror, so both answers count, and their errors partly cancel.",
        mistakes={
            "That turns the pictures upside down: the axes are picture, row, "
            "column, channel.": lambda predict, x: (predict(x) + predict(x[:, ::-1])) / 2,
            "That exchanges red and blue: the last axis holds the channels.": lambda predict, x: (
                (predict(x) + predict(x[..., ::-1])) / 2
            ),
            "That puts the pictures in reverse order: the first axis "
            "counts them.": lambda predict, x: (predict(x) + predict(x[::-1, :, ::-1])) / 2,
            "A sum of two probabilities is none: take their mean.": lambda predict, x: (
                predict(x) + predict(x[:, :, ::-1])
            ),
            "Only the mirror image is asked; the picture as it is counts too.": lambda predict, x: (
                predict(x[:, :, ::-1])
            ),
        },
    ),
    "12.1": Exercise(
        truth=_vgg16_from,
        cases=((5,), (4,), (3,), (1,)),
        why="Nearly half of the base's parameters are in its last block, most of the rest in the "
        "one before.",
        mistakes={
            "The biases are missing: one for each filter.": partial(_vgg16_from, bias=0),
            "That is this block alone; the ones behind it train too.": partial(
                _vgg16_from, only=True
            ),
            "The first convolution of a block sees the channels of the block before, or of "
            "the picture.": partial(_vgg16_from, channels=1),
        },
    ),
    "12.2": Exercise(
        truth=_surer,
        cases=(
            (np.array([0.1, 0.5, 0.6, 0.99]), 3.0),
            (np.array([0.3, 0.8]), 0.5),
            (np.array([0.45, 0.2, 0.9]), 10.0),
        ),
        why="No probability crosses 0.5, so accuracy stays; the loss of the mistakes grows with "
        "the factor.",
        mistakes={
            "A probability is not a logit: bring it to the logit, multiply, and "
            "come back.": lambda p, factor: p * factor,
            "Still a probability that was multiplied; cutting it off at 1 does "
            "not help.": lambda p, factor: np.clip(p * factor, 0, 1),
            "That is the logit itself: the sigmoid brings it back to "
            "a probability.": lambda p, factor: factor * np.log(p / (1 - p)),
            "A power of the probability moves 0.5 itself, and answers with it.": lambda p, factor: (
                p**factor
            ),
        },
    ),
    "12.3": Exercise(
        truth=lambda before, after: float(norm(after - before) / norm(before)),
        cases=(
            (_WEIGHTS, 1.02 * _WEIGHTS),
            (_WEIGHTS, _WEIGHTS + 0.1),
            (np.array([3.0, 4.0]), np.array([4.0, 3.0])),
        ),
        why="A length is a root of a sum of squares, over all numbers of the array at once.",
        mistakes={
            "The root is missing, above and below.": lambda before, after: float(
                ((after - before) ** 2).sum() / (before**2).sum()
            ),
            "That compares the two lengths; a weight can turn without getting "
            "longer.": lambda before, after: float(abs(norm(after) - norm(before)) / norm(before)),
            "That is the length of the change; it still has to be compared with that of "
            "the weight.": lambda before, after: float(norm(after - before)),
            "A mean of ratios lets numbers near zero decide: take the lengths of the whole arrays "
            "first.": lambda before, after: float(np.mean(np.abs((after - before) / before))),
        },
    ),
}
