"""The exercises of notebooks 10 to 12: right answers, and the mistakes that readers make."""

from functools import partial
from itertools import count
from math import ceil
from typing import Final

import numpy as np
from numpy.linalg import norm

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
