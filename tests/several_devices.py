"""The fine-tuning of notebook 12 on one device or on several, simulated on the processor.

    KERAS_BACKEND=tensorflow python -m tests.several_devices --devices 2
    KERAS_BACKEND=jax python -m tests.several_devices --devices 2

Prints as JSON the losses of every epoch and its seconds. The only line that several devices need
is the one in `use`; all the rest is what the notebook does, on small made-up pictures.
"""

import argparse
import json
import os
import tempfile
import time

DEVICES_FLAG = "--xla_force_host_platform_device_count"


def simulate(devices: int) -> None:
    """Let the processor stand for several devices; to be called before the backend starts."""
    if os.environ.get("KERAS_BACKEND") == "jax":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES_FLAG}={devices}"
        return
    import tensorflow as tf  # noqa: PLC0415

    processor = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(processor, parts)


def use(devices: int) -> int:
    """Train on all devices from here on: one line on each backend. Returns how many there are."""
    if os.environ.get("KERAS_BACKEND") == "jax":
        import keras  # noqa: PLC0415

        if devices > 1:
            keras.distribution.set_distribution(keras.distribution.DataParallel())
        return len(keras.distribution.list_devices())
    import tensorflow as tf  # noqa: PLC0415

    names = [f"CPU:{number}" for number in range(devices)]
    if devices > 1:
        tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy(names))
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def fine_tune(pictures: int, epochs: int) -> tuple[dict[str, list[float]], list[float]]:
    """Steps 1 to 5 of the lecture with the profile `quick`; losses and seconds of each epoch."""
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from cvlab import models, profiles, transfer  # noqa: PLC0415
    from cvlab.transfer import features, freezing  # noqa: PLC0415

    profile = profiles.get("quick")
    size, batch_size = profile.base_image_size, profile.transfer_batch_size
    random = np.random.default_rng(0)
    labels = (np.arange(pictures) % 2).astype("float32")
    brightness = 100 + 60 * labels[:, None, None, None]
    images = random.normal(brightness, 40, (pictures, size, size, 3)).clip(0, 255).astype("uint8")

    keras.utils.set_random_seed(0)
    base = models.base_for(profile)
    first = transfer.last_block(base)
    lower, upper = transfer.split(base, first)
    with tempfile.TemporaryDirectory() as cache:
        boundary = np.array(features.extract(images, lower, cache=cache))
    freezing.unfreeze_from(base, first)
    head = transfer.pooled_head(base.output_shape[1:])
    tuned = keras.Sequential([keras.Input(boundary.shape[1:]), upper, head])
    tuned.compile(
        keras.optimizers.RMSprop(profile.tuning_learning_rate),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    seconds, start = [], time.perf_counter()

    def note(epoch: int, logs: object) -> None:
        nonlocal start
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()

    history = tuned.fit(
        transfer.Views([boundary], labels, batch_size=batch_size, seed=0),
        epochs=epochs,
        shuffle=False,
        validation_data=(boundary[:100], labels[:100]),
        validation_batch_size=batch_size,
        callbacks=[freezing.Guard(tuned), keras.callbacks.LambdaCallback(on_epoch_end=note)],
        verbose=0,
    ).history
    return {name: history[name] for name in ("loss", "val_loss")}, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    simulate(options.devices)
    devices = use(options.devices)
    losses, seconds = fine_tune(options.pictures, options.epochs)
    print(json.dumps({"devices": devices, "losses": losses, "seconds": seconds}))


if __name__ == "__main__":
    main()
