"""Trainings to diagnose: what went wrong (exercise 01.2), and what to change (06.2)?

A small network learns the digits in NumPy, so that nothing but the fault decides its curves.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CAUSES: Final = (
    "all weights start at zero",
    "inputs not scaled",
    "labels shuffled",
    "learning rate too high",
    "learning rate too low",
    "softmax twice",
)
_FAULTS: Final = {
    "A": "softmax twice",
    "B": "labels shuffled",
    "C": "inputs not scaled",
    "D": "learning rate too low",
}
_BATCH: Final = 32

REMEDIES: Final = (
    "lower learning rate",
    "more hidden units",
    "more training images",
    "train longer",
)
_POOR: Final[dict[str, dict[str, float]]] = {
    "A": {"hidden": 2},
    "B": {"images": 40, "rate": 0.5},
    "C": {"rate": 1.7},
    "D": {"rate": 0.003},
}
_FEWER: Final = 500  # training images of these four, to save time
_NEEDED: Final = {
    "A": "more hidden units",
    "B": "more training images",
    "C": "lower learning rate",
    "D": "train longer",
}

Curves = dict[str, list[float]]
_Array = NDArray[np.float64]


def causes() -> dict[str, str]:
    """Return the fault of each training by its letter: the answer to the exercise."""
    return dict(_FAULTS)


def trainings(epochs: int = 25) -> dict[str, Curves]:
    """Train four times, with another fault each time.

    Args:
        epochs: Epochs of each training.

    Returns:
        By letter the curves of the training, under the keys of Keras: `loss`, `accuracy` and both
        with the prefix `val_`. Each has one value before the first step and one after each epoch.
    """
    return {letter: _train(epochs, fault=fault) for letter, fault in _FAULTS.items()}


def needed() -> dict[str, str]:
    """Return what each training of `poor` needs by its letter: the answer to exercise 06.2."""
    return dict(_NEEDED)


def poor(**remedies: str) -> dict[str, Curves]:
    """Train four times, with one setting each that makes the result poor.

    Args:
        **remedies: By letter what is changed first, one of `REMEDIES`; nothing for letters that
            are missing.

    Returns:
        See `trainings`.

    Raises:
        ValueError: If a letter or a remedy is not known.
    """
    for letter, remedy in remedies.items():
        if letter not in _POOR or remedy not in REMEDIES:
            raise ValueError(
                f"{letter}={remedy!r} is not known: the letters are {', '.join(_POOR)}, the "
                f"remedies {', '.join(REMEDIES)}"
            )
    return {letter: _remedied(letter, remedies.get(letter)) for letter in _POOR}


def _remedied(letter: str, remedy: str | None) -> Curves:
    settings = {"epochs": 40, "hidden": 64, "rate": 0.2, "images": _FEWER} | _POOR[letter]
    if remedy == "lower learning rate":
        settings["rate"] /= 10
    elif remedy == "more hidden units":
        settings["hidden"] *= 4
    elif remedy == "more training images":
        settings["images"] = _FEWER
    elif remedy == "train longer":
        settings["epochs"] *= 6
    epochs, hidden, images = (int(settings[name]) for name in ("epochs", "hidden", "images"))
    return _train(epochs, hidden=hidden, rate=settings["rate"], images=images)


def first_wrong(answer: Any, *, right: Mapping[str, str], listed: Sequence[str]) -> Any:
    """Return the first entry of an answer that is wrong, so that the hint is about that."""
    if not isinstance(answer, dict):
        return "not a dictionary"
    named = {str(key): str(value).strip().lower() for key, value in answer.items()}
    for letter, choice in right.items():
        if (given := named.get(letter, "")) != choice:
            return letter, given if given in listed else "not in the list"
    return "all right"


def one_wrong(
    right: Mapping[str, str], hints: Mapping[tuple[str, str], str]
) -> dict[str, Callable[[], Any]]:
    """Return answers with one wrong entry by their hints, as `Exercise.mistakes` takes them.

    Args:
        right: The right answer.
        hints: By letter and wrong choice what speaks against it.
    """
    unlisted = dict.fromkeys(
        ((letter, "") for letter in right), "choose one of the list, in the words of the list."
    )
    answers: dict[str, Callable[[], Any]] = {
        f"{letter}: {hint}": partial(dict, {**right, letter: choice})
        for (letter, choice), hint in {**hints, **unlisted}.items()
    }
    return answers | {"The answer is a dictionary: a choice for each letter.": lambda: ""}


def _train(
    epochs: int,
    *,
    fault: str = "",
    hidden: int = 64,
    rate: float = 0.2,
    images: int | None = None,
) -> Curves:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow, and only one notebook needs it
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    rng = np.random.default_rng(0)
    x, labels = load_digits(return_X_y=True)
    if fault != "inputs not scaled":
        x = x / 16
    train, other, labels, other_labels = train_test_split(x, labels, test_size=360, random_state=0)
    train, labels = train[:images], labels[:images]
    if fault == "labels shuffled":
        labels = rng.permutation(labels)
    first, second = (
        (0.0 if fault == "all weights start at zero" else np.sqrt(2 / shape[0]))
        * rng.normal(size=shape)
        for shape in ((64, hidden), (hidden, 10))
    )
    weights = {"w1": first, "b1": np.zeros(hidden), "w2": second, "b2": np.zeros(10)}
    rate *= {"learning rate too high": 30.0, "learning rate too low": 0.002}.get(fault, 1.0)
    twice = fault == "softmax twice"
    curves: Curves = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    for epoch in range(epochs + 1):
        for start in range(0, len(train) if epoch else 0, _BATCH):
            batch = slice(start, start + _BATCH)
            _, gradients = _loss(weights, train[batch], labels[batch], twice=twice)
            for name, gradient in gradients.items():
                weights[name] -= rate * gradient
        for prefix, data in (("", (train, labels)), ("val_", (other, other_labels))):
            (loss, accuracy), _ = _loss(weights, *data, twice=twice)
            curves[f"{prefix}loss"].append(loss)
            curves[f"{prefix}accuracy"].append(accuracy)
    return curves


def _loss(
    weights: Mapping[str, _Array], x: _Array, labels: NDArray[np.int_], *, twice: bool
) -> tuple[tuple[float, float], dict[str, _Array]]:
    """Cross-entropy and accuracy, and the gradients of the cross-entropy."""
    hidden = np.maximum(x @ weights["w1"] + weights["b1"], 0)
    first = _softmax(hidden @ weights["w2"] + weights["b2"])
    p = _softmax(first) if twice else first
    true = np.eye(10)[labels]
    loss = float(-np.log(np.maximum((p * true).sum(axis=1), 1e-12)).mean())
    accuracy = float((p.argmax(axis=1) == labels).mean())
    back = (p - true) / len(x)
    if twice:  # through the first of the two softmax functions
        back = first * (back - (back * first).sum(axis=1, keepdims=True))
    below = (back @ weights["w2"].T) * (hidden > 0)
    gradients = {"w1": x.T @ below, "b1": below.sum(0), "w2": hidden.T @ back, "b2": back.sum(0)}
    return (loss, accuracy), gradients


def _softmax(z: _Array) -> _Array:
    exponentials = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
