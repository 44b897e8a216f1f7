"""The exercises of notebooks 00 and 01: right answers, and the mistakes that readers make."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from cvlab.course.exercises import broken
from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(1)

# 00: two networks on the same images, and the smallest thing that learns -------------------


def _won(first: Array, second: Array, labels: Array) -> tuple[int, int]:
    outcomes = [(a == label, b == label) for a, b, label in zip(first, second, labels, strict=True)]
    return outcomes.count((True, False)), outcomes.count((False, True))


def _share_right(threshold: Any, values: Array, labels: Array) -> float:
    """What is compared: many thresholds are equally good."""
    return float(np.mean((values > threshold) == labels))


def _best_threshold(values: Array, labels: Array) -> float:
    candidates = [-np.inf, *values]
    return float(max(candidates, key=lambda threshold: _share_right(threshold, values, labels)))


_LABELS: Final = _rng.integers(0, 3, size=40)
_FIRST: Final = np.where(_rng.random(40) < 0.7, _LABELS, (_LABELS + 1) % 3)
_SECOND: Final = np.where(_rng.random(40) < 0.5, _LABELS, (_LABELS + _rng.integers(1, 3, 40)) % 3)
_SKEWED: Final = np.concatenate([_rng.normal(0, 0.5, 60), _rng.exponential(3, 30) + 0.5])
_CLASSES: Final = np.arange(90) >= 60


# 01: softmax, broken trainings, early stopping --------------------------------------------


def _by_nudges(x: Array, labels: Array, weights: Array, bias: Array) -> tuple[Array, Array]:
    """The gradient by complex steps: each parameter plus i × 1e-30; see `basics._complex_steps`."""

    def loss(parameters: Array) -> complex:
        rows = parameters.reshape(-1, len(bias))
        exponentials = np.exp(x @ rows[:-1] + rows[-1])
        p = exponentials / exponentials.sum(axis=1, keepdims=True)
        return complex(-np.log(p[np.arange(len(labels)), labels]).mean())

    parameters = np.vstack([weights, bias]).ravel()
    slopes = [loss(parameters + step).imag / 1e-30 for step in 1e-30j * np.eye(parameters.size)]
    found = np.reshape(slopes, (-1, len(bias)))
    return found[:-1], found[-1]


def _softmax_gradient(
    x: Array, labels: Array, weights: Array, bias: Array, *, mistake: str
) -> tuple[Array, Array]:
    exponentials = np.exp(x @ weights + bias)
    axis = 0 if mistake == "axis" else 1
    p = exponentials / exponentials.sum(axis=axis, keepdims=True)
    error = p if mistake == "labels" else p - np.eye(len(bias))[labels]
    if mistake == "sigmoid":
        error = error * p * (1 - p)
    error = error / (1 if mistake == "sum" else len(x)) * (-1 if mistake == "sign" else 1)
    return x.T @ error, error.sum(axis=0)


def _first_wrong(answer: Any) -> Any:
    """What is compared: the first training with a wrong cause, so that the hint is about that."""
    if not isinstance(answer, dict):
        return answer
    named = {str(key): str(value).strip().lower() for key, value in answer.items()}
    for letter, cause in broken.causes().items():
        if named.get(letter) != cause:
            given = named.get(letter, "missing")
            return f"{letter}: {given if given in broken.CAUSES else 'not in the list'}"
    return "all right"


def _with(letter: str, cause: str) -> Callable[[], dict[str, str]]:
    return lambda: broken.causes() | {letter: cause}


def _stopped(losses: Sequence[float], patience: int) -> tuple[int, int]:
    """The first epoch whose lowest loss is `patience` epochs old, found by looking at each."""
    lowest = [int(np.argmin(losses[:epoch])) + 1 for epoch in range(1, len(losses) + 1)]
    ends = [epoch for epoch, best in enumerate(lowest, 1) if epoch - best >= patience]
    last = ends[0] if ends else len(losses)
    return last, lowest[last - 1]


def _stopped_wrongly(losses: Sequence[float], patience: int, mistake: str) -> tuple[int, int]:
    best, epoch, waited = 0, 0, 0
    for epoch in range(1, len(losses)):
        before = epoch - 1 if mistake == "previous" else best
        waited = 0 if losses[epoch] < losses[before] else waited + 1
        best = epoch if losses[epoch] < losses[best] else best
        if waited >= patience + (mistake == "late"):
            break
    if mistake == "last":
        best = epoch
    if mistake == "future":
        best = int(np.argmin(losses))
    return epoch + 1, best + 1


_LOSSES: Final = (
    [1.0, 0.7, 0.8, 0.75, 0.78, 0.77, 0.6, 0.9],
    [0.9, 0.8, 0.7, 0.6],
    [0.5, 0.6, 0.55, 0.58, 0.54, 0.56, 0.4],
    [0.5, 0.5, 0.5, 0.5, 0.4],
)

EXERCISES: Final = {
    "00.1": Exercise(
        truth=_won,
        cases=((_FIRST, _SECOND, _LABELS), (_SECOND[:9], _FIRST[:9], _LABELS[:9])),
        why="Images that both networks get right, or both get wrong, say nothing about which one "
        "is better. McNemar's test needs only your two numbers.",
        mistakes={
            "These are the right predictions of each network. Leave out the images that both get "
            "right.": lambda a, b, y: (int((a == y).sum()), int((b == y).sum())),
            "You counted the images on which the two predictions differ. They can differ and both "
            "be wrong.": lambda a, b, y: (int((a != b).sum()), int((a != b).sum())),
            "The two numbers are in the wrong order: the first one counts the wins of the first "
            "network.": lambda a, b, y: _won(b, a, y),
            "You counted wrong predictions of each network. Compare the two image by image.": (
                lambda a, b, y: (int((a != y).sum()), int((b != y).sum()))
            ),
        },
    ),
    "00.2": Exercise(
        truth=_best_threshold,
        cases=((_SKEWED, _CLASSES), (-_SKEWED + 5, ~_CLASSES), (_SKEWED[::3], _CLASSES[::3])),
        why="Your function chose a number such that it makes few mistakes on examples. This is "
        "training; networks do the same with millions of numbers.",
        mistakes={
            "The mean of all values ignores the labels. Which threshold makes the fewest "
            "mistakes?": lambda values, labels: float(values.mean()),
            "The point halfway between the two class means is a start, but another threshold makes "
            "fewer mistakes: the classes do not spread equally.": lambda values, labels: (
                float(values[labels].mean() + values[~labels].mean()) / 2
            ),
            "This threshold makes the most mistakes. Check whether you count right or wrong "
            "predictions.": lambda values, labels: float(
                min([-np.inf, *values], key=lambda t: _share_right(t, values, labels))
            ),
            "This puts every example in the same class.": lambda values, labels: float(
                values.max()
            ),
        },
        look=_share_right,
    ),
    "01.1": Exercise(
        truth=_by_nudges,
        cases=(
            (
                _rng.normal(size=(12, 5)),
                _rng.integers(0, 4, size=12),
                _rng.normal(size=(5, 4)),
                _rng.normal(size=4),
            ),
        ),
        why="It agrees with the change of the loss when each parameter is nudged. Each column is "
        "the gradient of one neuron: predicted probability minus true probability, times input.",
        mistakes={
            "The loss is the mean over the examples, and your gradient is the sum.": partial(
                _softmax_gradient, mistake="sum"
            ),
            "The sign is wrong: a step along the negative gradient must lower the loss.": partial(
                _softmax_gradient, mistake="sign"
            ),
            "Your gradient does not depend on the labels. Compare the probabilities with what they "
            "should be.": partial(_softmax_gradient, mistake="labels"),
            "The softmax was taken over the examples. The probabilities of one example must sum "
            "to 1.": partial(_softmax_gradient, mistake="axis"),
            "There is a factor p (1 − p) too many. It belongs to the squared error; with "
            "cross-entropy it cancels.": partial(_softmax_gradient, mistake="sigmoid"),
        },
    ),
    "01.2": Exercise(
        truth=broken.causes,
        cases=((),),
        why="A: two softmax functions keep the probabilities close together, so the loss stays "
        "above 1.46. B: only memorizing can lower this loss. C: the loss is far above ln 10 before "
        "the first step. D: all four curves improve, but very slowly.",
        mistakes={
            "A: a low learning rate would leave the accuracy low as well. A's is high. Why can its "
            "loss not get closer to 0?": _with("A", "learning rate too low"),
            "A: a high learning rate makes the loss jump or diverge. A's falls smoothly and then "
            "flattens far above 0, although the accuracy is high.": _with(
                "A", "learning rate too high"
            ),
            "A: with shuffled labels the validation accuracy could not exceed chance level.": _with(
                "A", "labels shuffled"
            ),
            "B: the training loss does fall, and the validation loss rises. With a low learning "
            "rate they would stay together.": _with("B", "learning rate too low"),
            "B: a high learning rate would raise the training loss too. B's falls: what can be "
            "learned about the training set that is of no use on other images?": _with(
                "B", "learning rate too high"
            ),
            "C: look at the loss before the first step. No learning rate has acted yet.": _with(
                "C", "learning rate too high"
            ),
            "C: with all weights at zero, all classes would have the same probability, and the "
            "loss would start at exactly ln 10.": _with("C", "all weights start at zero"),
            "D: with all weights at zero the loss would start at exactly ln 10 and stay "
            "there.": _with("D", "all weights start at zero"),
            "D: training and validation accuracy rise together, so the labels are right.": _with(
                "D", "labels shuffled"
            ),
        },
        look=_first_wrong,
    ),
    "01.3": Exercise(
        truth=_stopped,
        cases=tuple((losses, patience) for losses in _LOSSES for patience in (1, 2, 3)),
        why="This is keras.callbacks.EarlyStopping with restore_best_weights=True. It costs "
        "`patience` epochs more than needed, and a late improvement is missed.",
        mistakes={
            "You compare with the epoch before. What counts is the lowest loss so far.": (
                lambda losses, patience: _stopped_wrongly(losses, patience, "previous")
            ),
            "You stop one epoch too late: with patience 1 the first epoch without improvement is "
            "the last.": lambda losses, patience: _stopped_wrongly(losses, patience, "late"),
            "The best epoch is not the last one, but the one with the lowest loss.": (
                lambda losses, patience: _stopped_wrongly(losses, patience, "last")
            ),
            "Your best epoch comes after training has stopped. Its loss was never computed.": (
                lambda losses, patience: _stopped_wrongly(losses, patience, "future")
            ),
        },
    ),
}
