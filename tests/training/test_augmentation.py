"""`Augment` against SciPy, a product of matrices written out, and closed forms."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from numpy.typing import NDArray
from scipy import ndimage, stats

from cvlab.training.augmentation import (
    FILL_MODES,
    LECTURE_OPTIONS,
    Augment,
    Transforms,
    affine_matrix,
    augment_all,
    preview,
    resample,
    sweep,
)

Array: TypeAlias = NDArray[Any]
Option: TypeAlias = Any

HEIGHT, WIDTH = 21, 30
SCIPY_MODES = {
    "nearest": "nearest",
    "reflect": "reflect",
    "constant": "grid-constant",
    "wrap": "grid-wrap",
}
DRAWS = 20_000
# No fixed seed of a correct generator may fail: each bound below is missed by chance once in
# 10^9 seeds.
RARE = 1e-9

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tests TensorFlow's tf.data or tf.function"
)


def photo(height: int = HEIGHT, width: int = WIDTH, channels: int = 3, seed: int = 0) -> Array:
    noise = np.random.default_rng(seed).random((height, width, channels))
    return np.float32(255) * noise.astype("float32")


def one(**changes: float) -> Transforms:
    still = dict.fromkeys(Transforms._fields, 0.0) | {"width_zoom": 1.0, "height_zoom": 1.0}
    return Transforms(**{k: np.asarray([v]) for k, v in (still | changes).items()})


def apply(image: Array, transforms: Transforms, **options: Option) -> Array:
    batch = np.repeat(image[None], len(np.asarray(transforms.flip)), axis=0)
    return np.asarray(ops.convert_to_numpy(Augment(**options).transform(batch, transforms)))


def as_in_fit(layer: Augment) -> Callable[[Array, Transforms], Array]:
    """The layer's `transform` as `fit` runs it: from within a graph on TensorFlow, so compiled."""
    transform = layer.transform
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        transform = tf.function(transform)
    return lambda *batch: np.asarray(ops.convert_to_numpy(transform(*batch)))


def legacy_matrix(transform: dict[str, float], height: int, width: int) -> Array:
    """ImageDataGenerator's matrix from its steps: (column, row, 1) of output to input, float64."""
    theta, shear = np.deg2rad(transform["rotation"]), np.deg2rad(transform["shear"])
    rotation = np.array(
        [[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]]
    )
    # The generator's tx and ty are the offsets it reads at, so a shift to the right is negative.
    tx, ty = -transform["width_shift"] * width, -transform["height_shift"] * height
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    shearing = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    zoom = np.diag([transform["width_zoom"], transform["height_zoom"], 1])
    x, y = width / 2 - 0.5, height / 2 - 0.5
    to_center = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    from_center = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    # It flips the finished picture: an output column is first exchanged, then looked up.
    flip = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) if transform["flip"] else np.eye(3)
    matrix: Array = to_center @ rotation @ shift @ shearing @ zoom @ from_center @ flip
    return matrix


def scipy_warp(image: Array, matrix: Array, mode: str) -> Array:
    """Resample with SciPy; `matrix` maps (column, row, 1), SciPy wants (row, column)."""
    rows_first = matrix[[1, 0]][:, [1, 0, 2]]
    warp = partial(ndimage.affine_transform, order=1, mode=mode)
    planes = [
        warp(plane.astype("float64"), rows_first[:, :2], rows_first[:, 2])
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(planes, axis=-1)


def random_transforms(count: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "rotation": rng.uniform(-180, 180),
            "width_shift": rng.uniform(-0.5, 0.5),
            "height_shift": rng.uniform(-0.5, 0.5),
            "shear": rng.uniform(-60, 60),
            "width_zoom": rng.uniform(0.3, 2),
            "height_zoom": rng.uniform(0.3, 2),
            "flip": float(rng.integers(2)),
        }
        for _ in range(count)
    ]


def stacked(transforms: list[dict[str, float]]) -> Transforms:
    return Transforms(**{k: np.asarray([t[k] for t in transforms]) for k in Transforms._fields})


# --- each option alone, against a reference that knows nothing of affine matrices --------------


@pytest.mark.parametrize("degrees", [-40.0, 7.5, 90.0])
def test_rotation_equals_scipys_rotate(degrees: float) -> None:
    image = photo(31, 31)
    expected = ndimage.rotate(image, degrees, reshape=False, order=1, mode="nearest")
    np.testing.assert_allclose(apply(image, one(rotation=degrees)), expected[None], atol=0.02)


def test_positive_rotation_is_counterclockwise() -> None:
    image = photo(9, 9)
    turned = apply(image, one(rotation=90.0))[0]
    np.testing.assert_allclose(turned, np.rot90(image), atol=0.02)


@pytest.mark.parametrize("pixels", [-3.0, 2.5])
def test_shifts_equal_scipys_shift(pixels: float) -> None:
    image = photo()
    right = ndimage.shift(image, (0, pixels, 0), order=1, mode="nearest")
    down = ndimage.shift(image, (pixels, 0, 0), order=1, mode="nearest")
    np.testing.assert_allclose(apply(image, one(width_shift=pixels / WIDTH))[0], right, atol=0.01)
    np.testing.assert_allclose(apply(image, one(height_shift=pixels / HEIGHT))[0], down, atol=0.01)


def test_shear_moves_each_row_by_the_sine_of_its_angle() -> None:
    degrees, height, width = 20.0, 15, 60
    # On a ramp of columns the value read is the position read from.
    image = np.tile(np.arange(width, dtype="float32"), (height, 1))[..., None]
    sheared = apply(image, one(shear=degrees))[0, :, :, 0]
    distance = np.arange(height) - (height - 1) / 2
    expected = np.arange(width) - math.sin(math.radians(degrees)) * distance[:, None]
    np.testing.assert_allclose(sheared[:, 5:-5], expected[:, 5:-5], atol=1e-4)
    # The rows themselves are read cos(shear) apart.
    ramp = np.repeat(np.arange(height, dtype="float32"), width).reshape(height, width, 1)
    rows = apply(ramp, one(shear=degrees))[0, :, 30, 0]
    expected_rows = (height - 1) / 2 + math.cos(math.radians(degrees)) * distance
    np.testing.assert_allclose(rows, expected_rows, atol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 1.25])
def test_zoom_reads_pixels_factor_apart(factor: float) -> None:
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    positions = np.stack([columns, rows], axis=-1).astype("float32")
    wide = apply(positions, one(width_zoom=factor))[0]
    high = apply(positions, one(height_zoom=factor))[0]
    x, y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    expected_columns = np.clip(x + factor * (columns - x), 0, WIDTH - 1)
    expected_rows = np.clip(y + factor * (rows - y), 0, HEIGHT - 1)
    np.testing.assert_allclose(wide, np.stack([expected_columns, rows], -1), atol=1e-4)
    np.testing.assert_allclose(high, np.stack([columns, expected_rows], -1), atol=1e-4)


def test_flip_is_numpys_fliplr_to_the_bit() -> None:
    image = photo()
    assert np.array_equal(apply(image, one(flip=1.0))[0], np.fliplr(image))


def test_lecture_shear_of_a_fifth_of_a_degree_is_nothing() -> None:
    size = 150
    ramp = np.tile(np.arange(size, dtype="float32"), (size, 1))[..., None]

    def farthest(degrees: float) -> float:
        moved = apply(ramp, one(shear=degrees))[0]
        return float(np.abs(moved - ramp)[:, 20:-20].max())

    assert farthest(0.2) < 0.3
    assert farthest(math.degrees(0.2)) == pytest.approx(74.5 * math.sin(0.2), abs=1e-3)


# --- all options together -----------------------------------------------------------------------

angles = st.floats(-180, 180)
shares = st.floats(-0.9, 0.9)
factors = st.floats(0.1, 3)


@given(
    rotation=angles,
    width_shift=shares,
    height_shift=shares,
    shear=st.floats(-80, 80),
    width_zoom=factors,
    height_zoom=factors,
    flip=st.sampled_from([0.0, 1.0]),
)
def test_matrix_equals_the_generators_product(**transform: float) -> None:
    matrix = ops.convert_to_numpy(affine_matrix(one(**transform), 150, 200))[0]
    expected = legacy_matrix(transform, 150, 200)[:2]
    np.testing.assert_allclose(matrix[:, :2], expected[:, :2], atol=1e-5)
    np.testing.assert_allclose(matrix[:, 2], expected[:, 2], atol=2e-3)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_composed_pictures_equal_scipy_up_to_and_beyond_the_border(fill_mode: str) -> None:
    image, transforms = photo(), random_transforms(24, seed=3)
    layer = Augment(fill_mode=fill_mode)
    ours = as_in_fit(layer)(np.stack([image] * 24), stacked(transforms))
    for picture, transform in zip(ours, transforms, strict=True):
        matrix = legacy_matrix(transform, HEIGHT, WIDTH)
        expected = scipy_warp(image, matrix, SCIPY_MODES[fill_mode])
        np.testing.assert_allclose(picture, expected, atol=0.05)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_zero_strength_is_the_identity_to_the_bit(fill_mode: str) -> None:
    batch = np.stack([photo(seed=1), photo(seed=2)]).astype("uint8")
    layer = Augment(fill_mode=fill_mode)
    nothing_drawn = layer.draw(2)
    for result in (layer(batch, training=True), as_in_fit(layer)(batch, nothing_drawn)):
        assert keras.backend.standardize_dtype(result.dtype) == "uint8"
        assert np.array_equal(ops.convert_to_numpy(result), batch)
    nothing = affine_matrix(nothing_drawn, HEIGHT, WIDTH)
    same = resample(batch / np.float32(7), nothing, fill_mode=fill_mode)
    assert np.array_equal(ops.convert_to_numpy(same), batch / np.float32(7))


# --- dtypes and shapes --------------------------------------------------------------------------


@pytest.mark.parametrize("fill_mode", ["nearest", "constant"])
def test_integer_pictures_are_the_float_result_rounded(fill_mode: str) -> None:
    image, transforms = photo().astype("uint8"), stacked(random_transforms(8, seed=5))
    levels = apply(image, transforms, fill_mode=fill_mode)
    exact = apply(image.astype("float32"), transforms, fill_mode=fill_mode)
    assert levels.dtype == np.uint8
    # 0.5 and the last bit of a float32 near 255.
    assert np.abs(levels - exact).max() <= 0.5 + 2**-15
    assert np.abs((levels - exact).mean()) < 0.02, "cut off instead of rounded: mean error 0.5"


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_dtype_is_kept_whatever_the_policy(dtype: str, policy: str) -> None:
    layer = Augment(**LECTURE_OPTIONS, seed=0, dtype=policy)
    batch = np.stack([photo(), photo()]).astype(dtype)
    for training in (True, False):
        result = layer(batch, training=training)
        assert keras.backend.standardize_dtype(result.dtype) == dtype
        assert tuple(result.shape) == batch.shape
    symbolic = layer(keras.Input((HEIGHT, WIDTH, 3), dtype=dtype))
    assert symbolic.dtype == dtype
    assert symbolic.shape == (None, HEIGHT, WIDTH, 3)


def test_half_precision_pictures_lose_no_precision_in_the_positions() -> None:
    # float16 counts whole numbers up to 2,048 only: positions computed in it would be off.
    image = photo(4, 3000).astype("float16")
    assert np.array_equal(apply(image, one(flip=1.0))[0], np.fliplr(image))


def test_one_picture_is_a_batch_of_one() -> None:
    image = photo().astype("uint8")
    alone = ops.convert_to_numpy(Augment(**LECTURE_OPTIONS, seed=9)(image, training=True))
    batch = ops.convert_to_numpy(Augment(**LECTURE_OPTIONS, seed=9)(image[None], training=True))
    assert alone.shape == image.shape
    assert np.array_equal(alone, batch[0])


@pytest.mark.parametrize("channels", [1, 5])
def test_channels_are_resampled_alike(channels: int) -> None:
    plane = photo(channels=1)
    result = apply(np.repeat(plane, channels, axis=-1), one(rotation=33.0, shear=5.0))[0]
    alone = apply(plane, one(rotation=33.0, shear=5.0))[0, ..., 0]
    for channel in range(channels):
        assert np.array_equal(result[..., channel], alone)


# --- what is drawn ------------------------------------------------------------------------------


def drawn(**options: Option) -> dict[str, Array]:
    draws = Augment(**options).draw(DRAWS)
    return {k: ops.convert_to_numpy(v).astype("float64") for k, v in draws._asdict().items()}


def test_parameters_are_uniform_over_their_ranges() -> None:
    draws = drawn(**LECTURE_OPTIONS | {"zoom_range": 0.4, "height_shift_range": 0.3}, seed=11)
    zoom = (0.6, 1.4)
    bounds = {
        "rotation": (-40, 40),
        "width_shift": (-0.2, 0.2),
        "height_shift": (-0.3, 0.3),
        "shear": (-0.2, 0.2),
        "width_zoom": zoom,
        "height_zoom": zoom,
    }
    # Dvoretzky, Kiefer, Wolfowitz and Massart: P(sup |F_n - F| > d) <= 2 exp(-2 n d^2).
    largest_distance = math.sqrt(math.log(2 / RARE) / (2 * DRAWS))
    for name, (low, high) in bounds.items():
        values = draws[name]
        margin = 1e-6 * max(abs(low), abs(high))
        assert low - margin <= values.min() and values.max() <= high + margin, name
        distance = stats.kstest(values, stats.uniform(low, high - low).cdf).statistic
        assert distance < largest_distance, name


def test_half_of_the_pictures_are_flipped_and_none_without_the_option() -> None:
    flips = drawn(horizontal_flip=True, seed=12)["flip"]
    assert set(np.unique(flips)) == {0.0, 1.0}
    # Hoeffding: P(|share - 1/2| > d) <= 2 exp(-2 n d^2).
    assert abs(flips.mean() - 0.5) < math.sqrt(math.log(2 / RARE) / (2 * DRAWS))
    assert not drawn(horizontal_flip=False, seed=12)["flip"].any()


def test_parameters_are_drawn_independently() -> None:
    draws = drawn(**LECTURE_OPTIONS, seed=13)
    correlations = np.corrcoef(np.stack(list(draws.values())))
    off_diagonal = correlations[~np.eye(len(draws), dtype=bool)]
    # For independent parameters sqrt(n) r is close to standard normal.
    assert np.abs(off_diagonal).max() < stats.norm.isf(RARE / 2) / math.sqrt(DRAWS)


def test_switching_an_option_on_does_not_change_what_the_others_draw() -> None:
    alone, together = drawn(rotation_range=40, seed=14), drawn(**LECTURE_OPTIONS, seed=14)
    assert np.array_equal(alone["rotation"], together["rotation"])
    for name in ("width_shift", "height_shift", "shear", "flip"):
        assert not alone[name].any(), name
    assert (alone["width_zoom"] == 1).all() and (alone["height_zoom"] == 1).all()


def test_seed_makes_the_sequence_reproducible() -> None:
    batch = np.repeat(photo()[None], 4, axis=0)

    def two_calls(seed: int) -> Array:
        layer = Augment(**LECTURE_OPTIONS, seed=seed)
        return np.stack([ops.convert_to_numpy(layer(batch, training=True)) for _ in range(2)])

    first = two_calls(seed=1)
    assert np.array_equal(first, two_calls(seed=1))
    assert not np.array_equal(first, two_calls(seed=2))
    versions = first.reshape(8, -1)
    assert len(np.unique(versions, axis=0)) == 8, "each picture has its own transform"


# --- as part of Keras ---------------------------------------------------------------------------


def small_network(augment: Augment) -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3), dtype="uint8"),
            augment,
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )


def test_inactive_at_inference() -> None:
    batch = np.stack([photo(), photo(seed=1)]).astype("uint8")
    layer = Augment(**LECTURE_OPTIONS, seed=0)
    for arguments in ({}, {"training": None}, {"training": False}):
        assert np.array_equal(ops.convert_to_numpy(layer(batch, **arguments)), batch)
    alone = keras.Sequential([keras.Input(batch.shape[1:], dtype="uint8"), layer])
    assert np.array_equal(alone.predict(batch, verbose=0), batch)


@pytest.mark.parametrize("jit_compile", ["auto", True, False])
def test_fit_trains_through_the_layer(jit_compile: str | bool) -> None:
    if keras.backend.backend() == "torch" and jit_compile is True:
        pytest.skip("torch.compile needs a C++ compiler at run time")
    network = small_network(Augment(**LECTURE_OPTIONS, seed=0))
    network.compile(optimizer="sgd", loss="mse", jit_compile=jit_compile)
    batch = np.stack([photo(seed=s) for s in range(6)]).astype("uint8")
    before = [ops.convert_to_numpy(w) for w in network.trainable_weights]
    history = network.fit(batch, np.ones((6, 1)), batch_size=4, epochs=2, verbose=0)
    after = [ops.convert_to_numpy(w) for w in network.trainable_weights]
    assert np.isfinite(history.history["loss"]).all()
    assert not np.array_equal(before[0], after[0])
    # Unlike Keras' own random layers, this one lets Keras compile the whole training step.
    assert jit_compile is not True or network.jit_compile


@needs_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_eager_graph_and_xla_agree(jit_compile: bool) -> None:
    import tensorflow as tf  # noqa: PLC0415

    batch, transforms = np.stack([photo()] * 8), stacked(random_transforms(8, seed=5))
    layer = Augment(fill_mode="reflect")
    compiled = tf.function(layer.transform, jit_compile=jit_compile)
    eager = resample(batch, affine_matrix(transforms, HEIGHT, WIDTH), fill_mode="reflect")
    np.testing.assert_allclose(compiled(batch, transforms), eager, atol=0.05)


@needs_tensorflow
def test_in_a_tf_data_pipeline_with_a_smaller_last_batch() -> None:
    import tensorflow as tf  # noqa: PLC0415

    pictures = np.stack([photo(seed=s) for s in range(7)]).astype("uint8")

    def run() -> Array:
        layer = Augment(**LECTURE_OPTIONS, seed=6)
        data = tf.data.Dataset.from_tensor_slices(pictures).batch(4)
        data = data.map(lambda images: layer(images, training=True))
        assert data.element_spec.shape == (None, HEIGHT, WIDTH, 3)
        assert data.element_spec.dtype == tf.uint8
        return np.concatenate([batch.numpy() for batch in data])

    first = run()
    assert first.shape == pictures.shape
    assert not np.array_equal(first, pictures)
    assert np.array_equal(first, run())
    layer = Augment(**LECTURE_OPTIONS)
    one_by_one = tf.data.Dataset.from_tensor_slices(pictures).map(lambda x: layer(x, training=True))
    assert next(iter(one_by_one)).shape == pictures.shape[1:]


def test_saved_and_loaded_layer_draws_the_same(tmp_path: Path) -> None:
    options: dict[str, Any] = LECTURE_OPTIONS | {"zoom_range": 0.3, "fill_mode": "constant"}
    network = small_network(Augment(**options, seed=21, name="augment"))
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras").get_layer("augment")
    assert isinstance(loaded, Augment)
    config = network.get_layer("augment").get_config()
    assert loaded.get_config() == config
    again = Augment.from_config(json.loads(json.dumps(config)))
    batch = np.stack([photo(), photo(seed=1)]).astype("uint8")
    results = [
        ops.convert_to_numpy(layer(batch, training=True))
        for layer in (network.get_layer("augment"), loaded, again)
    ]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotation_range": 200}, "rotation_range=200.*degrees"),
        ({"rotation_range": -1}, "rotation_range=-1"),
        ({"width_shift_range": 10}, "width_shift_range=10.*fraction of the width"),
        ({"height_shift_range": 1}, "height_shift_range=1.*fraction of the height"),
        ({"shear_range": 90}, "shear_range=90"),
        ({"zoom_range": 1}, "zoom_range=1.*below 1"),
        ({"fill_mode": "mirror"}, "fill_mode='mirror'.*nearest, reflect, constant, wrap"),
    ],
)
def test_wrong_options_say_what_to_pass(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augment(**options)


def test_a_range_must_be_a_number() -> None:
    pair: Any = (0.8, 1.2)
    with pytest.raises(TypeError, match=r"zoom_range=\(0.8, 1.2\) is not a number.*below 1"):
        Augment(zoom_range=pair)
    assert Augment(rotation_range=180).rotation_range == 180


def test_wrong_shapes_say_what_to_pass() -> None:
    with pytest.raises(ValueError, match="height, width, channels"):
        Augment()(np.zeros((4, 4), "uint8"), training=True)
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 3\).*one image"):
        preview(np.zeros((1, 4, 4, 3), "uint8"), Augment(), 2)
    with pytest.raises(ValueError, match="n=0"):
        preview(np.zeros((4, 4, 3), "uint8"), Augment(), 0)


# --- preview and sweep --------------------------------------------------------------------------


def test_other_layers_are_rounded_and_not_wrapped() -> None:
    class Shift(keras.layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return keras.ops.cast(x, "float32") + np.array([-0.6, 0.4, 0.6, 300], "float32")

    black = np.zeros((2, 2, 4), np.uint8)
    expected = np.broadcast_to(np.array([0, 0, 1, 255], np.uint8), black.shape)
    np.testing.assert_array_equal(preview(black, Shift(), 1)[1], expected)
    np.testing.assert_array_equal(augment_all(black[None], Shift())[0], expected)
    exact = augment_all(black[None].astype(np.float32), Shift())[0]
    np.testing.assert_allclose(exact[0, 0], [-0.6, 0.4, 0.6, 300], rtol=1e-6)


def test_zoom_takes_any_number() -> None:
    quarter: Any = np.float32(0.25)
    assert Augment(zoom_range=quarter).zoom_range == 0.25


def test_preview_shows_the_original_first() -> None:
    image = photo().astype("uint8")
    pictures = preview(image, Augment(**LECTURE_OPTIONS, seed=1), 4)
    assert pictures.shape == (5, HEIGHT, WIDTH, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures[0], image)
    assert len(np.unique(pictures.reshape(5, -1), axis=0)) == 5


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_augment_all_changes_every_picture_on_its_own(tmp_path: Path, dtype: str) -> None:
    images = np.stack([photo(6, 8, seed=k) for k in range(7)]).astype(dtype)
    np.save(tmp_path / "images.npy", images)
    on_disk = np.load(tmp_path / "images.npy", mmap_mode="r")
    mirrored = augment_all(on_disk, Augment(horizontal_flip=True, seed=1), batch_size=3)
    assert mirrored.dtype == dtype and not isinstance(mirrored, np.memmap)
    flips = [np.array_equal(new, old[:, ::-1]) for new, old in zip(mirrored, images, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(mirrored, images, strict=True)]
    assert all(one_of_both != other for one_of_both, other in zip(flips, kept, strict=True))
    assert 0 < sum(flips) < 7

    layer = Augment(**LECTURE_OPTIONS, seed=2)
    by_hand = [
        ops.convert_to_numpy(layer(images[k : k + 3], training=True)) for k in range(0, 7, 3)
    ]
    at_once = augment_all(images, Augment(**LECTURE_OPTIONS, seed=2), batch_size=3)
    assert np.array_equal(at_once, np.concatenate(by_hand))


def test_the_lectures_settings_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        LECTURE_OPTIONS["shear_range"] = 11.5  # type: ignore[index]


def test_sweep_moves_one_option_through_its_values() -> None:
    image = photo(16, 16).astype("uint8")
    pictures, labels = sweep(image, "rotation_range", [-90, 0, 90])
    assert labels == ["rotated -90°", "rotated +0°", "rotated +90°"]
    for picture, turns in zip(pictures, (-1, 0, 1), strict=True):
        assert np.array_equal(picture, np.rot90(image, turns))
    pictures, labels = sweep(image, "width_shift_range", [0, 0.25])
    assert labels == ["width +0", "width +0.25"]
    assert np.array_equal(pictures[1][:, 4:], image[:, :-4])
    pictures, labels = sweep(image, "height_shift_range", [-0.25], fill_mode="wrap")
    assert np.array_equal(pictures[0], np.roll(image, -4, axis=0))
    pictures, labels = sweep(image, "horizontal_flip", [False, True])
    assert labels == ["not flipped", "flipped"]
    assert np.array_equal(pictures[1], image[:, ::-1])
    pictures, labels = sweep(image, "zoom_range", [1, 2], fill_mode="constant")
    assert labels == ["zoom 1", "zoom 2"]
    assert not pictures[1][:3].any() and not pictures[1][:, -3:].any(), "2 shrinks the picture"
    pictures, labels = sweep(image, "shear_range", [0.2])
    assert labels == ["sheared +0.2°"]


def test_sweep_of_the_fill_modes_differs_only_beyond_the_border() -> None:
    image = photo().astype("uint8")
    pictures, labels = sweep(image, "fill_mode", FILL_MODES)
    assert labels == list(FILL_MODES)
    inside = apply(np.ones_like(image, dtype="float32"), one(rotation=30.0, width_shift=0.25),
                   fill_mode="constant")[0] > 1 - 1e-6  # fmt: skip
    assert 0.3 < inside.mean() < 0.9
    for picture in pictures[1:]:
        assert np.array_equal(picture[inside], pictures[0][inside])
        assert not np.array_equal(picture, pictures[0])


def test_sweep_names_the_options_there_are() -> None:
    with pytest.raises(ValueError, match=r"'brightness'.*rotation_range, .*fill_mode"):
        sweep(photo(), "brightness", [1])


def test_resample_reads_where_the_matrix_points() -> None:
    image = photo()[None]
    shift_by_one = np.asarray([[[1, 0, 1], [0, 1, 2]]])
    result = ops.convert_to_numpy(resample(image, shift_by_one))[0]
    np.testing.assert_allclose(result[:-2, :-1], image[0, 2:, 1:], atol=1e-4)
