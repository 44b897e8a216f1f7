"""The exercises of notebooks 00 and 01: right answers, and the mistakes that readers make."""

from collections.abc import Sequence
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
    exponentials = np.exp(x @ weights + (0 if mistake == "no bias" else bias))
    axis = 0 if mistake == "axis" else 1
    p = exponentials / exponentials.sum(axis=axis, keepdims=True)
    true = np.eye(len(bias))[labels]
    error = p if mistake == "labels" else (p - true) * (true if mistake == "one class" else 1)
    if mistake == "sigmoid":
        error = error * p * (1 - p)
    error = error / (1 if mistake == "sum" else len(x)) * (-1 if mistake == "sign" else 1)
    return x.T @ error, error.sum(axis=0)


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
        lower = losses[epoch] < losses[before]
        if lower or (mistake == "equal" and losses[epoch] == losses[best]):
            waited = waited if mistake == "no reset" else 0
        else:
            waited += 1
        if losses[epoch] < losses[best] or (mistake == "equal" and losses[epoch] == losses[best]):
            best = epoch
        if waited >= patience + (mistake == "late"):
            break
    if mistake == "last":
        best = epoch
    if mistake == "future":
        best = int(np.argmin(losses))
    first = 0 if mistake == "from 0" else 1
    return epoch + first, best + first


_SIGNS: Final = {
    ("A", "learning rate too low"): "a low learning rate would leave the accuracy low as well. "
    "A's is high. Why can its loss not get closer to 0?",
    ("A", "learning rate too high"): "a high learning rate makes the loss jump or diverge. A's "
    "falls smoothly and then flattens far above 0, although the accuracy is high.",
    ("A", "labels shuffled"): "with shuffled labels the validation accuracy could not exceed "
    "chance level.",
    ("A", "inputs not scaled"): "inputs from 0 to 16 make the loss before the first step several "
    "times ln 10. A's is close to ln 10.",
    ("A", "all weights start at zero"): "with all weights at zero the hidden units get no "
    "gradient, and the accuracy stays at chance level. A's is high.",
    ("B", "learning rate too low"): "the training loss does fall, and the validation loss rises. "
    "With a low learning rate they would stay together.",
    ("B", "learning rate too high"): "a high learning rate would raise the training loss too. B's "
    "falls: what can be learned about the training set that is of no use on other images?",
    ("B", "inputs not scaled"): "inputs from 0 to 16 make the loss before the first step several "
    "times ln 10. B's is a little above it.",
    ("B", "softmax twice"): "two softmax functions keep the order of the classes, so the "
    "validation accuracy gets high. B's stays at chance level.",
    ("B", "all weights start at zero"): "with all weights at zero the loss would start at exactly "
    "ln 10, and training and validation would stay together.",
    ("C", "learning rate too high"): "look at the loss before the first step. No learning rate "
    "has acted yet.",
    ("C", "learning rate too low"): "look at the loss before the first step: it is far above "
    "ln 10, and no learning rate has acted yet.",
    ("C", "labels shuffled"): "an untrained network has a loss near ln 10 with any labels. C's is "
    "far above it before the first step.",
    ("C", "softmax twice"): "two softmax functions keep the loss below 2.5. C's starts far above.",
    ("C", "all weights start at zero"): "with all weights at zero, all classes would have the same "
    "probability, and the loss would start at exactly ln 10.",
    ("D", "all weights start at zero"): "with all weights at zero the loss would start at exactly "
    "ln 10 and stay there.",
    ("D", "labels shuffled"): "training and validation accuracy rise together, so the labels are "
    "right.",
    ("D", "inputs not scaled"): "inputs from 0 to 16 make the loss before the first step several "
    "times ln 10. D's is a little above it.",
    ("D", "softmax twice"): "two softmax functions do not keep the accuracy low. D's is still near "
    "chance level after 25 epochs. Why is it so slow?",
    ("D", "learning rate too high"): "a high learning rate makes the loss jump, diverge, or stay "
    "at ln 10. D's falls smoothly.",
}

_LOSSES: Final = (
    [1.0, 0.7, 0.8, 0.75, 0.78, 0.77, 0.6, 0.9],
    [0.9, 0.8, 0.7, 0.6],
    [0.5, 0.6, 0.55, 0.58, 0.54, 0.56, 0.4],
    [0.5, 0.5, 0.5, 0.5, 0.4],
    [1.0, 0.9, 0.95, 0.8, 0.85, 0.7, 0.75, 0.65, 0.7, 0.8, 0.9],
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
            "Only the true class of each example has a gradient here. The other classes have one "
            "too: their probabilities must fall.": partial(_softmax_gradient, mistake="one class"),
            "The probabilities are those of softmax(x @ weights). The bias is missing.": partial(
                _softmax_gradient, mistake="no bias"
            ),
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
        mistakes=broken.one_wrong(broken.causes(), _SIGNS),
        look=partial(broken.first_wrong, right=broken.causes(), listed=broken.CAUSES),
    ),
    "01.3": Exercise(
        truth=_stopped,
        cases=tuple((losses, patience) for losses in _LOSSES for patience in (1, 2, 3)),
        why="This is keras.callbacks.EarlyStopping with restore_best_weights=True. It costs "
        "`patience` epochs more than needed, and a late improvement is missed.",
        mistakes={
            "You compare with the epoch before. What counts is the lowest loss so far.": (
                partial(_stopped_wrongly, mistake="previous")
            ),
            "You stop one epoch too late: with patience 1 the first epoch without improvement is "
            "the last.": partial(_stopped_wrongly, mistake="late"),
            "The best epoch is not the last one, but the one with the lowest loss.": (
                partial(_stopped_wrongly, mistake="last")
            ),
            "Your best epoch comes after training has stopped. Its loss was never computed.": (
                partial(_stopped_wrongly, mistake="future")
            ),
            "Python counts from 0, epochs from 1.": partial(_stopped_wrongly, mistake="from 0"),
            "Each new lowest loss starts the count of epochs without improvement again.": partial(
                _stopped_wrongly, mistake="no reset"
            ),
            "A loss that only equals the lowest one is no improvement.": partial(
                _stopped_wrongly, mistake="equal"
            ),
        },
    ),
}
