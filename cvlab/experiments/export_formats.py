"""Measure every export format on MobileNet with ImageNet weights and real photos.

Needs the extra `export` and Keras on TensorFlow. Notebook 16 shows what this writes, because its
own network is so small that most of a time is the cost of the call.
"""

import argparse
import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from cvlab.course import machine, recorded
from cvlab.data import load_images, load_photo_features
from cvlab.evaluation import exported
from cvlab.models import load_base
from cvlab.transfer import pooled_head

BASE: Final = "MobileNet(alpha=0.75)"
FILE: Final = recorded.FOLDER / "export.json"
_FLOAT16, _INT8 = "LiteRT float16", "LiteRT int8"


def write_all(model: keras.Model, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Write a model in every format, in float32 and quantized.

    Args:
        model: The model; it does not change.
        folder: An existing folder.

    Returns:
        The files by name, and the reasons for those that could not be written.
    """
    files = {"Keras": folder / "model.keras"}
    absent: dict[str, str] = {}
    model.save(files["Keras"])
    for name, (file, options) in _exports().items():
        with exported.attempt(name, absent):
            model.export(folder / file, verbose=False, **options)
            files[name] = folder / file
    int8 = keras.models.clone_model(model)
    int8.set_weights(model.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for each layer that Keras does not quantize
        int8.quantize("int8")
    files["Keras int8"] = folder / "int8.keras"
    int8.save(files["Keras int8"])
    return files, absent


def _exports() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the file and the options of `model.export` by the name of the format."""
    return {
        "SavedModel": ("saved_model", {"format": "tf_saved_model"}),
        "ONNX": ("model.onnx", {"format": "onnx"}),
        "LiteRT": ("model.tflite", {"format": "litert"}),
        _FLOAT16: ("float16.tflite", exported.litert_options("float16")),
        _INT8: ("int8.tflite", exported.litert_options("int8")),
    }


def trained_model(base: keras.Model) -> keras.Model:
    """Put a classifier head on MobileNet, trained on the shipped features of real photos."""
    photos = load_photo_features("MobileNet")
    keras.utils.set_random_seed(0)
    head = pooled_head(base.output_shape[1:])
    on_means = keras.Sequential([keras.Input(photos.train.features.shape[1:]), head.layers[-1]])
    on_means.compile(keras.optimizers.RMSprop(1e-3), "binary_crossentropy")
    labels = photos.train.labels.astype(np.float32)
    on_means.fit(photos.train.features, labels, batch_size=20, epochs=8, verbose=0)
    return keras.Sequential([keras.Input(base.input_shape[1:]), base, head])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab export-formats", description=__doc__)
    parser.add_argument("--photos", default="photos", help="zip or folder of real photos")
    parser.add_argument("--weights", default="pretrained", help="file of MobileNet's weights")
    parser.add_argument("--size", type=int, default=224, help="of the photos, in pixels")
    parser.add_argument("--images", type=int, default=100, help="number of test photos")
    parser.add_argument("--out", type=Path, default=FILE, help="default: in the package")
    options = parser.parse_args(arguments)
    model = trained_model(load_base(BASE, options.size, options.weights))
    images = load_images(options.photos, image_size=options.size).test.images[: options.images]
    with tempfile.TemporaryDirectory() as folder:
        files, absent = write_all(model, Path(folder))
        rows = exported.compare(model, files, images, absent=absent, repeats=5)
    here = machine.check(gpu=False)
    title = (
        f"{BASE} at {options.size} x {options.size} pixels, {options.images} real photos, "
        f"{here.cores} cores, {date.today().isoformat()}"
    )
    content = {"title": title, "versions": here.packages, "rows": [asdict(row) for row in rows]}
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(title, exported.table(rows), sep="\n")
    return 0
