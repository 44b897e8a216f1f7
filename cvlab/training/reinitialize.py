"""Train the same network again from other initial weights, without compiling it again.

Tracing a training step costs more than training a small network on it. An experiment over seeds
and learning rates therefore builds and compiles a network once and starts it over for each run.
"""

from typing import Final

import keras
import numpy as np

_NOT_FROM_ZERO: Final = (keras.optimizers.Adagrad, keras.optimizers.Ftrl, keras.optimizers.Nadam)


def restart(model: keras.Model, seed: int) -> None:
    """Give a compiled model fresh initial weights and forget what its optimizer remembers.

    Afterwards the global random state is that of `seed` too, so the order in which `fit` shuffles
    the pictures belongs to the seed as well. (On JAX and PyTorch, all but the very first `fit` of a
    model: that one shuffles once more to learn the shapes.)

    Args:
        model: A built model whose layers Keras can clone (`keras.models.clone_model`). Layers
            that draw random numbers while training, such as Dropout, go on from where they are.
        seed: Seed of the new weights: the same seed gives the same weights.

    Raises:
        ValueError: If what the model's optimizer remembers does not start at zero.
    """
    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, _NOT_FROM_ZERO):
        raise ValueError(
            f"{type(optimizer).__name__} does not start from zero, so it cannot be started over: "
            "compile the model again instead"
        )
    keras.utils.set_random_seed(seed)
    # A twin without the compilation, which clone_model would copy and which may not be copyable.
    twin = keras.Model(model.inputs, model.outputs)
    model.set_weights(keras.models.clone_model(twin).get_weights())
    if optimizer is None:
        return
    for variable in optimizer.variables:
        if variable is not getattr(optimizer, "_learning_rate", None):
            variable.assign(np.zeros(variable.shape, variable.dtype))
