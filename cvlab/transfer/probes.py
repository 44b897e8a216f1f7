"""The logistic probe: how much do frozen features know about a task?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression

# From strong regularization to weak.
STRENGTHS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier on features, trained by `logistic_probe`.

    Attributes:
        kernel: Weights of the features as they are, (d, 1) for two classes, else (d, classes).
        bias: One for each column of `kernel`.
        c: Inverse strength of the L2 penalty that was chosen.
        validation_accuracy: On the validation images, with that penalty.
    """

    kernel: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    c: float
    validation_accuracy: float

    def predict(self, features: ArrayLike) -> NDArray[np.intp]:
        """Return the class of each image, (n,), from its features (n, d)."""
        logits = np.asarray(features) @ self.kernel + self.bias
        classes = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
        return np.asarray(classes, np.intp)

    def right(self, features: ArrayLike, labels: ArrayLike) -> NDArray[np.bool_]:
        """Return for each image whether the prediction is right, (n,)."""
        return np.asarray(self.predict(features) == np.asarray(labels), bool)


def logistic_probe(
    train: tuple[ArrayLike, ArrayLike],
    validation: tuple[ArrayLike, ArrayLike],
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """Train logistic regression on standardized features, its penalty chosen on validation images.

    The features are standardized by the mean and standard deviation of the training images; the
    returned weights take the features as they are. Training has one solution: there is no seed.

    Args:
        train: Features (n, d) and classes (n,) from 0 on. All classes must occur.
        validation: The same for the images that choose the penalty.
        strengths: Values of C to choose from, in increasing order; of equally good ones the
            smallest counts.

    Raises:
        ValueError: If there is no value of C, or only one class.
    """
    if not strengths:
        raise ValueError("there is no value of C: pass at least one positive number in strengths")
    features, labels = (np.asarray(part) for part in train)
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"all {len(labels)} training images are of one class: pass images of at least two"
        )
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A constant feature carries no information; dividing by 0 would make it infinite.
    deviation = np.where(deviation > 1e-6, deviation, 1)
    standardized = (features - mean) / deviation
    best: Probe | None = None
    for c in strengths:
        found = _fitted(standardized, labels, c)
        kernel = (found.coef_ / deviation).T.astype(np.float32)
        bias = (found.intercept_ - mean @ kernel).astype(np.float32)
        probe = Probe(kernel, bias, float(c), 0.0)
        accuracy = float(probe.right(*validation).mean())
        if best is None or accuracy > best.validation_accuracy:
            best = Probe(kernel, bias, float(c), accuracy)
    assert best is not None
    return best


def _fitted(features: NDArray[Any], labels: NDArray[Any], c: float) -> LogisticRegression:
    return LogisticRegression(C=c, max_iter=2000).fit(features, labels)
