"""How many training steps the backend takes at a time, before it comes back to Python."""

import keras


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
