"""The command that makes the shipped features: what it writes, and that it is what is shipped."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cvlab.data import load_images, load_photo_features
from cvlab.data.photo_features import PREPROCESSINGS
from cvlab.experiments import photo_features
from cvlab.models import load_base
from tests.small_photos import EACH, TINY, kaggle, tiny, zip_of


def test_the_command_writes_the_mean_of_each_channel_for_both_preprocessings(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = zip_of(tmp_path / "train.zip", kaggle(EACH, EACH))
    monkeypatch.setattr(photo_features, "BASES", ("toy",))
    monkeypatch.setattr(photo_features, "IMAGE_SIZE", 32)
    monkeypatch.setattr(photo_features, "load_images", partial(load_images, per_class=TINY))
    command = ["--photos", str(photos), "--out"]
    assert photo_features.main([*command, str(tmp_path / "out")]) == 0
    file = tmp_path / "out/toy.npz"

    base = load_base("toy", 32)
    pets = load_images(photos, image_size=32, per_class=TINY)
    own = base.predict(pets.train.images, verbose=0).mean(axis=(1, 2))
    # The toy base takes -1 to 1, so 127.5 (x + 1) undoes its preprocessing: it sees x.
    undone = 127.5 * (pets.train.images / np.float32(255) + 1)
    rescaled = base.predict(undone, verbose=0).mean(axis=(1, 2))
    with np.load(file) as stored:
        assert stored["own_train"].dtype == np.float16
        assert stored["file_names_test"].tolist() == list(pets.test.file_names)
        for name, expected in (("own", own), ("rescaled", rescaled)):
            step = photo_features.step_of(expected)
            error = np.abs(stored[f"{name}_train"] - expected)
            assert (error <= step / 2 + 1e-4).all()

    assert photo_features.main([*command, str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/toy.npz").read_bytes() == file.read_bytes()


def test_features_are_rounded_to_less_than_a_thirtieth_of_their_spread(
    tmp_path: Path, cache: Path
) -> None:
    pets = tiny(zip_of(tmp_path / "train.zip", kaggle()))
    random = np.random.default_rng(0)
    sets = {
        "own": {split: random.gamma(0.5, 8, (len(getattr(pets, split)), 300)) for split in TINY}
    }
    photo_features.write(tmp_path / "some.npz", sets, pets)
    values = sets["own"]["train"]
    step = photo_features.step_of(values)
    assert values.std() / 64 < step <= values.std() / 32
    with np.load(tmp_path / "some.npz") as stored:
        error = np.abs(stored["own_train"] - values)
        # Half a step, and half of float16's unit in the last place: 11 bits.
        assert (error <= step / 2 + values * 2**-11).all()


@pytest.fixture(params=photo_features.BASES)
def base_and_weights(request: pytest.FixtureRequest) -> tuple[str, Path]:
    fixture = "vgg16_weights" if request.param == "VGG16" else "real_weights"
    return request.param, request.getfixturevalue(fixture)


def test_the_shipped_features_are_those_of_the_real_photos(
    real_photos: Path, base_and_weights: tuple[str, Path]
) -> None:
    name, weights = base_and_weights
    base = load_base(name, photo_features.IMAGE_SIZE, weights)
    pets = load_images(real_photos, image_size=photo_features.IMAGE_SIZE)
    for preprocessing in PREPROCESSINGS:
        shipped = load_photo_features(name.partition("(")[0], preprocessing)
        step = photo_features.step_of(shipped.train.features)
        model = photo_features.pooled(base, preprocessing)
        for split in shipped._fields:
            stored = getattr(shipped, split)
            assert stored.file_names == getattr(pets, split).file_names
            found = model.predict_on_batch(getattr(pets, split).images[-8:])
            # Rounding, and a hundredth of it for another order of summation.
            np.testing.assert_allclose(stored.features[-8:], found, rtol=1e-3, atol=0.51 * step)
