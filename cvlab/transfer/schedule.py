"""The optimizer of fine-tuning: a low learning rate, constant or with warm-up and cosine decay."""

import keras


def fine_tuning_optimizer(
    learning_rate: float, steps: int, *, schedule: bool = False
) -> keras.optimizers.Optimizer:
    """Return the optimizer of fine-tuning (lecture step 24).

    Args:
        learning_rate: Constant, or the highest one with a schedule.
        steps: Steps of the whole training: epochs times batches per epoch.
        schedule: False for RMSprop with a constant learning rate, as in the lecture. True for
            AdamW with warm-up over the first eighth of the steps and cosine decay to zero after
            it: at a low learning rate the last epochs average out the noise of single batches.

    Raises:
        ValueError: If `steps` is not positive.

    Source:
        I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017) and
        "Decoupled Weight Decay Regularization" (2019).
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: pass epochs times batches per epoch, at least 1")
    if not schedule:
        return keras.optimizers.RMSprop(learning_rate)
    warm_up = max(steps // 8, 1)
    decay = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 50,
        decay_steps=max(steps - warm_up, 1),
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    return keras.optimizers.AdamW(decay, weight_decay=0.01)
