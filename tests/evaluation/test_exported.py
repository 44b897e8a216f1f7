"""Exported models loaded back: same outputs, true sizes, and what is not installed is named."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cvlab.course import recorded
from cvlab.evaluation import exported
from tests.needs import needs_tensorflow

FORMATS = {
    "SavedModel": ("tf_saved_model", "folder", "tensorflow"),
    "ONNX": ("onnx", "model.onnx", "tf2onnx onnxruntime"),
    "LiteRT": ("litert", "model.tflite", "tensorflow"),
}
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras runs on another backend"
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (7, 12, 12, 3), np.uint8)
    return images // np.arange(1, 8, dtype=np.uint8)[:, None, None, None]


@needs_tensorflow
@on_tensorflow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_a_format_computes_the_same(
    tmp_path: Path, model: keras.Model, images: np.ndarray, name: str
) -> None:
    kind, file, packages = FORMATS[name]
    if missing := [one for one in packages.split() if find_spec(one) is None]:
        pytest.skip(f"{', '.join(missing)} is not installed: the extra export")
    model.export(tmp_path / file, format=kind, verbose=False)
    (row,) = exported.compare(model, {name: tmp_path / file}, images)
    assert row.difference < 1e-5
    assert row.changed == 0
    assert row.note == ""
    assert 0 < row.milliseconds < 1000
    run = exported.load(tmp_path / file)
    for image in images[:2, None].astype(np.float32):
        np.testing.assert_allclose(run(image), model.predict(image, verbose=0), atol=1e-5)


def test_size_difference_and_changed_classes_are_counted(
    tmp_path: Path, model: keras.Model, images: np.ndarray
) -> None:
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    kernel, bias = other.layers[-1].get_weights()
    other.layers[-1].set_weights([-kernel, -bias])
    model.save(tmp_path / "same.keras")
    other.save(tmp_path / "other.keras")
    files = {name: tmp_path / f"{name}.keras" for name in ("same", "other")}
    same, negated = exported.compare(model, files, images, absent={"ONNX": "why"}, repeats=2)[:2]
    p = model.predict(images, verbose=0)
    assert same.size == files["same"].stat().st_size
    assert same.difference < 1e-6
    assert same.changed == 0
    assert negated.difference == pytest.approx(np.abs(1 - 2 * p).max(), abs=1e-6)
    assert negated.changed == len(images)


def test_a_folder_is_as_large_as_all_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "inside" / "b").write_bytes(bytes(7))
    assert exported._size(tmp_path) == 17


def test_what_is_missing_becomes_a_row(
    tmp_path: Path, model: keras.Model, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    (tmp_path / "model.onnx").write_bytes(b"")
    files = {"ONNX": tmp_path / "model.onnx"}
    rows = exported.compare(model, files, images, absent={"LiteRT": "not available"})
    assert {row.name: row.note for row in rows} == {
        "ONNX": "onnxruntime is not installed: pip install -e '.[export]'",
        "LiteRT": "not available",
    }
    text = exported.table(rows)
    assert "ONNX   onnxruntime is not installed: pip install -e '.[export]'" in text
    assert text.splitlines()[0].split() == ["size", "difference", "class", "changed", "time"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'x.y'", name="x.y"), "x is not installed: pip"),
        (ImportError("This requires the tf2onnx module. You can"), "tf2onnx is not installed: pip"),
        (ValueError("only with the TensorFlow and PyTorch backends."), "not available with Keras"),
    ],
)
def test_an_attempt_notes_why_a_format_is_absent(error: Exception, reason: str) -> None:
    absent: dict[str, str] = {}
    with exported.attempt("format", absent):
        raise error
    assert absent["format"].startswith(reason)


def test_an_attempt_lets_other_errors_pass() -> None:
    absent: dict[str, str] = {}
    with pytest.raises(ValueError, match="wrong suffix"), exported.attempt("format", absent):
        raise ValueError("wrong suffix")
    assert absent == {}


@on_tensorflow
@pytest.mark.skipif(find_spec("tf2onnx") is not None, reason="tf2onnx is installed")
def test_what_keras_says_without_a_package_is_understood(
    tmp_path: Path, model: keras.Model
) -> None:
    absent: dict[str, str] = {}
    with exported.attempt("ONNX", absent):
        model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    assert absent["ONNX"].endswith("is not installed: pip install -e '.[export]'")


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.h5 is not an exported model: pass the folder"):
        exported.load(tmp_path / "model.h5")


def test_the_recorded_table_is_complete() -> None:
    title, rows = exported.recorded(recorded.FOLDER / "export.json")
    assert title.startswith("MobileNet(alpha=0.75) at 224 x 224 pixels, 100 real photos, ")
    names = ["Keras", "SavedModel", "ONNX", "LiteRT", "LiteRT float16", "LiteRT int8", "Keras int8"]
    assert [row.name for row in rows] == names
    assert all(row.note == "" and row.milliseconds > 0 for row in rows)
    assert len(exported.table(rows).splitlines()) == 8


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    row: dict[str, Any] = {"name": "a", "size": 5, "difference": 0.5, "changed": 1}
    file = tmp_path / "export.json"
    file.write_text(json.dumps({"title": "t", "rows": [{**row, "milliseconds": 2.0, "note": ""}]}))
    assert exported.recorded(file) == ("t", [exported.Measured("a", 5, 0.5, 1, 2.0)])


def test_8_bit_weights_are_for_tensorflow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="Keras runs on jax"):
        exported.litert_options("int8")
    absent: dict[str, str] = {}
    with exported.attempt("LiteRT int8", absent):
        exported.litert_options("int8")
    assert absent == {"LiteRT int8": "not available with Keras on jax"}
