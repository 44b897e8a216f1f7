"""The network that notebook 06 leaves for 06 and 07: the same one, or none."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cvlab import profiles
from cvlab.data import loading
from cvlab.models import small_cnn
from cvlab.training import baseline
from cvlab.training.baseline import History

TINY = replace(
    profiles.get("quick"),
    train_per_class=8,
    validation_per_class=4,
    test_per_class=1,
    baseline_epochs=3,
    batch_size=4,
)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> loading.Pets:
    cache = tmp_path_factory.mktemp("cache")
    return loading.load_images(
        "toypets", image_size=64, per_class=TINY.per_class, seed=3, cache=cache
    )


@pytest.fixture(scope="module")
def trained(pets: loading.Pets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the network of `TINY`, for tests that change nothing in it."""
    cache = tmp_path_factory.mktemp("trained")
    trained_baseline(pets, TINY, cache=cache)
    return cache


class TrainingBeginsError(Exception):
    """Raised instead of training."""


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise TrainingBeginsError

    monkeypatch.setattr(keras.Model, "fit", fit)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs of every training that happens."""
    begun: list[int] = []
    fit = keras.Model.fit

    def noted(model: keras.Model, *arguments: Any, **options: Any) -> Any:
        begun.append(options["epochs"])
        return fit(model, *arguments, **options)

    monkeypatch.setattr(keras.Model, "fit", noted)
    return begun


def trained_baseline(
    pets: loading.Pets, profile: profiles.Profile, *, cache: Path
) -> tuple[keras.Model, History]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CVLAB_CACHE", str(cache))
        return baseline.trained_baseline(pets, profile)


def keep_baseline(model: keras.Model, history: History, pets: loading.Pets, *, cache: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CVLAB_CACHE", str(cache))
        baseline.keep_baseline(model, history, pets, TINY)


def by_hand(pets: loading.Pets, folder: Path, rate: float) -> tuple[keras.Model, History]:
    """What notebook 06 does, with layers of other names."""
    keras.utils.set_random_seed(TINY.baseline_seed)
    model = small_cnn(64)
    model = keras.Sequential.from_config(
        {
            **model.get_config(),
            "name": "another",
            "layers": [
                {**layer, "config": {**layer["config"], "name": f"layer_{number}"}}
                for number, layer in enumerate(model.get_config()["layers"])
            ],
        }
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=rate),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    best = folder / "best.keras"
    history = model.fit(
        pets.train.images,
        pets.train.labels,
        epochs=TINY.baseline_epochs,
        batch_size=TINY.batch_size,
        validation_data=(pets.validation.images, pets.validation.labels),
        callbacks=[keras.callbacks.ModelCheckpoint(best, save_best_only=True)],
        verbose=0,
    ).history
    return keras.models.load_model(best), history


def same(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_trained_once_then_found(pets: loading.Pets, tmp_path: Path, trainings: list[int]) -> None:
    first, history = trained_baseline(pets, TINY, cache=tmp_path)
    second, again = trained_baseline(pets, TINY, cache=tmp_path)
    assert trainings == [3]
    assert again == history and len(history["val_loss"]) == 3
    assert same(first, second)
    assert float(second.optimizer.learning_rate) == pytest.approx(TINY.learning_rate)
    loss, _ = second.evaluate(pets.validation.images, pets.validation.labels, verbose=0)
    assert loss == pytest.approx(min(history["val_loss"]), rel=1e-5)


def test_what_notebook_05_leaves_is_found(
    pets: loading.Pets, tmp_path: Path, trainings: list[int]
) -> None:
    best, history = by_hand(pets, tmp_path, TINY.learning_rate)
    keep_baseline(best, history, pets, cache=tmp_path)
    found, read = trained_baseline(pets, TINY, cache=tmp_path)
    assert trainings == [3], "trained by hand, and not again"
    assert read == history and same(found, best)


def test_what_was_trained_otherwise_is_not(
    pets: loading.Pets, tmp_path: Path, trainings: list[int]
) -> None:
    best, history = by_hand(pets, tmp_path, 2 * TINY.learning_rate)
    keep_baseline(best, history, pets, cache=tmp_path)
    trained_baseline(pets, TINY, cache=tmp_path)
    assert trainings == [3, 3]


@pytest.mark.usefixtures("no_training")
def test_the_same_training_is_found(pets: loading.Pets, trained: Path) -> None:
    trained_baseline(pets, TINY, cache=trained)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("setting", ["baseline_epochs", "batch_size", "baseline_seed"])
def test_another_setting_another_training(pets: loading.Pets, trained: Path, setting: str) -> None:
    other: Any = {setting: getattr(TINY, setting) + 1}
    with pytest.raises(TrainingBeginsError):
        trained_baseline(pets, replace(TINY, **other), cache=trained)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("part", ["images", "labels"])
def test_other_images_another_training(
    pets: loading.Pets, trained: Path, split: str, part: str
) -> None:
    values = np.array(getattr(getattr(pets, split), part))
    values[-1] = 1 - values[-1] if part == "labels" else values[-1] ^ 1
    changed: Any = {split: replace(getattr(pets, split), **{part: values})}
    with pytest.raises(TrainingBeginsError):
        trained_baseline(replace(pets, **changed), TINY, cache=trained)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("weights.npz", "flipped"), ("weights.npz", "gone"), ("seal.json", "cut")],
)
def test_damaged_is_trained_anew(
    pets: loading.Pets,
    trained: Path,
    tmp_path: Path,
    trainings: list[int],
    name: str,
    damage: str,
) -> None:
    cache = shutil.copytree(trained, tmp_path / "cache")
    (file,) = cache.glob(f"trained/*/{name}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flipped" else content[:-3])
    trained_baseline(pets, TINY, cache=cache)
    trained_baseline(pets, TINY, cache=cache)
    assert trainings == [3], "made again once, and then good"


def test_bfloat16_is_another_training(
    pets: loading.Pets, trained: Path, trainings: list[int]
) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, _ = trained_baseline(pets, TINY, cache=trained)
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(trainings) == 1
    assert {weight.dtype for weight in model.weights} == {"float32"}
