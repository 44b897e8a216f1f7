"""The logistic probe: the same as scikit-learn's pipeline, its penalty chosen on validation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cvlab.transfer.probes import logistic_probe


def task(classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of noisy classes, far from standardized; one of them is constant."""
    random = np.random.default_rng(seed)
    labels = np.arange(120) % classes
    features = 5 + 3 * random.normal(size=(120, 6)) + labels[:, None] * [2, 0, 1, 0, 3, 0]
    features[:, 3] = 7
    return features.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_it_predicts_what_scikit_learns_pipeline_predicts(classes: int) -> None:
    train, validation = task(classes, 0), task(classes, 1)
    found = logistic_probe(train, validation, strengths=(0.1,))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    pipeline.fit(*train)
    assert found.kernel.shape == (6, 1 if classes == 2 else classes)
    assert (found.predict(validation[0]) == pipeline.predict(validation[0])).mean() > 0.99
    assert found.validation_accuracy == pytest.approx(pipeline.score(*validation), abs=0.01)
    logits = validation[0] @ found.kernel + found.bias
    by_pipeline = pipeline.decision_function(validation[0]).reshape(logits.shape)
    np.testing.assert_allclose(logits, by_pipeline, atol=1e-2)


def test_the_validation_images_choose_the_penalty_and_ties_go_to_the_strongest() -> None:
    train, validation = task(2, 0), task(2, 1)
    strengths = (1e-4, 1e-2, 1.0)
    each = {c: logistic_probe(train, validation, (c,)).validation_accuracy for c in strengths}
    found = logistic_probe(train, validation, strengths)
    assert found.validation_accuracy == max(each.values())
    assert found.c == min(c for c, accuracy in each.items() if accuracy == max(each.values()))


def test_right_compares_with_the_labels() -> None:
    train = task(2, 0)
    found = logistic_probe(train, train)
    right = found.right(*train)
    assert right.dtype == bool
    assert right.mean() == found.validation_accuracy
    assert (found.right(train[0], 1 - train[1]) == ~right).all()


def test_impossible_requests_are_explained() -> None:
    features, labels = task(2, 0)
    with pytest.raises(ValueError, match="at least one positive number"):
        logistic_probe((features, labels), (features, labels), ())
    with pytest.raises(ValueError, match="of one class"):
        logistic_probe((features, 0 * labels), (features, labels))
