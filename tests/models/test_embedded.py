"""The embedded base has VGG16's architecture, at a smaller size."""

from typing import Any

import keras
import numpy as np
import pytest

from cvlab.models import load_base, toy_base
from cvlab.models.embedded import TOY_CHANNELS


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_toy_base_is_named_as_vgg16() -> None:
    base = toy_base(64, None)
    vgg = load_base("VGG16", 64, None)
    ours = [layer.name for layer in base.layers]
    assert ours[:2] == ["pictures", "preprocessing"]
    assert ours[2:] == [
        name for name in (layer.name for layer in vgg.layers[2:]) if not name.endswith("conv3")
    ]
    assert base.output.shape == (None, 2, 2, 128)
    counts = [layer.count_params() for layer in base.layers if "conv1" in layer.name]
    assert counts == [9 * a * b + b for a, b in zip((3, *TOY_CHANNELS), TOY_CHANNELS, strict=False)]


def test_the_toy_base_sees_minus_one_to_one() -> None:
    base = toy_base(64, None)
    scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
    ends = np.stack([np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)])
    assert [array(scaled(ends)).min(), array(scaled(ends)).max()] == [-1, 1]


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="below 32"):
        toy_base(31, None)
