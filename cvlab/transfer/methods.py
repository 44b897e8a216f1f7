"""Seven ways to train a pretrained base on a new task, on the same images for as many epochs.

`FineTuner` holds one base and the images of one task. Each method has its own copy of the base,
which is compiled once; every training begins with the pretrained weights. What is frozen runs once
per image (`cvlab.transfer.features`): the linear probe trains on pooled features, the last block on
the feature maps in front of it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike, NDArray

from cvlab.training.reinitialize import reset_optimizer
from cvlab.transfer import features, freezing
from cvlab.transfer.boundary import last_block, split
from cvlab.transfer.heads import pooled_head
from cvlab.transfer.layerwise import LayerwiseAdam, falling_factors
from cvlab.transfer.probes import Probe, logistic_probe
from cvlab.transfer.views import Views

# What trains besides the head, one stage after the other, each in an equal share of the epochs.
METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "linear probe": ("head",),
    "last block": ("last block",),
    "everything": ("everything",),
    "probe, then everything": ("everything",),
    "gradual unfreezing": ("head", "last block", "everything"),
    "layer-wise rates": ("everything",),
    "LoRA": ("LoRA",),
}
LORA_RANK: Final = 4
# How much lower the learning rate of the first layer is than that of the head.
LOWEST_FACTOR: Final = 0.01
_Weights = list[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Tuned:
    """A finished training.

    Attributes:
        method: Key of `METHODS`.
        rate: The highest learning rate.
        seed: Of the head's initial weights and the order of the images.
        validation_accuracy: After the last epoch.
        validation_loss: After the last epoch; not finite if the training diverged.
        trainable_parameters: Of the last stage.
        seconds: Of the training, without what was stored and without the validation.
        weights: Of base and head, for `FineTuner.right`.
    """

    method: str
    rate: float
    seed: int
    validation_accuracy: float
    validation_loss: float
    trainable_parameters: int
    seconds: float
    weights: tuple[_Weights, _Weights] = field(repr=False)


@dataclass(frozen=True, eq=False)
class _Copy:
    """A copy of the base and a head, and one compiled model for each stage of a method."""

    base: keras.Model
    head: keras.Model
    models: dict[str, keras.Model]
    pretrained: _Weights


class FineTuner:
    """Trains one base on one task in the ways of `METHODS`.

    In each stage the learning rate starts at its highest value and falls along a cosine, epoch by
    epoch. The network after the last epoch counts. The optimizer is Adam.

    Args:
        base: From `cvlab.models.load_base`, with its pretrained weights; it stays as it is.
        train: Images (n, h, w, 3) and classes 0 and 1, (n,).
        validation: The same for the validation images.
        epochs: Passes over the training images in all stages together, at least 3.
        batch_size: Images per step.
        cache: Folder of stored features; see `cvlab.cache.cache_root`.

    Raises:
        ValueError: If there are fewer epochs than stages.
    """

    def __init__(
        self,
        base: keras.Model,
        train: tuple[ArrayLike, ArrayLike],
        validation: tuple[ArrayLike, ArrayLike],
        *,
        epochs: int,
        batch_size: int = 20,
        cache: Any = None,
    ) -> None:
        if epochs < 3:
            raise ValueError(f"{epochs} epochs do not suffice for three stages: pass at least 3")
        self.base, self.epochs, self.batch_size, self.cache = base, epochs, batch_size, cache
        self.images = {"train": np.asarray(train[0]), "validation": np.asarray(validation[0])}
        self.labels = {"train": np.asarray(train[1]), "validation": np.asarray(validation[1])}
        self._pretrained = base.get_weights()
        freezing.freeze(base)
        self._lower, self._upper = split(base, last_block(base))
        pooling = layers.GlobalAveragePooling2D()
        self._pooled = keras.Model(self._upper.inputs[0], pooling(self._upper.outputs[0]))
        self._copies: dict[str, _Copy] = {}
        self._stored: dict[tuple[str, str], NDArray[Any]] = {}

    def on(self, train: tuple[ArrayLike, ArrayLike], epochs: int) -> FineTuner:
        """Return a tuner for other training images, which shares all that is compiled."""
        other = copy.copy(self)
        other.epochs = epochs
        other.images = {**self.images, "train": np.asarray(train[0])}
        other.labels = {**self.labels, "train": np.asarray(train[1])}
        other._stored = {key: kept for key, kept in self._stored.items() if key[1] != "train"}
        other.__dict__.pop("probe", None)
        return other

    @cached_property
    def probe(self) -> Probe:
        """The logistic probe on the pooled features of the frozen base."""
        return logistic_probe(
            (self.inputs("head", "train"), self.labels["train"]),
            (self.inputs("head", "validation"), self.labels["validation"]),
        )

    def fit(self, method: str, rate: float, seed: int) -> Tuned:
        """Train by one method with one learning rate and one seed.

        Raises:
            ValueError: If there is no such method.
        """
        if method not in METHODS:
            raise ValueError(f"there is no method {method!r}: choose one of {', '.join(METHODS)}")
        own = self._copy(method)
        own.base.set_weights(own.pretrained)
        keras.utils.set_random_seed(seed)
        own.head.set_weights(self._initial_head(method, seed))
        start, stages = time.perf_counter(), METHODS[method]
        for number, stage in enumerate(stages):
            _set_flags(own.base, stage)
            model = own.models[stage]
            epochs = self.epochs * (number + 1) // len(stages) - self.epochs * number // len(stages)
            self._train(model, stage, rate, seed, epochs)
        seconds = time.perf_counter() - start
        logits = self._logits(own, stages[-1], "validation")
        labels = self.labels["validation"]
        return Tuned(
            method,
            rate,
            seed,
            float(((logits > 0) == (labels == 1)).mean()),
            float(np.logaddexp(0, np.where(labels == 1, -logits, logits)).mean()),
            sum(int(np.prod(one.shape)) for one in model.trainable_weights),
            seconds,
            (own.base.get_weights(), own.head.get_weights()),
        )

    def right(self, tuned: Tuned, images: ArrayLike, labels: ArrayLike) -> NDArray[np.bool_]:
        """Return for each image whether the prediction of a trained network is right, (n,)."""
        own = self._copy(tuned.method)
        own.base.set_weights(tuned.weights[0])
        own.head.set_weights(tuned.weights[1])
        self.images["other"] = np.asarray(images)
        self._stored = {key: kept for key, kept in self._stored.items() if key[1] != "other"}
        logits = self._logits(own, METHODS[tuned.method][-1], "other")
        return np.asarray((logits > 0) == (np.asarray(labels) == 1), bool)

    def inputs(self, stage: str, split_name: str) -> NDArray[Any]:
        """Return what the models of a stage take: images, or stored outputs of what is frozen."""
        images = self.images[split_name]
        if stage in ("everything", "LoRA"):
            return images
        if (stage, split_name) not in self._stored:
            found = features.extract(images, self._lower, cache=self.cache)
            if stage == "head":
                found = features.extract(found, self._pooled, cache=self.cache)
            self._stored[stage, split_name] = found
        return self._stored[stage, split_name]

    def _train(self, model: keras.Model, stage: str, rate: float, seed: int, epochs: int) -> None:
        reset_optimizer(model.optimizer)
        batches = Views(
            [self.inputs(stage, "train")],
            self.labels["train"].astype(np.float32),
            batch_size=self.batch_size,
            seed=seed,
        )
        # The steps that `fit` takes. For a few images `fit` spends half its time between epochs.
        for epoch in range(epochs):
            model.optimizer.learning_rate = rate * (1 + float(np.cos(np.pi * epoch / epochs))) / 2
            for step in range(len(batches)):
                model.train_on_batch(*batches[step])
            batches.on_epoch_end()

    def _logits(self, own: _Copy, stage: str, split_name: str) -> NDArray[np.float64]:
        inputs, model = self.inputs(stage, split_name), own.models[stage]
        # Not `predict`: for a few images it takes half its time to begin.
        batches = (inputs[start : start + 50] for start in range(0, len(inputs), 50))
        found = np.concatenate([model.predict_on_batch(batch) for batch in batches])
        p = np.clip(np.ravel(found).astype(np.float64), 1e-7, 1 - 1e-7)
        return np.asarray(np.log(p / (1 - p)))

    def _initial_head(self, method: str, seed: int) -> _Weights:
        channels = self.base.output_shape[-1]
        if method == "probe, then everything":
            return [self.probe.kernel, self.probe.bias]
        limit = np.sqrt(6 / (channels + 1))  # Glorot's uniform initialization
        kernel = np.random.default_rng(seed).uniform(-limit, limit, (channels, 1))
        return [kernel.astype(np.float32), np.zeros(1, np.float32)]

    def _copy(self, method: str) -> _Copy:
        """Copy the base, with a model for each stage; methods that train alike share a copy."""
        name = method if method in ("LoRA", "layer-wise rates") else "-".join(METHODS[method])
        if name not in self._copies:
            base = keras.models.clone_model(self.base)
            base.set_weights(self._pretrained)
            head = pooled_head((base.output_shape[-1],))
            models = {}
            for stage in METHODS[method]:
                _set_flags(base, stage)
                models[stage] = _compiled(base, head, stage, layerwise=method == "layer-wise rates")
            self._copies[name] = _Copy(base, head, models, base.get_weights())
        return self._copies[name]


def first_trainable(base: keras.Model) -> str:
    """Return the name of a base's first layer with a kernel."""
    return str(next(layer.name for layer in base.layers if _has_kernel(layer)))


def _has_kernel(layer: keras.Layer) -> bool:
    return any("kernel" in weight.name for weight in layer.weights)


def _set_flags(base: keras.Model, stage: str) -> None:
    """Set what trains in a stage; BatchNormalization never does."""
    if stage == "head":
        freezing.freeze(base)
    elif stage == "last block":
        freezing.unfreeze_from(base, last_block(base))
    elif stage == "everything":
        freezing.unfreeze_from(base, first_trainable(base))
    else:
        _add_lora(base)


def _add_lora(base: keras.Model) -> None:
    """Add a trainable low-rank update to each plain convolution; the rest of the base is frozen."""
    freezing.freeze(base)
    base.trainable = True
    for layer in base.layers:
        lora = isinstance(layer, layers.Conv2D)
        if lora and not layer.lora_enabled:
            layer.enable_lora(LORA_RANK)
        layer.trainable = lora
        for weight in layer.weights if lora else ():
            weight.trainable = "lora" in weight.name


def _compiled(base: keras.Model, head: keras.Model, stage: str, *, layerwise: bool) -> keras.Model:
    """Build and compile the part of base and head that a stage trains."""
    parts: Sequence[keras.Layer] = [head]
    shape = (base.output_shape[-1],)
    if stage == "last block":
        _, upper = split(base, last_block(base))
        parts, shape = [upper, layers.GlobalAveragePooling2D(), head], upper.input_shape[1:]
    elif stage != "head":
        parts, shape = [base, layers.GlobalAveragePooling2D(), head], base.input_shape[1:]
    model = keras.Sequential([keras.Input(shape), *parts])
    optimizer = keras.optimizers.Adam()
    if layerwise:
        optimizer = LayerwiseAdam(falling_factors(model, LOWEST_FACTOR))
    model.compile(optimizer, loss="binary_crossentropy")
    return model
