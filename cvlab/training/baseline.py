"""The small convnet of notebook 05, trained once: notebooks 06 and 07 go on from it.

Notebook 05 trains it in front of the reader and leaves it in the cache (`keep`). `baseline` finds
it there, or trains it where nobody has yet. Its key is all that the training depends on: pictures,
layers, optimizer, epochs, batch size and seed. Who tries another setting in notebook 05 changes
nothing in the others.
"""

import hashlib
import io
from pathlib import Path
from typing import Any, Final, TypeAlias

import keras
import numpy as np

from cvlab.cache import cache_root, digests_of_array, key_of, locked, storage
from cvlab.data.loading import Pets
from cvlab.models import digests, zoo
from cvlab.profiles import Profile
from cvlab.training.progress import ProgressBar

History: TypeAlias = dict[str, list[float]]

# Raise it when the same key would stand for another training.
_VERSION: Final = 1
_WEIGHTS, _RECORD = "weights.npz", "record.json"
_BATCH: Final = 32


def baseline(
    pets: Pets, profile: Profile, *, cache: str | Path | None = None
) -> tuple[keras.Model, History]:
    """Give the small convnet, trained on the pictures as they are (lecture steps 10 to 16).

    Args:
        pets: Pictures of the profile's `image_size`; training and validation are used.
        profile: How to train: `learning_rate`, `batch_size`, `baseline_epochs`, `baseline_seed`.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        The compiled network with the weights of its lowest validation loss, and what `fit` noted
        of all epochs.

    Raises:
        ValueError: If the pictures have another size than the profile's.
        cvlab.cache.DatasetError: If it cannot be kept, such as on a full disk.
    """
    sizes = pets.train.images.shape[1:3]
    if sizes != (profile.image_size, profile.image_size):
        raise ValueError(
            f"pets has pictures of {sizes[0]} x {sizes[1]} pixels and profile {profile.name!r} "
            f"takes {profile.image_size}: load them with image_size=profile.image_size"
        )
    keras.utils.set_random_seed(profile.baseline_seed)
    model = zoo.small_cnn(profile.image_size)
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=profile.learning_rate),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    place = _place(model, profile.baseline_epochs, pets, profile, cache)
    history = _recall(model, place)
    if history is None:
        history = model.fit(
            pets.train.images,
            pets.train.labels,
            batch_size=profile.batch_size,
            epochs=profile.baseline_epochs,
            validation_data=(pets.validation.images, pets.validation.labels),
            callbacks=[
                keras.callbacks.EarlyStopping(
                    "val_loss", patience=profile.baseline_epochs, restore_best_weights=True
                ),
                ProgressBar("the network of 05"),
            ],
            verbose=0,
        ).history
        _store(model, history, place)
    return model, history


def keep(
    model: keras.Model,
    history: History,
    pets: Pets,
    profile: Profile,
    *,
    cache: str | Path | None = None,
) -> None:
    """Leave a network for `baseline` to find, if it was trained as `baseline` would.

    Args:
        model: The compiled network, with the weights of its lowest validation loss.
        history: What `fit` noted, each list one value an epoch.
        pets: What it was trained on.
        profile: Its `batch_size` and `baseline_seed` were used.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Raises:
        ValueError: If the model is not compiled, or the history lacks the validation.
        cvlab.cache.DatasetError: If it cannot be kept, such as on a full disk.
    """
    if not model.compiled:
        raise ValueError(
            f"{model.name} is not compiled: how it was trained cannot be told; pass the model as "
            "it was trained, or loaded from a .keras file"
        )
    if "val_loss" not in history:
        raise ValueError(
            f"history has {', '.join(history) or 'nothing'} and lacks val_loss: pass "
            "fit(..., validation_data=...).history"
        )
    _store(model, history, _place(model, len(history["val_loss"]), pets, profile, cache))


def _place(
    model: keras.Model, epochs: int, pets: Pets, profile: Profile, cache: str | Path | None
) -> Path:
    """Folder of a training: its name tells all that the result depends on."""
    optimizer = keras.saving.serialize_keras_object(model.optimizer)["config"]
    content: list[object] = [
        [_VERSION, keras.version(), keras.backend.backend()],
        digests.of_plan(model),
        # Its name is counted up with every optimizer made.
        sorted((key, repr(value)) for key, value in optimizer.items() if key != "name"),
        str(model.loss),
        [epochs, profile.batch_size, profile.baseline_seed],
        *(
            digests_of_array(array, _BATCH)
            for split in (pets.train, pets.validation)
            for array in (split.images, split.labels)
        ),
    ]
    return cache_root(cache) / "trained" / key_of(content)


def _recall(model: keras.Model, place: Path) -> History | None:
    """Set the weights that were kept; None if there are none, or not as they were written."""
    record = storage.read_sealed(place / _RECORD)
    if record is None:
        return None
    try:
        packed = (place / _WEIGHTS).read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(packed).hexdigest() != record["weights"]:
        return None
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        model.set_weights([arrays[name] for name in arrays.files])
    history: History = record["history"]
    return history


def _store(model: keras.Model, history: History, place: Path) -> None:
    stream = io.BytesIO()
    weights: list[Any] = model.get_weights()
    np.savez(stream, *weights)
    packed = stream.getvalue()
    with (
        locked(place),
        storage.whole_folder(place, len(packed), "the network of notebook 05") as folder,
    ):
        (folder / _WEIGHTS).write_bytes(packed)
        storage.write_sealed(
            folder / _RECORD,
            {"weights": hashlib.sha256(packed).hexdigest(), "history": history},
        )
