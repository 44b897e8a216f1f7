"""The base: what it learns from, and what ships."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cvlab import models
from cvlab.drawing import animals, toypets
from cvlab.evaluation import measure
from cvlab.experiments import pretrain
from cvlab.models.embedded import TOY_HEAD, TOY_RECORD, TOY_WEIGHTS


def test_labels_say_what_the_pictures_show() -> None:
    pictures, labels = pretrain.zoo_images(range(2, 4), size=16, seed=9)
    names = pretrain.kinds()
    assert pictures.shape == (2 * len(toypets.ZOO), 16, 16, 3)
    assert set(labels) == set(names) == {"species", *pretrain.PARTS}
    owl = 2 * toypets.ZOO.index("owl") + 1  # its second picture
    np.testing.assert_array_equal(pictures[owl], toypets.draw("owl", 3, size=16, seed=9))
    record = animals.attributes("owl", 3, seed=9)
    assert names["species"][labels["species"][owl]] == "owl"
    for part in pretrain.PARTS:
        assert names[part][labels[part][owl]] == getattr(record, part)
        assert len(labels[part]) == len(pictures)


def test_no_pet_is_ever_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def spy(species: str, numbers: range, *, size: int, seed: int) -> np.ndarray:
        asked.append(species)
        return np.zeros((len(numbers), size, size, 3), np.uint8)

    monkeypatch.setattr(toypets, "draw_many", spy)
    pretrain.zoo_images(range(1), size=16, seed=0)
    assert asked and not set(asked) & set(toypets.CLASSES)


def test_a_tiny_run_trains_saves_and_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small" / "base.weights.h5"
    arguments = ["--per-species", "2", "--held-out", "1", "--epochs", "1"]
    arguments += ["--augmented-epochs", "1", "--out", str(path)]
    assert pretrain.main(arguments) == 0
    head_path, record_path = pretrain.beside(path)
    record = json.loads(record_path.read_text())
    assert record["training_pictures"] == 2 * len(toypets.ZOO)
    assert record["held_out_pictures"] == len(toypets.ZOO)
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["head_sha256"] == hashlib.sha256(head_path.read_bytes()).hexdigest()
    found = measure.Interval(**record["held_out_accuracy"])
    assert found.percent() in capsys.readouterr().out
    # What was saved is what was trained, and it moved away from where it started.
    trained = models.load_base("toy", 64, path)
    keras.utils.set_random_seed(record["recipe"]["seed"])
    start = models.toy_base(64, None)
    for layer in trained.layers:
        for now, then in zip(
            layer.get_weights(), start.get_layer(layer.name).get_weights(), strict=True
        ):
            assert not np.array_equal(now, then)


def test_the_shipped_base_is_the_recorded_one() -> None:
    assert pretrain.beside(TOY_WEIGHTS) == (TOY_HEAD, TOY_RECORD)
    record = json.loads(TOY_RECORD.read_text())
    assert TOY_WEIGHTS.stat().st_size <= 2_000_000
    assert record["sha256"] == hashlib.sha256(TOY_WEIGHTS.read_bytes()).hexdigest()
    assert record["head_sha256"] == hashlib.sha256(TOY_HEAD.read_bytes()).hexdigest()
    assert record["toypets_version"] == toypets.VERSION
    assert record["species"] == list(toypets.ZOO)
    assert record["recipe"] == {**vars(pretrain.Recipe())}
    assert models.toy_base().count_params() == record["parameters"]


def test_the_shipped_base_sees_what_the_zoo_is_made_of() -> None:
    """Nearest class mean on its features, of pictures it never saw, against the same at random."""
    numbers = range(50_000, 50_030)
    pictures, labels = pretrain.zoo_images(numbers, size=64, seed=11)

    def accuracy(base: keras.Model) -> float:
        features = base.predict(pictures, batch_size=90, verbose=0).mean(axis=(1, 2))
        features = (features - features.mean(0)) / (features.std(0) + 1e-6)
        by_species = features.reshape(len(toypets.ZOO), len(numbers), -1)
        means = by_species[:, :20].mean(axis=1)
        rest = by_species[:, 20:].reshape(-1, features.shape[1])
        nearest = np.argmin(((rest[:, None] - means[None]) ** 2).sum(-1), axis=1)
        return float((nearest == np.repeat(np.arange(len(toypets.ZOO)), 10)).mean())

    keras.utils.set_random_seed(0)
    assert accuracy(models.toy_base(64)) > 3 * accuracy(models.toy_base(64, None))
    assert set(labels) == set(pretrain.kinds())
