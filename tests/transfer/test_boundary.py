"""The freeze boundary: the parts are the base, and training above it equals training end to end."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from cvlab import models, transfer
from cvlab.evaluation import explain
from cvlab.models import cost
from cvlab.transfer import boundary, features, freezing


def some(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def compiled(model: keras.Model, rate: float = 1e-3) -> keras.Model:
    model.compile(keras.optimizers.RMSprop(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


# --- The cut -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["toy", "VGG16", "MobileNet(alpha=0.25)", "ResNet50V2", "Xception"]
)
def test_the_parts_together_are_the_base(name: str) -> None:
    keras.utils.set_random_seed(0)
    base = models.load_base(name, 75, None)
    layer_name = transfer.last_block(base)
    lower, upper = transfer.split(base, layer_name)
    images = some(2, 75)
    np.testing.assert_allclose(
        upper.predict(lower.predict(images, verbose=0), verbose=0),
        base.predict(images, verbose=0),
        rtol=1e-4,
        atol=1e-5,
    )
    freezing.unfreeze_from(base, layer_name)
    trains = {weight.path for weight in base.trainable_weights}
    assert trains == {weight.path for weight in upper.trainable_weights}
    assert lower.trainable_weights == []
    # The same arrays, not copies of them.
    ids = {id(weight) for weight in base.weights}
    assert ids == {id(weight) for weight in [*lower.weights, *upper.weights]}


def test_vgg16_is_cut_behind_block4_pool() -> None:
    lower, upper = transfer.split(models.load_base("VGG16", 150, None), "block5_conv1")
    assert lower.output_shape == (None, 9, 9, 512)
    assert [layer.name for layer in upper.layers[1:]] == [
        "block5_conv1",
        "block5_conv2",
        "block5_conv3",
        "block5_pool",
    ]


def test_no_cut_where_a_shortcut_passes_by() -> None:
    base = models.load_base("ResNet50", 64, None)
    with pytest.raises(ValueError, match=r"shortcut.*conv5_block1_1_conv, conv5_block1_out"):
        transfer.split(base, "conv5_block1_2_conv")
    with pytest.raises(ValueError, match="it is the input"):
        transfer.split(base, "images")
    with pytest.raises(ValueError, match=r"no layer 'block5_conv1'; it has .*conv1_conv"):
        transfer.split(base, "block5_conv1")


def test_every_cut_that_is_offered_can_be_made() -> None:
    pictures = keras.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", name="a")(pictures)
    b = layers.Conv2D(4, 3, padding="same", name="b")(a)
    c = layers.Add(name="c")([a, b])
    d = layers.ReLU(name="d")(c)
    base = keras.Model(pictures, layers.Concatenate(name="e")([d, layers.ReLU(name="f")(d)]))
    assert boundary._cuts(base) == ["a", "b", "d", "f"]
    images = some(2, 8)
    for name in boundary._cuts(base):
        lower, upper = transfer.split(base, name)
        np.testing.assert_allclose(
            upper.predict(lower.predict(images, verbose=0), verbose=0),
            base.predict(images, verbose=0),
            rtol=1e-5,
        )
    for name in ("c", "e"):
        with pytest.raises(ValueError, match="Cut in front of one of a, b, d, f"):
            transfer.split(base, name)


def test_unknown_base_has_no_last_block() -> None:
    with pytest.raises(ValueError, match=r"last block of small_cnn.*vgg16"):
        transfer.last_block(models.small_cnn(64))


def test_what_is_no_layer_is_refused_and_not_overlooked() -> None:
    """An addition without a layer passes the boundary by, where only layers are looked at."""
    pictures = x = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 3, padding="same", name="low")(x)
    x = keras.layers.Conv2D(3, 3, padding="same", name="high")(x + pictures)
    base = keras.Model(pictures, x)
    with pytest.raises(ValueError, match=r"uses add.* between its layers"):
        transfer.split(base, "high")
    with pytest.raises(ValueError, match=r"uses add.* between its layers"):
        cost.depth(base)
    with pytest.raises(ValueError, match=r"uses add.* between its layers"):
        explain.cell_centers(base, "high", (8, 8))


# --- Training from the boundary ----------------------------------------------------------------


def run_in(name: str) -> keras.Model:
    """A base with random weights, and moving statistics that are not those of a fresh layer."""
    base = models.load_base(name, 32, None)
    rng = np.random.default_rng(1)
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            drift = rng.normal(scale=0.1, size=mean.shape)
            layer.set_weights([gamma, beta, mean + drift, variance * np.exp(drift)])
    return base


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("name", ["toy", "MobileNet(alpha=0.25)"])
def test_training_from_the_boundary_equals_end_to_end(
    tmp_path: Path, name: str, dropout: float
) -> None:
    images, labels = some(40, 32), np.tile([0.0, 1.0], 20)
    trained = []
    for from_boundary in (False, True):
        keras.utils.set_random_seed(0)  # the same weights, and the same dropout
        base = run_in(name)
        layer_name = transfer.last_block(base)
        freezing.unfreeze_from(base, layer_name)
        head = transfer.dense_head(base.output_shape[1:], dropout=dropout)
        before = freezing.snapshot(base)
        lower, upper = transfer.split(base, layer_name)
        inputs: NDArray[Any] = images
        if from_boundary:
            inputs = features.extract(images, lower, cache=tmp_path)
            model = keras.Sequential([keras.Input(inputs.shape[1:]), upper, head])
        else:
            model = keras.Sequential([keras.Input((32, 32, 3)), base, head])
        compiled(model, 3e-4)
        views = transfer.Views([inputs], labels, batch_size=8, seed=3)
        model.fit(views, epochs=3, verbose=0, shuffle=False, callbacks=[freezing.Guard(model)])
        moved = set(freezing.moved(base, before))
        assert moved == {weight.path for weight in upper.trainable_weights} != set()
        trained.append([weight.numpy() for weight in (*base.weights, *head.weights)])
        start = [before[weight.path] for weight in base.weights]
    for end_to_end, above in zip(*trained, strict=True):
        np.testing.assert_allclose(above, end_to_end, atol=1e-4, rtol=0)
    # The tolerance would not let a training pass that did nothing.
    far = max(np.abs(a - b).max() for a, b in zip(trained[0], start, strict=False))
    assert far > 5e-4


def test_batchnorm_above_the_boundary_stays_in_inference_mode() -> None:
    keras.utils.set_random_seed(0)
    base = run_in("MobileNet(alpha=0.25)")
    layer_name = transfer.last_block(base)
    freezing.unfreeze_from(base, layer_name)
    lower, upper = transfer.split(base, layer_name)
    maps = lower.predict(some(8, 32), verbose=0)
    training = keras.ops.convert_to_numpy(upper(maps, training=True))
    np.testing.assert_allclose(training, upper.predict(maps, verbose=0), rtol=1e-4, atol=1e-5)


def test_fine_tuned_network_is_saved_and_predicts_from_uint8_elsewhere(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    base = run_in("MobileNet(alpha=0.25)")
    freezing.unfreeze_from(base, transfer.last_block(base))
    lower, upper = transfer.split(base, transfer.last_block(base))
    head = transfer.pooled_head(base.output_shape[1:])
    images = some(16, 32)
    model = compiled(keras.Sequential([keras.Input(lower.output_shape[1:]), upper, head]))
    maps = lower.predict(images, verbose=0)
    model.fit(maps, np.tile([0.0, 1.0], 8), verbose=0)
    whole = keras.Sequential([keras.Input((32, 32, 3), dtype="uint8"), base, head])
    expected = model.predict(maps, verbose=0)
    np.testing.assert_allclose(whole.predict(images, verbose=0), expected, rtol=1e-4)
    whole.save(tmp_path / "whole.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import keras, numpy, cvlab.models\n"
        "model = keras.models.load_model('whole.keras')\n"
        "numpy.save('found.npy', model.predict(numpy.load('images.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-4)
