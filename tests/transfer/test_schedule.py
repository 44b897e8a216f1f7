"""The optimizer of fine-tuning: warm-up and cosine decay by their formula, or the lecture's."""

import keras
import numpy as np
import pytest

from cvlab import transfer


@pytest.mark.parametrize("steps", [1, 7, 800])
def test_the_learning_rate_warms_up_and_decays_to_zero(steps: int) -> None:
    optimizer = transfer.fine_tuning_optimizer(0.01, steps, schedule=True)
    variable = keras.Variable(np.ones(3))
    optimizer.build([variable])
    found = []
    for _ in range(steps):
        found.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.ones(3)], [variable])
    warm_up = max(steps // 8, 1)
    decay = (1 + np.cos(np.pi * np.arange(steps - warm_up) / max(steps - warm_up, 1))) / 2
    expected = 0.01 * np.concatenate([np.linspace(1 / 50, 1, warm_up, endpoint=False), decay])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)


def test_the_learning_rate_of_the_lecture_is_constant() -> None:
    optimizer = transfer.fine_tuning_optimizer(1e-5, 100)
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert float(optimizer.learning_rate) == pytest.approx(1e-5)
