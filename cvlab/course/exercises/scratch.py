"""The exercises of notebooks 05 to 08: right answers, and the mistakes that readers make."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, Final

import numpy as np
from scipy import optimize, stats

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


# 06: parameters, early stopping, shuffling ------------------------------------------------


def _parameters(image_size: int, units: int, mistake: str = "") -> int:
    """The small convnet's, layer by layer; `mistake` names one that readers make."""
    size, channels, total, bias = image_size, 3, 0, mistake != "no bias"
    for filters in (32, 64, 128, 128):
        total += (9 * channels + bias) * filters
        size = size // 2 if mistake == "padded" else (size - 2 + (mistake == "rounded up")) // 2
        channels = filters
    return total + (size * size * channels + bias) * units + units + bias


def _stopping(
    val_loss: Sequence[float], patience: int, *, late: int = 0, resets: bool = True, first: int = 1
) -> tuple[int, int]:
    """When early stopping stops, and which epoch it keeps; the options are the readers' mistakes.

    An epoch stops the training if the lowest loss up to it lies `patience` epochs back.
    """
    epochs = range(1, len(val_loss) + 1)
    kept_at = [int(np.argmin(val_loss[:epoch])) + 1 for epoch in epochs]
    worse = [epoch - kept for epoch, kept in zip(epochs, kept_at, strict=True)]
    if not resets:
        worse = np.cumsum(np.array(worse) > 0).tolist()
    enough = (epoch for epoch, waited in zip(epochs, worse, strict=True) if waited >= patience)
    stopped = min(next(enough, len(val_loss)) + late, len(val_loss))
    return stopped - 1 + first, kept_at[stopped - 1] - 1 + first


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
    of_image = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    shuffled, theirs = np.asarray(answer[0]), np.asarray(answer[1])
    found = [image.tobytes() for image in shuffled]
    return {
        "pairs": [of_image.get(image) for image in found] == theirs.tolist(),
        "complete": set(found) == set(of_image),
        "moved": not np.array_equal(shuffled, images),
        "mixed": int(np.count_nonzero(np.diff(theirs.astype(int)))) > 1,
    }


# 07: units of angles, the shear that shows, gains -----------------------------------------


def _gains_by_counting(before: float, after: float) -> tuple[float, float, float]:
    """Count a thousand images: how many more are right, of those right, of those wrong."""
    right_before, right_after = 1000 * before, 1000 * after
    more = right_after - right_before
    return more / 10, more / right_before, more / (1000 - right_before)


def _gains(
    gain: float, right: float, wrong: float, *, point: float = 100
) -> tuple[float, float, float]:
    return point * gain, gain / right, gain / wrong


# 08: dropout, the kept epoch, Grad-CAM ----------------------------------------------------


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
        },
    ),
    "06.2": Exercise(
        truth=_stopping,
        cases=(
            ([0.69, 0.6, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8], 3),
            ([0.69, 0.6, 0.65, 0.5, 0.55, 0.6, 0.45, 0.5, 0.6, 0.7], 3),
            ([0.69, 0.6, 0.65, 0.5, 0.55, 0.6, 0.45, 0.5, 0.6, 0.7], 2),
            ([0.69, 0.6, 0.5, 0.4], 2),
        ),
        why="Patience is a hyperparameter: too little stops at the first noisy epoch, too much "
        "costs epochs. The kept epoch is the same as long as nothing better would have come.",
        mistakes={
            "Python counts from 0, epochs from 1.": partial(_stopping, first=0),
            "You stop one epoch too late: at `patience` epochs without improvement, not after "
            "them.": partial(_stopping, late=1),
            "The count of epochs without improvement starts again at each new lowest "
            "loss.": partial(_stopping, resets=False),
            "The weights that are kept are those of the lowest loss, not those of the last "
            "epoch.": lambda loss, patience: (_stopping(loss, patience)[0],) * 2,
            "You stop at the first epoch that is worse. What is the patience "
            "for?": lambda loss, patience: _stopping(loss, 1),
        },
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
            "You sorted the images by their label. Then most batches have one class "
            "only.": lambda images, labels, seed: (
                images[np.argsort(labels, kind="stable")],
                np.sort(labels),
            ),
        },
        look=_pairing,
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
