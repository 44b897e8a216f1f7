"""The networks: the lecture's table, the base's plan, every base on its own scale."""

from pathlib import Path

import keras
import numpy as np
import pytest

from cvlab import zoo


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def test_small_cnn_is_the_lectures_table() -> None:
    rows = [
        (layer.output.shape[1:], layer.count_params())
        for layer in zoo.small_cnn(150).layers
        if layer.name != "rescaling"
    ]
    assert rows == [
        ((148, 148, 32), 896),
        ((74, 74, 32), 0),
        ((72, 72, 64), 18496),
        ((36, 36, 64), 0),
        ((34, 34, 128), 73856),
        ((17, 17, 128), 0),
        ((15, 15, 128), 147584),
        ((7, 7, 128), 0),
        ((6272,), 0),
        ((512,), 3211776),
        ((1,), 513),
    ]
    assert zoo.small_cnn(150).count_params() == 3453121


def test_small_cnn_takes_augmentation_and_dropout() -> None:
    network = zoo.small_cnn(64, dropout=0.5, augmentation=keras.layers.RandomFlip(name="augment"))
    names = [type(layer).__name__ for layer in network.layers]
    assert names[0] == "RandomFlip" and names[-3:] == ["Dropout", "Dense", "Dense"]
    assert network.layers[-3].rate == 0.5


def test_small_cnn_rescales_once(pictures: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    network = zoo.small_cnn(64)
    first = keras.Model(network.inputs[0], network.layers[1].output)
    kernel, bias = network.layers[1].get_weights()
    patch = pictures[0, :3, :3].astype(np.float64) / 255
    by_hand = np.maximum(np.einsum("hwc,hwcf->f", patch, kernel) + bias, 0)
    np.testing.assert_allclose(np.asarray(first(pictures))[0, 0, 0], by_hand, atol=1e-5)


def test_small_cnn_needs_46_pixels() -> None:
    assert zoo.small_cnn(46).output_shape == (None, 1)
    with pytest.raises(ValueError, match="below 46"):
        zoo.small_cnn(45)


def test_lenet5_has_the_papers_layers() -> None:
    network = zoo.lenet5()
    # Sizes and counts of C1, C5 and F6 as in the paper; C3 on all six maps: 16 * (5 * 5 * 6 + 1).
    expected = {
        "C1": ((28, 28, 6), 156),
        "S2": ((14, 14, 6), 0),
        "C3": ((10, 10, 16), 2416),
        "S4": ((5, 5, 16), 0),
        "C5": ((1, 1, 120), 48120),
        "F6": ((84,), 10164),
        "output": ((10,), 850),
    }
    for name, (shape, count) in expected.items():
        layer = network.get_layer(name)
        assert (tuple(layer.output.shape[1:]), layer.count_params()) == (shape, count)
    assert network.count_params() == 61706
    bright = np.full((2, 32, 32, 1), 255, np.uint8)
    probabilities = keras.ops.convert_to_numpy(network(bright))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_toy_base_is_named_as_vgg16() -> None:
    base = zoo.toy_base(64, None)
    vgg = zoo.load_base("VGG16", 64, None)
    ours = [layer.name for layer in base.layers]
    assert ours[:2] == ["pictures", "preprocessing"]
    assert ours[2:] == [
        name for name in (layer.name for layer in vgg.layers[2:]) if not name.endswith("conv3")
    ]
    assert base.output.shape == (None, 2, 2, 128)
    counts = [layer.count_params() for layer in base.layers if "conv1" in layer.name]
    assert counts == [
        9 * a * b + b for a, b in zip((3, *zoo.TOY_CHANNELS), zoo.TOY_CHANNELS, strict=False)
    ]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("toy", -1, 1),
        ("MobileNet", -1, 1),
        ("ResNet50V2", -1, 1),
        ("VGG16", -123.68, 255 - 103.939),
    ],
)
def test_every_base_brings_pictures_to_its_own_scale(name: str, low: float, high: float) -> None:
    base = zoo.load_base(name, 64, None)
    scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
    ends = np.stack([np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)])
    values = np.asarray(scaled(ends))
    assert values.min() == pytest.approx(low, abs=1e-3)
    assert values.max() == pytest.approx(high, abs=1e-3)


def test_vgg16_takes_blue_first() -> None:
    base = zoo.load_base("VGG16", 64, None)
    scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
    red = np.zeros((1, 64, 64, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(
        np.asarray(scaled(red))[0, 0, 0], [-103.939, -116.779, 255 - 123.68], rtol=1e-5
    )


def test_bases_save_and_load_with_their_preprocessing(tmp_path: Path, pictures: np.ndarray) -> None:
    base = zoo.load_base("MobileNet", 64, None, alpha=0.25)
    base.save(tmp_path / "base.keras")
    again = keras.models.load_model(tmp_path / "base.keras")
    np.testing.assert_allclose(again(pictures), base(pictures), atol=1e-5)


def test_weights_from_a_file_come_through_the_same_door(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    for name, options in (("toy", {}), ("MobileNet", {"alpha": 0.25})):
        base = zoo.load_base(name, 64, None, **options)
        path = tmp_path / f"{name}.weights.h5"
        base.save_weights(path)
        again = zoo.load_base(name, 64, path, **options)
        np.testing.assert_allclose(again(pictures), base(pictures), atol=1e-6)


def test_mobilenet_with_real_weights(real_weights: Path) -> None:
    base = zoo.load_base("MobileNet", 128, real_weights, alpha=0.75)
    plain = keras.applications.MobileNet(
        input_shape=(128, 128, 3), include_top=False, alpha=0.75, weights=str(real_weights)
    )
    ramp = np.random.default_rng(1).integers(0, 256, (1, 128, 128, 3)).astype(np.uint8)
    np.testing.assert_allclose(base(ramp), plain(ramp.astype(np.float32) / 127.5 - 1), atol=1e-4)


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no base 'AlexNet'"):
        zoo.load_base("AlexNet", 64)
    for name in ("toy", "VGG16"):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.weights\.h5"):
            zoo.load_base(name, 64, tmp_path / "nowhere.weights.h5")
    with pytest.raises(ValueError, match="below 32"):
        zoo.toy_base(31, None)
