"""Four trainings with one fault each, for exercise 01.2: what went wrong?

A small network learns the digits in NumPy, so that nothing but the fault decides its curves.
"""

from collections.abc import Mapping
from typing import Final

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
_HIDDEN: Final = 64
_BATCH: Final = 32
_LEARNING_RATE: Final = 0.2

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
    return {letter: _train(fault, epochs) for letter, fault in _FAULTS.items()}


def _train(fault: str, epochs: int) -> Curves:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow, and only one notebook needs it
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    rng = np.random.default_rng(0)
    x, labels = load_digits(return_X_y=True)
    if fault != "inputs not scaled":
        x = x / 16
    train, other, labels, other_labels = train_test_split(x, labels, test_size=360, random_state=0)
    if fault == "labels shuffled":
        labels = rng.permutation(labels)
    spread = 0.0 if fault == "all weights start at zero" else np.sqrt(2 / _HIDDEN)
    first, second = spread * rng.normal(size=(64, _HIDDEN)), spread * rng.normal(size=(_HIDDEN, 10))
    weights = {"w1": first, "b1": np.zeros(_HIDDEN), "w2": second, "b2": np.zeros(10)}
    factor = {"learning rate too high": 30.0, "learning rate too low": 0.002}.get(fault, 1.0)
    twice = fault == "softmax twice"
    curves: Curves = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    for epoch in range(epochs + 1):
        for start in range(0, len(train) if epoch else 0, _BATCH):
            batch = slice(start, start + _BATCH)
            _, gradients = _loss(weights, train[batch], labels[batch], twice=twice)
            for name, gradient in gradients.items():
                weights[name] -= factor * _LEARNING_RATE * gradient
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
