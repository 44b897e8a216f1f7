"""Many networks at once: each one learns exactly what Keras's `fit` learns."""

import keras
import numpy as np
import pytest
from keras import layers

from cvlab.training.many import ManyNetworks


def data(images: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, images)
    return (rng.normal(size=(images, 5)) + labels[:, None]).astype("float32"), labels


def in_keras(batch_norm: bool) -> keras.Sequential:
    stack: list[layers.Layer] = []
    for _ in range(2):
        stack.append(layers.Dense(4, use_bias=not batch_norm))
        if batch_norm:
            stack.append(layers.BatchNormalization(momentum=0.9))
        stack.append(layers.ReLU())
    model = keras.Sequential([keras.Input((5,)), *stack, layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    return model


def of_second(many: ManyNetworks) -> list[np.ndarray]:
    """The weights of the second network in the order of Keras."""
    found = []
    for layer, weights in enumerate(many.weights):
        found.append(weights[1])
        if many.batch_norm and layer < 2:
            moving = [part[1, 0] for part in many.moving[layer]]
            found += [many.gamma[layer][1, 0], many.beta[layer][1, 0], *moving]
        else:
            found.append(many.beta[layer][1, 0])
    return found


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_network_among_many_learns_what_keras_learns(batch_norm: bool) -> None:
    x, labels = data()
    many = ManyNetworks([0.1, 0.5, 2.0], (5, 4, 4, 3), batch_norm=batch_norm)
    model = in_keras(batch_norm)
    model.set_weights(of_second(many))
    curve = many.fit(
        (x, labels), (x, labels), rates=[3.0, 0.1, 0.01], batch_size=32, epochs=3, shuffle=False
    )
    model.fit(x, labels, batch_size=32, epochs=3, shuffle=False, verbose=0)
    for own, keras_weight in zip(of_second(many), model.get_weights(), strict=True):
        np.testing.assert_allclose(own, keras_weight, atol=1e-4)
    predicted = model.predict(x, verbose=0).argmax(axis=1)
    assert curve.shape == (4, 3)
    assert curve[-1, 1] == pytest.approx((predicted == labels).mean())


def test_the_standard_deviation_may_depend_on_fan_in_and_fan_out() -> None:
    many = ManyNetworks([lambda i, o: 1 / i, lambda i, o: o, 0], (200, 100, 10))
    spread = [[float(copy.std()) for copy in weights] for weights in many.weights]
    np.testing.assert_allclose(spread, [[1 / 200, 100, 0], [1 / 100, 10, 0]], rtol=0.1)


def test_noise_moves_what_arrives_and_only_in_training() -> None:
    x, _ = data()
    many = ManyNetworks([0.5], (5, 4, 3), batch_norm=True, noise=True)
    first, second = (many.forward(x, training=True)[1][0][-1] for _ in range(2))
    assert np.abs(first.mean(1) - second.mean(1)).min() > 1e-3
    calm, again = (many.forward(x, training=False)[0] for _ in range(2))
    np.testing.assert_array_equal(calm, again)


def test_one_that_diverges_does_not_disturb_the_others() -> None:
    x, labels = data()
    runs = []
    for rate in (1e6, 0.1):
        many = ManyNetworks([0.5, 0.5], (5, 4, 3))
        runs.append(many.fit((x, labels), (x, labels), rates=[0.1, rate], batch_size=32, epochs=4))
    np.testing.assert_array_equal(runs[0][:, 0], runs[1][:, 0])
    assert runs[0][-1, 1] < runs[0][-1, 0]


def test_too_few_images_are_refused() -> None:
    x, labels = data(10)
    many = ManyNetworks([0.5], (5, 3))
    with pytest.raises(ValueError, match="10 images do not fill a batch of 64"):
        many.fit((x, labels), (x, labels), epochs=1)
