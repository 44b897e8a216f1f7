"""The exercises of notebook 16: right answers, and the mistakes that readers make."""

from typing import Any, Final

import numpy as np
from scipy import optimize, special

from cvlab.course.exercises.judging import Array, Exercise

_rng = np.random.default_rng(16)


# 16.1: expected calibration error --------------------------------------------------------------


def _ece(probability: Array, labels: Array, bins: int, mistake: str = "") -> float:
    """Bin by bin, image by image; `mistake` names one that readers make."""
    confidence = np.maximum(probability, 1 - probability)
    right = (probability > 0.5) == (labels == 1)
    lowest = 0.5
    if mistake == "probability":
        confidence, right, lowest = probability, labels == 1, 0.0
    members: dict[int, list[int]] = {}
    for image, one in enumerate(confidence):
        place = int((one - lowest) / (1 - lowest) * bins)
        members.setdefault(min(place, bins - 1), []).append(image)
    total = 0.0
    for inside in members.values():
        gap = np.mean(right[inside]) - np.mean(confidence[inside])
        weight = len(inside) / len(labels)
        if mistake == "unweighted":
            weight = 1 / len(members)
        elif mistake == "empty bins":
            weight = 1 / bins
        total += weight * (gap if mistake == "signed" else abs(gap))
    return float(total)


def _predictions(count: int, seed: int) -> tuple[Array, Array]:
    """Overconfident predictions for images of which the network knows something."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, count)
    labels = (random.random(count) < special.expit(logits / 2)).astype(int)
    return special.expit(logits), labels


# 16.2: the temperature and the images it is fitted on ------------------------------------------


def _temperature(logits: Array, labels: Array) -> float:
    """By minimization of the cross-entropy over the logarithm of the temperature."""

    def loss(logarithm: float) -> float:
        z = logits / np.exp(logarithm)
        return float(np.mean(np.logaddexp(0, z) - labels * z))

    return float(np.exp(optimize.minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def _fitted_on(*splits: str, inverse: bool = False) -> Any:
    def answer(logits: dict[str, Array], labels: dict[str, Array]) -> float:
        found = _temperature(
            np.concatenate([logits[name] for name in splits]),
            np.concatenate([labels[name] for name in splits]),
        )
        return 1 / found if inverse else found

    return answer


def _overfit_logits(seed: int, factor: float) -> tuple[dict[str, Array], dict[str, Array]]:
    """Logits of three splits, of which the training set is nearly memorized."""
    random = np.random.default_rng(seed)
    labels = {
        name: random.integers(0, 2, count)
        for name, count in (("train", 400), ("validation", 300), ("test", 200))
    }
    spread = {"train": 0.9, "validation": 2.2, "test": 2.0}
    logits = {
        name: factor * ((2 * truth - 1) * 2.0 + random.normal(0, spread[name], truth.size))
        for name, truth in labels.items()
    }
    return logits, labels


# 16.3: answers and refusals --------------------------------------------------------------------


def _coverage(confidence: Array, right: Array, target: float, mistake: str = "") -> float:
    """Try every number of answered images."""
    order = np.argsort(confidence if mistake == "least first" else -confidence, kind="stable")
    hits = np.asarray(right)[order]
    answered = 0
    for count in range(1, len(hits) + 1):
        if hits[:count].mean() >= target:
            answered = count
        elif mistake == "first failure":
            break
    if mistake == "images":
        return float(answered)
    if mistake == "refused":
        return 1 - answered / len(hits)
    return answered / len(hits)


def _answers(seed: int, count: int, target: float) -> tuple[Array, Array, float]:
    """Distinct confidences; one of the most confident predictions is wrong."""
    random = np.random.default_rng(seed)
    confidence = random.permutation(np.linspace(0.51, 0.999, count))
    right = random.random(count) < confidence
    order = np.argsort(-confidence)
    right[order[:10]] = True
    right[order[3]] = False
    return confidence, right, target


EXERCISES: Final = {
    "16.1": Exercise(
        truth=_ece,
        cases=(
            (*_predictions(200, 1), 10),
            (*_predictions(300, 2), 5),
            (np.array([0.04, 0.97, 0.91, 0.32, 0.63]), np.array([0, 1, 0, 0, 0]), 10),
        ),
        why="A bin counts by its images, and the gap without its sign: too high in one bin does "
        "not repair too low in another.",
        mistakes={
            "Each bin counts the same here, however few images it holds.": lambda p, y, bins: _ece(
                p, y, bins, "unweighted"
            ),
            "The sum is divided by the number of bins. How many images does each "
            "hold?": lambda p, y, bins: _ece(p, y, bins, "empty bins"),
            "Gaps of different sign cancel here.": lambda p, y, bins: _ece(p, y, bins, "signed"),
            "This uses the probability of class 1. The confidence is that of the "
            "predicted class.": lambda p, y, bins: _ece(p, y, bins, "probability"),
        },
    ),
    "16.2": Exercise(
        truth=_fitted_on("validation"),
        cases=(_overfit_logits(1, 2.0), _overfit_logits(2, 0.7), _overfit_logits(3, 4.0)),
        why="The network has memorized the training images, so there no confidence is too high. "
        "The test images are for the result.",
        mistakes={
            "These images changed the weights: the network is nearly always right about them, "
            "and on new images it is not.": _fitted_on("train"),
            "The test images decided here. What are they for?": _fitted_on("test"),
            "Training images take part, and the network has memorized them.": _fitted_on(
                "train", "validation"
            ),
            "That is one divided by the temperature: the logits are divided by T.": _fitted_on(
                "validation", inverse=True
            ),
        },
        tolerance=1e-2,
    ),
    "16.3": Exercise(
        truth=_coverage,
        cases=(_answers(1, 200, 0.9), _answers(2, 300, 0.8), _answers(3, 150, 0.85)),
        why="Answering only above a confidence is selective prediction; it works as far as wrong "
        "predictions have lower confidence than right ones.",
        mistakes={
            "It stops at the first share below the target. With more images the accuracy can rise "
            "above it again.": lambda c, r, t: _coverage(c, r, t, "first failure"),
            "The least confident predictions are answered first here.": lambda c, r, t: _coverage(
                c, r, t, "least first"
            ),
            "That is a number of images; a share is asked for.": lambda c, r, t: _coverage(
                c, r, t, "images"
            ),
            "That is the share that is refused.": lambda c, r, t: _coverage(c, r, t, "refused"),
        },
    ),
}
