"""Training steps of small networks, without most of what surrounds them."""

import keras
import numpy as np
from numpy.typing import NDArray


def steps_per_execution(steps: int) -> int:
    """Return what to pass to `compile` as `steps_per_execution`: `steps` where it is supported.

    A small network spends much of a step between Python and the backend. Several steps in one call
    give the same weights, bit by bit; callbacks for batches run once per call. It pays from
    about a thousand steps on: the first call takes longer to compile. PyTorch takes single steps.

    Args:
        steps: Steps to take at a time, at least 1; best a divisor of the steps per epoch.

    Raises:
        ValueError: If `steps` is less than 1.

    Example:
        model.compile("adam", "mse", steps_per_execution=steps_per_execution(20))
    """
    if steps < 1:
        raise ValueError(f"{steps} steps at a time were asked for: ask for 1 or more")
    return 1 if keras.backend.backend() == "torch" else steps


def train_in_steps(
    model: keras.Model,
    x: NDArray[np.generic],
    y: NDArray[np.generic],
    *,
    batch_size: int,
    epochs: int,
    seed: int,
) -> None:
    """Train a compiled network by the steps of `fit` alone: no history, no callbacks.

    In each epoch the images come in a new random order. For a few hundred steps of a small network
    this takes half the time of `fit`, which sets up a pipeline of data for every epoch.

    Args:
        model: Compiled with an optimizer and a loss.
        x: Inputs, shape (N, ...).
        y: Targets, shape (N, ...).
        batch_size: Images per step, at least 1; the last step of an epoch may have fewer.
        epochs: Passes over the images.
        seed: Of the orders.

    Raises:
        ValueError: If `batch_size` is less than 1, or `x` and `y` differ in length.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: pass at least 1 image per step")
    if len(x) != len(y):
        raise ValueError(f"{len(x)} inputs but {len(y)} targets: pass one target for each input")
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            model.train_on_batch(x[rows], y[rows])
