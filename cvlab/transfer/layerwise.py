"""Discriminative (layer-wise) learning rates: early layers change less than late ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from cvlab.models.graph import Tensor


@keras.saving.register_keras_serializable("cvlab")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with a learning rate for each weight: the common one times the weight's factor.

    Args:
        factors: By the path of a weight (`weight.path`); 1 for those not named.
        learning_rate: The common learning rate, as for Adam.
        **options: As for `keras.optimizers.Adam`.

    Source:
        J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification"
        (2018), section 3.2.
    """

    def __init__(
        self, factors: Mapping[str, float], learning_rate: float = 1e-3, **options: Any
    ) -> None:
        super().__init__(learning_rate, **options)
        self.factors = dict(factors)

    def build(self, variables: Sequence[Any]) -> None:
        """Look up the factor of each weight; Keras calls this."""
        super().build(variables)
        self._in_order = [self.factors.get(variable.path, 1.0) for variable in variables]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Change one weight; Keras calls this."""
        factor = self._in_order[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "factors": self.factors}


def falling_factors(model: keras.Model, lowest: float) -> dict[str, float]:
    """Return a factor for each trainable weight, from `lowest` at the first layer to 1 at the last.

    The factors of consecutive layers have a constant ratio. The weights of one layer share theirs.

    Args:
        model: Base and head in a row, with its flags `trainable` set.
        lowest: Factor of the first layer that trains, more than 0 and at most 1.

    Raises:
        ValueError: If `lowest` is not in that range.
    """
    if not 0 < lowest <= 1:
        raise ValueError(f"lowest is {lowest}: pass a factor of more than 0 and at most 1")
    owners = [weight.path.rpartition("/")[0] for weight in model.trainable_weights]
    order = list(dict.fromkeys(owners))
    last = max(len(order) - 1, 1)
    return {
        weight.path: lowest ** (1 - order.index(owner) / last) if len(order) > 1 else 1.0
        for weight, owner in zip(model.trainable_weights, owners, strict=True)
    }
