"""Every base by its name, on its own scale, with weights from Keras or from a file."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils
from keras.src.backend import config as keras_config
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from cvlab import precision
from cvlab.models import base_for, imagenet_classifier, load_base, toy_base, weights_file
from cvlab.models.bases import parse_base
from cvlab.profiles import PROFILES


def array(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def save_as_published(model: keras.Model, path: Path) -> None:
    """Write weights in the format of Keras' downloads, or in that of today."""
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def bases() -> Callable[[str], keras.Model]:
    """Each base built once, with random weights, for pictures of 96 pixels."""
    return functools.cache(lambda name: load_base(name, 96, None))


# Parameters without the top, as Keras' own list of its applications and the papers imply them.
COUNTS = {
    "VGG16": 14_714_688,
    "VGG19": 20_024_384,
    "ResNet50": 23_587_712,
    "ResNet50V2": 23_564_800,
    "InceptionV3": 21_802_784,
    "MobileNet": 3_228_864,
    "Xception": 20_861_480,
    "EfficientNetV2B0": 5_919_312,
    "MobileNetV3Large": 2_996_352,
    "MobileNetV3Small": 939_120,
}
MODULES = {
    "VGG16": keras.applications.vgg16,
    "VGG19": keras.applications.vgg19,
    "ResNet50": keras.applications.resnet,
    "ResNet50V2": keras.applications.resnet_v2,
    "InceptionV3": keras.applications.inception_v3,
    "MobileNet": keras.applications.mobilenet,
    "Xception": keras.applications.xception,
}


@pytest.mark.parametrize("name", COUNTS)
def test_every_base_has_its_parameters(name: str, bases: Callable[[str], keras.Model]) -> None:
    base = bases(name)
    assert base.count_params() == COUNTS[name]
    assert base.name == name.lower()
    assert not any(isinstance(layer, keras.Model) for layer in base.layers)


@pytest.mark.parametrize("name", MODULES)
def test_every_base_brings_pictures_to_its_own_scale(
    name: str, bases: Callable[[str], keras.Model]
) -> None:
    base = bases(name)
    scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
    colors = np.random.default_rng(3).integers(0, 256, (1, 96, 96, 3)).astype(np.uint8)
    by_keras = MODULES[name].preprocess_input(colors.astype(np.float32))
    np.testing.assert_allclose(array(scaled(colors)), by_keras, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["EfficientNetV2B0", "ConvNeXtTiny", "MobileNetV3Small"])
def test_families_that_scale_by_themselves_are_scaled_as_by_their_own_layers(name: str) -> None:
    base = load_base(name, 64, None)
    plain = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    plain.set_weights(base.get_weights())
    colors = np.random.default_rng(3).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    np.testing.assert_allclose(array(base(colors)), array(plain(colors)), atol=1e-4)


def test_convnext_has_its_parameters() -> None:
    """It nests small models, so it is not one flat model like the others."""
    assert load_base("ConvNeXtTiny", 64, None).count_params() == 27_820_128


@pytest.mark.parametrize(
    ("name", "top", "file"),
    [
        ("ConvNeXtTiny", False, "convnext_tiny_notop.h5"),
        ("ConvNeXtTiny", True, "convnext_tiny.h5"),
        ("MobileNetV3Small", False, "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
        ("MobileNetV3Large(alpha=0.75)", True, "weights_mobilenet_v3_large_224_0.75_float.h5"),
    ],
)
def test_newer_weights_lie_in_the_files_that_keras_writes(name: str, top: bool, file: str) -> None:
    assert weights_file(name, top=top).name == file


def test_vgg16_takes_blue_first(bases: Callable[[str], keras.Model]) -> None:
    base = bases("VGG16")
    scaled = keras.Model(base.inputs[0], base.get_layer("preprocessing").output)
    red = np.zeros((1, 96, 96, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(
        array(scaled(red))[0, 0, 0], [-103.939, -116.779, 255 - 123.68], rtol=1e-5
    )


def test_vgg16_base_is_the_lectures_table() -> None:
    base = load_base("VGG16", 150, None)
    rows = [
        (layer.name, layer.output.shape[1:], layer.count_params())
        for layer in base.layers
        if layer.name.startswith("block")
    ]
    assert rows == [
        ("block1_conv1", (150, 150, 64), 1792),
        ("block1_conv2", (150, 150, 64), 36928),
        ("block1_pool", (75, 75, 64), 0),
        ("block2_conv1", (75, 75, 128), 73856),
        ("block2_conv2", (75, 75, 128), 147584),
        ("block2_pool", (37, 37, 128), 0),
        ("block3_conv1", (37, 37, 256), 295168),
        ("block3_conv2", (37, 37, 256), 590080),
        ("block3_conv3", (37, 37, 256), 590080),
        ("block3_pool", (18, 18, 256), 0),
        ("block4_conv1", (18, 18, 512), 1180160),
        ("block4_conv2", (18, 18, 512), 2359808),
        ("block4_conv3", (18, 18, 512), 2359808),
        ("block4_pool", (9, 9, 512), 0),
        ("block5_conv1", (9, 9, 512), 2359808),
        ("block5_conv2", (9, 9, 512), 2359808),
        ("block5_conv3", (9, 9, 512), 2359808),
        ("block5_pool", (4, 4, 512), 0),
    ]
    assert base.count_params() == 14_714_688
    assert len(base.layers) == len(rows) + 2  # the pictures and their preprocessing


def test_bases_run_without_a_warning(
    pictures: np.ndarray, recwarn: pytest.WarningsRecorder
) -> None:
    base = load_base("MobileNet(alpha=0.25)", 64, None)
    base(pictures)
    base.predict(pictures, verbose=0)
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(
    ("written", "family", "options"),
    [
        ("VGG16", "VGG16", {}),
        (" vgg16 ", "VGG16", {}),
        ("mobilenet(alpha=0.75)", "MobileNet", {"alpha": 0.75}),
        ("MobileNet ( alpha = 0.5, dropout=0 )", "MobileNet", {"alpha": 0.5, "dropout": 0.0}),
        ("toy()", "toy", {}),
    ],
)
def test_bases_are_read_as_people_write_them(
    written: str, family: str, options: dict[str, float]
) -> None:
    assert parse_base(written) == (family, options)


def test_every_profile_names_a_base() -> None:
    named = {profile.name: parse_base(profile.base) for profile in PROFILES.values()}
    assert named == {
        "quick": ("toy", {}),
        "laptop": ("MobileNet", {"alpha": 0.75}),
        "lecture": ("VGG16", {}),
    }


def test_the_quick_profile_takes_the_embedded_base_whatever_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVLAB_WEIGHTS", str(tmp_path / "other.weights.h5"))
    monkeypatch.setenv("CVLAB_BASE", "VGG16")
    base = base_for(PROFILES["quick"])
    assert (base.name, base.input_shape) == ("toy_base", (None, 64, 64, 3))
    for ours, shipped in zip(base.get_weights(), toy_base().get_weights(), strict=True):
        np.testing.assert_array_equal(ours, shipped)


def test_a_fast_base_computes_in_bfloat16_and_gives_nearly_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype("uint8")
    exact = base_for(PROFILES["quick"])
    expected = keras.ops.convert_to_numpy(exact(images))
    for native in (True, False):
        monkeypatch.setattr(precision, "multiplies_bfloat16", lambda native=native: native)
        fast = base_for(PROFILES["quick"], fast=True)
        dtypes = {layer.compute_dtype for layer in fast.layers[1:-1]}
        assert dtypes == {"bfloat16" if native else "float32"}
        assert {weight.dtype for weight in fast.weights} == {"float32"}
        assert fast.output.dtype == "float32", "a head computes in float32"
        error = np.abs(keras.ops.convert_to_numpy(fast(images)) - expected).max()
        # Eight bits of precision in each of ten layers.
        assert error < (10 * 2**-8 if native else 1e-6) * expected.max()
    assert base_for(PROFILES["quick"]).layers[1].compute_dtype == "float32"


def test_the_environment_names_base_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = load_base("MobileNet(alpha=0.25)", 64, None)
    narrow.save_weights(tmp_path / "narrow.weights.h5")
    monkeypatch.setenv("CVLAB_WEIGHTS", str(tmp_path / "narrow.weights.h5"))
    with pytest.raises(ValueError, match=r"MobileNet\(alpha=0.75\).*make"):
        base_for(PROFILES["laptop"])
    monkeypatch.setenv("CVLAB_BASE", "mobilenet(alpha=0.25)")
    for name in ("laptop", "lecture"):
        base, size = base_for(PROFILES[name]), PROFILES[name].base_image_size
        assert base.input_shape == (None, size, size, 3)
        np.testing.assert_array_equal(base.get_weights()[0], narrow.get_weights()[0])
    assert base_for(PROFILES["laptop"], 96).input_shape == (None, 96, 96, 3)


def test_bases_save_and_load_with_their_preprocessing(tmp_path: Path, pictures: np.ndarray) -> None:
    base = load_base("MobileNet(alpha=0.25)", 64, None)
    base.save(tmp_path / "base.keras")
    again = keras.models.load_model(tmp_path / "base.keras")
    np.testing.assert_allclose(array(again(pictures)), array(base(pictures)), atol=1e-5)


def test_weights_from_a_file_come_through_the_same_door(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    for name in ("toy", "MobileNet(alpha=0.25)"):
        base = load_base(name, 64, None)
        path = tmp_path / f"{name}.weights.h5"
        base.save_weights(path)
        again = load_base(name, 64, path)
        np.testing.assert_allclose(array(again(pictures)), array(base(pictures)), atol=1e-6)


@pytest.mark.parametrize("suffix", ["_notop.h5", ".weights.h5"])
def test_vgg16_comes_from_a_file_as_keras_publishes_it(
    tmp_path: Path, bases: Callable[[str], keras.Model], suffix: str
) -> None:
    plain = keras.applications.VGG16(include_top=False, weights=None, input_shape=(96, 96, 3))
    path = tmp_path / f"vgg16{suffix}"
    save_as_published(plain, path)
    assert path.stat().st_size > 58_800_000
    base = load_base("VGG16", 96, path)
    for ours, written in zip(base.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, written)
    assert not np.array_equal(base.get_weights()[0], bases("VGG16").get_weights()[0])


def test_imagenet_weights_that_keras_has_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))  # read once, at import
    plain = load_base("MobileNet(alpha=0.25)", 128, None)
    file = weights_file("MobileNet(alpha=0.25)", 150)
    assert file == tmp_path / "models" / "mobilenet_2_5_224_tf_no_top.h5"
    file.parent.mkdir()
    save_as_published(plain, file)
    base = load_base("MobileNet(alpha=0.25)", 150)
    for ours, written in zip(base.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, written)
    assert not [w for w in recwarn if "input" in str(w.message)]


def test_an_imagenet_classifier_brings_its_scale_and_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    index = {str(number): [f"n{number}", f"class {number}"] for number in range(1000)}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", index)
    plain = keras.applications.MobileNet((128, 128, 3), alpha=0.25, weights=None)
    file = weights_file("MobileNet(alpha=0.25)", 128, top=True)
    assert file.name == "mobilenet_2_5_128_tf.h5"
    file.parent.mkdir()
    save_as_published(plain, file)
    classifier, names = imagenet_classifier("MobileNet(alpha=0.25)", 128)
    assert len(names) == 1000 and names[285] == "class 285"
    noise = np.random.default_rng(2).integers(0, 256, (2, 128, 128, 3)).astype(np.uint8)
    scaled = keras.applications.mobilenet.preprocess_input(noise.astype(np.float32))
    np.testing.assert_allclose(array(classifier(noise)), array(plain(scaled)), atol=1e-6)


def test_a_missing_top_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    with pytest.raises(FileNotFoundError, match="imagenet_classifier") as caught:
        imagenet_classifier("VGG16")
    file = weights_file("VGG16", top=True)
    assert file.name == "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", [*COUNTS, "MobileNet(alpha=0.75)", "MobileNet(alpha=0.5)"])
def test_missing_imagenet_weights_are_named_with_their_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[Path] = []

    def no_network(origin: str, target: str, *_: object) -> None:
        wanted.append(Path(target))
        raise URLError("Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    with pytest.raises(FileNotFoundError, match="not known") as caught:
        load_base(name, 160)
    assert wanted == [weights_file(name, 160)]
    assert str(wanted[0]) in str(caught.value)
    assert "WEIGHTS=" in str(caught.value)


def test_keras_folder_is_in_the_home_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME", raising=False)
    file = weights_file("xception")
    assert file.parent == Path.home() / ".keras" / "models"


def test_other_errors_of_keras_are_not_taken_for_a_missing_file() -> None:
    with pytest.raises(ValueError, match="at least 75x75"):
        load_base("InceptionV3", 74)
    with pytest.raises(ValueError, match=r"alpha=0\.6"):
        load_base("MobileNet(alpha=0.6)", 224)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    narrow = load_base("MobileNet(alpha=0.25)", 64, None)
    for suffix in ("_no_top.h5", ".weights.h5"):
        path = tmp_path / f"mobilenet_2_5{suffix}"
        save_as_published(narrow, path)
        for name in ("toy", "VGG16", "MobileNet(alpha=0.5)", "ResNet50V2"):
            with pytest.raises(ValueError, match="does not hold the weights") as caught:
                load_base(name, 64, path)
            assert str(path) in str(caught.value) and name in str(caught.value)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.h5"
    text.write_text("no weights")
    with pytest.raises(ValueError, match="does not hold the weights of toy"):
        load_base("toy", 64, text)
    pickle = tmp_path / "weights.pkl"
    pickle.write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="loaded safely"):
        load_base("toy", 64, pickle)


def test_mobilenet_with_real_weights(real_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVLAB_WEIGHTS", str(real_weights))
    monkeypatch.delenv("CVLAB_BASE", raising=False)
    base = base_for(PROFILES["laptop"], 128)
    plain = keras.applications.MobileNet(
        input_shape=(128, 128, 3), include_top=False, alpha=0.75, weights=str(real_weights)
    )
    noise = np.random.default_rng(1).integers(0, 256, (2, 128, 128, 3)).astype(np.uint8)
    scaled = keras.applications.mobilenet.preprocess_input(noise.astype(np.float32))
    by_keras = array(plain(scaled))
    assert by_keras.std() > 0.1
    np.testing.assert_allclose(array(base(noise)), by_keras, atol=1e-4)


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no base 'AlexNet'"):
        load_base("AlexNet", 64)
    for name in ("toy", "VGG16"):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.weights\.h5"):
            load_base(name, 64, tmp_path / "nowhere.weights.h5")
    with pytest.raises(ValueError, match="not an option with a number"):
        load_base("MobileNet(alpha=wide)", 64)
    with pytest.raises(ValueError, match="does not take these options"):
        load_base("VGG16(alpha=0.5)", 64, None)
    with pytest.raises(ValueError, match="takes no options"):
        load_base("toy(alpha=0.5)", 64)
    with pytest.raises(ValueError, match="no weights of the toy base"):
        weights_file("toy")


@pytest.mark.parametrize(
    ("image_size", "file_size"),
    [(127, 224), (128, 128), (160, 160), (192, 192), (224, 224), (256, 224)],
)
def test_mobilenet_has_a_file_for_each_of_four_sizes(image_size: int, file_size: int) -> None:
    file = weights_file("MobileNet(alpha=0.25)", image_size)
    assert file.name == f"mobilenet_2_5_{file_size}_tf_no_top.h5"
