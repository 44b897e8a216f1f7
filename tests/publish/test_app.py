"""What the app shows for a file, which models it takes, and what it says without Gradio."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from cvlab.cache import cache_root
from cvlab.data import load_pets
from cvlab.evaluation import measure, predict
from cvlab.profiles import get
from cvlab.publish import app, command


def tiny() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="tiny",
    )


def test_a_photo_gets_its_heatmap_class_and_confidence(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    shown, message = app.answer(tiny(), str(tmp_path / "photo.png"), 2.0)
    expected = predict.predict_file(tiny(), tmp_path / "photo.png", temperature=2.0)
    np.testing.assert_array_equal(shown, expected.overlay)
    percent = 100 * expected.probability
    assert message == f"## {expected.name}\n\nConfidence: {percent:.1f} %"


def test_a_bad_file_gets_a_reason_in_which_nothing_is_markup(tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=alert(1)>*_`[a](b).jpg"
    file.write_bytes(b"<script>")
    shown, message = app.answer(tiny(), str(file))
    assert shown is None
    assert message.startswith("**No prediction.** ")
    assert "not an image in a known format" in message
    assert not set(message.removeprefix("**No prediction.** ")) & set("<>*_`[]")
    assert app.answer(tiny(), None) == (None, "")


def test_a_model_file_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    model = tiny()
    model.save(tmp_path / "pets.keras")
    images = np.zeros((2, 16, 16, 3), np.uint8)
    loaded = app.load_model(tmp_path / "pets.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )


def test_files_that_hold_no_classifier_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras: write one with `model\.save"):
        app.load_model(tmp_path / "nowhere.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(ValueError, match="does not hold a model that Keras can load"):
        app.load_model(tmp_path / "text.keras")
    other = keras.Sequential([keras.Input((4,)), layers.Dense(1)], name="other")
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="other goes from"):
        app.load_model(tmp_path / "other.keras")
    code = keras.Sequential([keras.Input((16, 16, 3)), layers.Lambda(lambda x: x)])
    code.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="Keras reports"):
        app.load_model(tmp_path / "code.keras")


def test_without_gradio_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny().save(tmp_path / "pets.keras")
    monkeypatch.setitem(sys.modules, "gradio", None)  # as if it were not installed
    assert command.main(["app", "--model", str(tmp_path / "pets.keras")]) == 1
    assert "pip install -e '.[app]'" in capsys.readouterr().err


def test_the_model_of_the_drawings_is_trained_once_and_calibrated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Features come from the usual cache; the model itself is made again, with fewer epochs."""
    monkeypatch.setattr(app, "_EPOCHS", 1)
    monkeypatch.setattr(app, "_VERSION", "a test's")
    monkeypatch.setattr(app, "cache_root", lambda: tmp_path)
    model = app.drawn_model()
    pets = load_pets(get("quick"), image_size=64)
    predicted = model.predict(pets.test.images[:400], verbose=0)
    assert measure.accuracy((predicted > 0.5).astype(int), pets.test.labels[:400]).low > 0.65
    monkeypatch.setattr(app, "_tuned", None)  # would fail if it were called
    np.testing.assert_array_equal(
        app.drawn_model().predict(pets.test.images[:400], verbose=0), predicted
    )
    assert cache_root() != tmp_path
