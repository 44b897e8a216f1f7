"""The command that measures export formats, on a small network."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cvlab.evaluation import exported
from cvlab.experiments import export_formats
from cvlab.models import load_base
from tests.needs import needs_tensorflow
from tests.publish.test_app import tiny


@needs_tensorflow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras runs on another backend")
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_every_format_is_written_or_named_as_absent(tmp_path: Path) -> None:
    model = tiny()
    before = model.get_weights()
    files, absent = export_formats.write_all(model, tmp_path)
    names = ["Keras", "SavedModel", "ONNX", "LiteRT", "LiteRT float16", "LiteRT int8", "Keras int8"]
    assert sorted([*files, *absent]) == sorted(names)
    assert set(absent) <= {"ONNX"}
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    rows = exported.compare(model, files, images, absent=absent)
    assert all(row.difference < 0.02 for row in rows if not row.note)
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_the_measured_model_has_learned_from_the_shipped_features() -> None:
    """MobileNet with random weights; only the head is trained."""
    model = export_formats.trained_model(load_base(export_formats.BASE, 64, weights=None))
    assert model.output_shape == (None, 1)
    kernel, _ = model.layers[-1].layers[-1].get_weights()
    assert kernel.shape == (768, 1)
    start = keras.initializers.GlorotUniform(seed=0)
    assert np.abs(kernel).max() > np.abs(np.asarray(start((768, 1)))).max()
