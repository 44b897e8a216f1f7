"""One image file to a class, a probability and a heatmap; and what other files get."""

import io
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from cvlab.data.decoding import BadImageError
from cvlab.evaluation import explain, predict

SIZE = 24


def classifier(*, inside: bool = True) -> keras.Model:
    """Compare the left half of an image with the right: class 1 if the left one is brighter."""
    convolution = layers.Conv2D(1, 1, name="brightness")
    halves = [layers.AveragePooling2D((SIZE, SIZE // 2)), layers.Flatten()]
    body = [layers.Rescaling(1 / 255), convolution, *halves]
    base = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *body], name="base")
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *([base] if inside else body),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    convolution.set_weights([np.full((1, 1, 3, 1), 1 / 3), np.zeros(1)])
    model.layers[-1].set_weights([np.array([[4.0], [-4.0]]), np.zeros(1)])
    return model


def halves(left: int, right: int, width: int = 60, height: int = 40) -> Image.Image:
    pixels = np.full((height, width, 3), right, np.uint8)
    pixels[:, : width // 2] = left
    return Image.fromarray(pixels)


def sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_class_and_probability_are_those_of_the_formula(
    tmp_path: Path, suffix: str, temperature: float
) -> None:
    for left, right, name in ((255, 51, "dog"), (51, 255, "cat")):
        halves(left, right).save(tmp_path / f"photo.{suffix}", quality=100)
        found = predict.predict_file(
            classifier(), tmp_path / f"photo.{suffix}", temperature=temperature
        )
        assert found.name == name
        # The edge between the halves is blurred by the same amount on either side.
        assert found.probability == pytest.approx(sigmoid(4 * 0.8 / temperature), abs=0.01)
        assert str(found) == f"{name}, {100 * found.probability:.1f} %"


def test_the_photo_is_shown_upright_in_its_own_shape_with_a_heatmap(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    file = tmp_path / "photo.png"
    halves(255, 51).transpose(Image.Transpose.ROTATE_90).save(file, exif=exif)
    found = predict.predict_file(classifier(), file, class_names=("right", "left"))
    assert found.name == "left"
    assert found.photo.shape == found.overlay.shape == (341, 512, 3)
    assert found.photo[:, :200].mean() > found.photo[:, -200:].mean() + 150


def test_what_drove_the_prediction_keeps_its_brightness(tmp_path: Path) -> None:
    convolution = layers.Conv2D(1, 1)
    output = layers.Dense(1, activation="sigmoid")
    body = [layers.Rescaling(1 / 255), convolution, layers.GlobalAveragePooling2D(), output]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *body])
    convolution.set_weights([np.full((1, 1, 3, 1), 1 / 3), np.zeros(1)])
    output.set_weights([np.array([[8.0]]), np.array([-2.0])])
    halves(255, 51).save(tmp_path / "photo.png")
    found = predict.predict_file(model, tmp_path / "photo.png")
    assert str(found) == f"dog, {100 * sigmoid(8 * 0.6 - 2):.1f} %"
    kept = found.overlay.astype(float).mean((0, 2)) / found.photo.mean((0, 2))
    assert kept[50:200].min() > 0.95
    # The heatmap is 1 on the bright half and 0.2 on the other.
    np.testing.assert_allclose(kept[-150:-50], 1 / 3 + 2 / 3 * 0.2, atol=0.02)


def test_the_heatmap_lies_where_an_unpadded_network_looked(tmp_path: Path) -> None:
    """A network without padding sees only the middle; stretched, its map would be shifted."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255)])
    model.add(layers.Conv2D(4, 9, activation="relu", name="conv"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(1, activation="sigmoid"))
    file = tmp_path / "photo.png"
    halves(255, 51, SIZE, SIZE).resize((512, 512)).save(file)
    found = predict.predict_file(model, file)
    image = np.array(Image.open(file).resize((SIZE, SIZE), Image.Resampling.BILINEAR))[None]
    (heatmap,) = explain.grad_cam(model, image)
    rows, columns = explain.cell_centers(model, "conv", (SIZE, SIZE))
    scaled = [(one + 0.5) * 512 / SIZE - 0.5 for one in (rows, columns)]
    expected = explain.overlay(found.photo, heatmap, (scaled[0], scaled[1]))
    np.testing.assert_array_equal(found.overlay, expected)
    assert np.any(found.overlay != explain.overlay(found.photo, heatmap))


def photo_bytes() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty (0 bytes)"),
        (
            b"a shopping list",
            "not an image in a known format; the file starts with b'a shopping l'",
        ),
        (photo_bytes()[:2000], "cannot be decoded: image file is truncated"),
        (bytes(predict.MAX_BYTES + 1), "is too large. Use a JPEG, PNG or WebP photo of at most 20"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be used: "),
    ],
    ids=["empty", "text", "half", "large", "a header alone"],
)
def test_what_is_no_photo_is_refused_with_a_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "given.jpg"
    file.write_bytes(content)
    with pytest.raises(BadImageError, match=r"given\.jpg (cannot be used|is too large)") as refusal:
        predict.predict_file(classifier(), file)
    assert reason in str(refusal.value)
    assert "Use a JPEG, PNG or WebP photo" in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)  # a web page shows it


def test_the_largest_file_that_is_allowed_is_read(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo_bytes().ljust(predict.MAX_BYTES, b"\0"))
    assert predict.predict_file(classifier(), file).name in {"cat", "dog"}


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (30_000, 10_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    with pytest.raises(BadImageError, match=r"bomb\.png cannot be used: .*pixels"):
        predict.predict_file(classifier(), tmp_path / "bomb.png")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.jpg", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"There is no file {path}: check the path"):
            predict.predict_file(classifier(), path)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_a_positive_number(tmp_path: Path, temperature: float) -> None:
    halves(9, 9).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="pass a number above 0"):
        predict.predict_file(classifier(), tmp_path / "photo.png", temperature=temperature)
    with pytest.raises(ValueError, match="pass a number above 0"):
        predict.fold_temperature(classifier(), temperature)


@pytest.mark.parametrize(
    ("shape", "outputs"), [((8, 9, 3), 1), ((8, 8, 1), 1), ((None, None, 3), 1), ((8, 8, 3), 2)]
)
def test_another_kind_of_model_is_refused(
    tmp_path: Path, shape: tuple[int | None, ...], outputs: int
) -> None:
    halves(9, 9).save(tmp_path / "photo.png")
    body = [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), layers.Dense(outputs)]
    model = keras.Sequential([keras.Input(shape), *body], name="other")
    with pytest.raises(ValueError, match=r"other goes from .* pass a model from square color"):
        predict.predict_file(model, tmp_path / "photo.png")


def test_an_output_that_is_no_probability_is_refused(tmp_path: Path) -> None:
    halves(255, 0).save(tmp_path / "photo.png")
    model = classifier(inside=False)
    model.layers[-1].activation = keras.activations.linear
    with pytest.raises(ValueError, match="which is not a probability"):
        predict.predict_file(model, tmp_path / "photo.png")


def test_a_folded_temperature_divides_the_logit_and_leaves_the_original() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)
    images[:3, :, : SIZE // 2] //= 4
    for model in (classifier(), classifier(inside=False)):
        model.layers[-1].set_weights([np.array([[4.0], [-4.0]]), np.array([0.7])])
        before = model.predict(images, verbose=0)
        folded = predict.fold_temperature(model, 3.0)
        expected = 1 / (1 + np.exp(-predict.logits(before) / 3.0))
        np.testing.assert_allclose(folded.predict(images, verbose=0), expected, atol=1e-6)
        np.testing.assert_array_equal(model.predict(images, verbose=0), before)


def test_a_head_is_found_inside_a_model_and_another_end_is_refused() -> None:
    head = keras.Sequential([keras.Input((2,)), layers.Dense(1, activation="sigmoid")])
    nested = keras.Sequential([*classifier(inside=False).layers[:-1], head])
    nested.build((None, SIZE, SIZE, 3))
    head.layers[-1].set_weights([np.array([[2.0], [4.0]]), np.array([6.0])])
    kernel, bias = predict.fold_temperature(nested, 2.0).layers[-1].get_weights()
    np.testing.assert_allclose([*kernel.ravel(), *bias], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"ends in flatten.*, a Flatten: the temperature"):
        predict.fold_temperature(keras.Sequential(classifier(inside=False).layers[:-1]), 2.0)


def test_logits_undo_a_sigmoid_and_stay_finite() -> None:
    z = np.array([-8.0, -0.5, 0.0, 3.0])
    np.testing.assert_allclose(predict.logits(1 / (1 + np.exp(-z))), z, atol=1e-9)
    bounded = predict.logits(np.array([[0.0], [1.0]], np.float32))
    assert bounded.shape == (2, 1)
    assert bounded[1, 0] == -bounded[0, 0] == pytest.approx(24 * np.log(2), rel=1e-6)
