"""The baseline: the small convnet of notebook 06, trained once for the notebooks that build on it.

Notebook 06 trains it step by step and calls `keep_baseline`. Notebooks 07 and 08 get it by
`trained_baseline`, which trains it only if it is not in the cache. Its key there covers everything
the training depends on: images, layers, optimizer, epochs, batch size and seed. So a reader who
tries other settings in notebook 06 does not change the baseline of the other notebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import keras
import numpy as np

from cvlab.cache import cache_root, digests_of_array, key_of, made
from cvlab.data.loading import Pets
from cvlab.models import digests, small_cnn
from cvlab.profiles import Profile
from cvlab.training.progress import ProgressBar

History: TypeAlias = dict[str, list[float]]

# Increase it when the same key would stand for another training.
_VERSION: Final = 2
_WEIGHTS: Final = "weights.npz"
_BATCH: Final = 32


def new_network(profile: Profile, seed: int, **options: Any) -> keras.Model:
    """Build the small convnet with the initial weights of a seed, compiled as in the lecture.

    Args:
        profile: Its `image_size` and `learning_rate` are used.
        seed: Of the global random state, and so of the initial weights.
        **options: `dropout` and `augmentation` of `cvlab.models.small_cnn`.
    """
    keras.utils.set_random_seed(seed)
    model = small_cnn(profile.image_size, **options)
    compile_binary(model, keras.optimizers.RMSprop(profile.learning_rate))
    return model


def compile_binary(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Compile a model that returns the probability of class 1."""
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])


def fit_best(
    model: keras.Model,
    *data: Any,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **options: Any,
) -> History:
    """Train a compiled model, which ends with the weights of its lowest validation loss.

    Args:
        model: The compiled model.
        *data: The training data as Keras's `fit` takes it: inputs and labels, or a `PyDataset`.
        epochs: Passes over the training images.
        callbacks: More callbacks.
        **options: More arguments of `fit`; `validation_data` must be one of them.

    Returns:
        What `fit` recorded, one value per epoch in each list.
    """
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    history: History = model.fit(
        *data, epochs=epochs, callbacks=[*callbacks, best], verbose=0, **options
    ).history
    return history


def trained_baseline(pets: Pets, profile: Profile) -> tuple[keras.Model, History]:
    """Return the small convnet, trained without augmentation (lecture steps 10 to 16).

    It is kept in the cache folder; see `cvlab.cache.cache_root`.

    Args:
        pets: Images of the profile's `image_size`; training and validation set are used.
        profile: How to train: `learning_rate`, `batch_size`, `baseline_epochs`, `baseline_seed`.

    Returns:
        The compiled network with the weights of its lowest validation loss, and what `fit`
        recorded in all epochs.

    Raises:
        ValueError: If the images have another size than the profile's.
        cvlab.cache.DatasetError: If it cannot be stored, for example because the disk is full.
    """
    size = pets.train.images.shape[1:3]
    if size != (profile.image_size, profile.image_size):
        raise ValueError(
            f"pets has images of {size[0]} x {size[1]} pixels and profile {profile.name!r} "
            f"takes {profile.image_size}: load them with image_size=profile.image_size"
        )
    model = new_network(profile, profile.baseline_seed)

    train = partial(
        fit_best,
        model,
        *(pets.train.images, pets.train.labels),
        batch_size=profile.batch_size,
        epochs=profile.baseline_epochs,
        validation_data=(pets.validation.images, pets.validation.labels),
        callbacks=[ProgressBar("the network of 06")],
    )
    folder, history = _stored(model, profile.baseline_epochs, pets, profile, train)
    with np.load(folder / _WEIGHTS, allow_pickle=False) as arrays:
        model.set_weights(list(arrays.values()))
    return model, history


def keep_baseline(model: keras.Model, history: History, pets: Pets, profile: Profile) -> None:
    """Store a network for `trained_baseline`, which finds it if it would train it the same way.

    A network that is stored already for the same training stays.

    Args:
        model: The compiled network, with the weights of its lowest validation loss.
        history: What `fit` recorded, one value per epoch in each list.
        pets: What it was trained on.
        profile: Its `batch_size` and `baseline_seed` were used.

    Raises:
        ValueError: If the model is not compiled, or the history has no validation loss.
        cvlab.cache.DatasetError: If it cannot be stored, for example because the disk is full.
    """
    if not model.compiled:
        raise ValueError(
            f"{model.name} is not compiled, so its optimizer and loss are unknown: pass the model "
            "that was trained, or load it from a .keras file"
        )
    if "val_loss" not in history:
        raise ValueError(
            f"history has {', '.join(history) or 'nothing'} and lacks val_loss: pass "
            "fit(..., validation_data=...).history"
        )
    _stored(model, len(history["val_loss"]), pets, profile, lambda: history)


def _stored(
    model: keras.Model, epochs: int, pets: Pets, profile: Profile, train: Callable[[], History]
) -> tuple[Path, History]:
    """Return the folder of a training and its history; if it is not there, train and store first.

    The folder is named by a key of everything that the result of the training depends on.
    """
    optimizer = keras.saving.serialize_keras_object(model.optimizer)["config"]
    content: list[object] = [
        [_VERSION, keras.version(), keras.backend.backend()],
        digests.of_plan(model),
        # Keras numbers the names of optimizers.
        sorted((key, repr(value)) for key, value in optimizer.items() if key != "name"),
        str(model.loss),
        [epochs, profile.batch_size, profile.baseline_seed],
        *(
            digests_of_array(array, _BATCH)
            for split in (pets.train, pets.validation)
            for array in (split.images, split.labels)
        ),
    ]
    folder = cache_root() / "trained" / key_of(content)

    def write(part: Path) -> dict[str, History]:
        history = train()
        np.savez(part / _WEIGHTS, *model.get_weights())
        return {"history": history}

    needed, purpose = 4 * model.count_params(), "the network of notebook 06"
    return folder, made(folder, write, needed=needed, purpose=purpose)["history"]
