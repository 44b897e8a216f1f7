"""Many small dense networks trained at once, for experiments that compare seeds and settings.

A network of this size spends its time in overhead, not in arithmetic: Keras needs about as long to
compile one as to train it. Here all networks of an experiment share each NumPy call, one more axis
of their weights. They share nothing else but the order of the images. Forward and backward pass are
those of notebook 03; the test compares one of them, weight by weight, with `fit`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float32]

EPSILON: Final = 1e-3
MOMENTUM: Final = 0.9


class ManyNetworks:
    """Networks of the same shape: hidden layers with ReLU, then one logit per class.

    Args:
        stds: Standard deviation of the initial weights, one entry per network: a number for
            all layers, or a function of fan-in and fan-out.
        units: Inputs, units of each hidden layer, classes: `(64, 32, 32, 10)` has two hidden
            layers.
        batch_norm: Whether batch normalization stands before each ReLU, in place of the bias.
        noise: Whether each unit's normalized values get a random shift and stretch, new at each
            training step, as in Santurkar and others (2018).
        seed: Of the weights, of the order of the images and of the noise.

    Attributes:
        weights: Per layer, (networks, inputs, outputs).
        gamma, beta: Per hidden layer, (networks, 1, units); without batch normalization `beta` is
            the bias and `gamma` stays 1. The last entry of `beta` is the bias of the logits.
        moving: Per hidden layer, moving mean and variance, each (networks, 1, units).
    """

    def __init__(
        self,
        stds: Sequence[Any],
        units: Sequence[int],
        *,
        batch_norm: bool = False,
        noise: bool = False,
        seed: int = 0,
    ) -> None:
        self.batch_norm, self.noise = batch_norm, noise
        self.rng = np.random.default_rng(seed)
        copies = len(stds)
        self.weights: list[Float] = []
        for fan_in, fan_out in pairwise(units):
            scales = [one(fan_in, fan_out) if callable(one) else one for one in stds]
            drawn = self.rng.normal(size=(copies, fan_in, fan_out))
            self.weights.append((drawn * np.reshape(scales, (-1, 1, 1))).astype(np.float32))
        self.gamma = [np.ones((copies, 1, width), np.float32) for width in units[1:-1]]
        self.beta = [np.zeros((copies, 1, width), np.float32) for width in units[1:]]
        self.moving = [(0 * gamma, 0 * gamma + 1) for gamma in self.gamma]

    def forward(self, x: ArrayLike, *, training: bool) -> tuple[Float, list[tuple[Float, ...]]]:
        """Return the logits (networks, N, classes) and what the backward pass needs per layer.

        Args:
            x: Images, (N, inputs).
            training: Whether to use the statistics of the batch, and to update the moving ones.

        Returns:
            The logits; per hidden layer its input, the standardized values, their standard
            deviation, the stretch of the noise, and what arrives at the activation.
        """
        values = np.asarray(x, np.float32)[None]
        kept: list[tuple[Float, ...]] = []
        for layer, (weights, gamma) in enumerate(zip(self.weights, self.gamma, strict=False)):
            inputs, values = values, values @ weights
            std = np.ones_like(gamma)
            if self.batch_norm:
                mean, variance = self._statistics(layer, values, training=training)
                std = np.sqrt(variance + EPSILON)
                values = (values - mean) / std
            standardized, stretch = values, np.ones_like(gamma)
            values = gamma * values + self.beta[layer]
            if self.noise and training:
                shift = self.rng.normal(0, 0.5, gamma.shape).astype(np.float32)
                stretch = self.rng.uniform(0.75, 1.25, gamma.shape).astype(np.float32)
                values = values * stretch + shift
            kept.append((inputs, standardized, std, stretch, values))
            values = np.maximum(values, 0)
        kept.append((values,))
        return values @ self.weights[-1] + self.beta[-1], kept

    def _statistics(self, layer: int, values: Float, *, training: bool) -> tuple[Float, Float]:
        """Return mean and variance to normalize with; in training, update the moving ones."""
        if not training:
            return self.moving[layer]
        now = values.mean(1, keepdims=True), values.var(1, keepdims=True)
        self.moving[layer] = (
            MOMENTUM * self.moving[layer][0] + (1 - MOMENTUM) * now[0],
            MOMENTUM * self.moving[layer][1] + (1 - MOMENTUM) * now[1],
        )
        return now

    def step(self, x: ArrayLike, labels: ArrayLike, rates: ArrayLike) -> None:
        """Take one step of gradient descent on a batch.

        Args:
            x: Images, (N, inputs).
            labels: Classes, (N,) integers.
            rates: Learning rate, one for all networks or one per network.
        """
        logits, kept = self.forward(x, training=True)
        rate = np.broadcast_to(np.asarray(rates, np.float32), len(logits))[:, None, None]
        number = np.arange(logits.shape[1])
        signal = _softmax(logits)  # the gradient with respect to the logits
        signal[:, number, np.asarray(labels)] -= 1
        signal /= len(number)
        (inputs,) = kept.pop()
        for layer in range(len(self.weights) - 1, -1, -1):
            for_weights = inputs.swapaxes(1, 2) @ signal
            if layer == len(self.gamma):  # the logits have a bias and no normalization
                self.beta[layer] = self.beta[layer] - rate * signal.sum(1, keepdims=True)
            back = signal @ self.weights[layer].swapaxes(1, 2)
            self.weights[layer] = self.weights[layer] - rate * for_weights
            if layer:
                inputs, signal = self._back(layer - 1, back, kept.pop(), rate)

    def _back(
        self, layer: int, signal: Float, kept: tuple[Float, ...], rate: Float
    ) -> tuple[Float, Float]:
        """Go back through activation and normalization; return the layer's input and gradient."""
        inputs, standardized, std, stretch, values = kept
        for_beta = signal * (values > 0) * stretch
        inner = for_beta * self.gamma[layer]
        if self.batch_norm:
            for_gamma = (for_beta * standardized).sum(1, keepdims=True)
            mean, part = inner.mean(1, keepdims=True), (inner * standardized).mean(1, keepdims=True)
            inner = (inner - mean - standardized * part) / std
            self.gamma[layer] = self.gamma[layer] - rate * for_gamma
        self.beta[layer] = self.beta[layer] - rate * for_beta.sum(1, keepdims=True)
        return inputs, inner

    def accuracy(self, x: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
        """Return each network's accuracy in inference mode, (networks,)."""
        logits, _ = self.forward(x, training=False)
        hits: NDArray[np.float64] = (logits.argmax(-1) == np.asarray(labels)).mean(1)
        return hits

    def fit(
        self,
        train: tuple[ArrayLike, ArrayLike],
        held_out: tuple[ArrayLike, ArrayLike],
        *,
        rates: ArrayLike = 0.1,
        batch_size: int = 64,
        epochs: int,
        shuffle: bool = True,
    ) -> NDArray[np.float64]:
        """Train all networks; return their held-out accuracy before and after each epoch.

        A network that diverges stays at chance level, whatever its weights have become.

        Args:
            train: Images (N, inputs) and labels (N,).
            held_out: The same for the accuracy.
            rates: As for `step`.
            batch_size: Images per step; an incomplete last batch is left out, because batch
                normalization could get a batch of one.
            epochs: Passes over the training images.
            shuffle: Whether to change the order of the images at each epoch.

        Returns:
            Accuracies, (epochs + 1, networks).

        Raises:
            ValueError: If there are fewer images than fit one batch.
        """
        x, labels = (np.asarray(part) for part in train)
        if len(x) < batch_size:
            raise ValueError(
                f"{len(x)} images do not fill a batch of {batch_size}: lower batch_size"
            )
        curve = [self.accuracy(*held_out)]
        with np.errstate(over="ignore", invalid="ignore"):  # of networks that diverge
            for _ in range(epochs):
                order = self.rng.permutation(len(x)) if shuffle else np.arange(len(x))
                for batch in order[: len(x) // batch_size * batch_size].reshape(-1, batch_size):
                    self.step(x[batch], labels[batch], rates)
                curve.append(self.accuracy(*held_out))
        return np.array(curve)


def _softmax(logits: Float) -> Float:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
