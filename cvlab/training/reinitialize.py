"""Train the same network again from other initial weights, without compiling it again.

Tracing a training step takes longer than training a small network with it. An experiment over seeds
and learning rates therefore builds and compiles a network once and reinitializes it for each run.
"""

from typing import Final

import keras
import numpy as np

_NOT_FROM_ZERO: Final = (keras.optimizers.Adagrad, keras.optimizers.Ftrl, keras.optimizers.Nadam)


def reinitialize(model: keras.Model, seed: int) -> None:
    """Set new initial weights in a compiled model and reset the state of its optimizer.

    This sets the global random state too, so `seed` also determines the order in which `fit`
    shuffles the images. (On JAX and PyTorch this holds from the second `fit` of a model on: the
    first one shuffles once more to infer the shapes.)

    Args:
        model: A built model whose layers Keras can clone (`keras.models.clone_model`). Layers
            that draw random numbers in training, such as Dropout, keep their random state.
        seed: Seed of the new weights: the same seed gives the same weights.

    Raises:
        ValueError: If the state of the model's optimizer does not start at zero.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        reset_optimizer(optimizer)
    keras.utils.set_random_seed(seed)
    # A twin without the compilation, which clone_model would copy and which may not be copyable.
    twin = keras.Model(model.inputs, model.outputs)
    model.set_weights(keras.models.clone_model(twin).get_weights())


def reset_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Set the state of an optimizer to that of a new one; its learning rate stays.

    Raises:
        ValueError: If that state does not start at zero.
    """
    if isinstance(optimizer, _NOT_FROM_ZERO):
        raise ValueError(
            f"the state of {type(optimizer).__name__} does not start from zero and cannot be reset:"
            " compile the model again instead"
        )
    for variable in optimizer.variables:
        if variable is not getattr(optimizer, "_learning_rate", None):
            variable.assign(np.zeros(variable.shape, variable.dtype))
