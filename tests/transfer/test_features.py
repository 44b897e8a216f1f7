"""Features: the right numbers, once, whatever happens to the process or to the file."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers
from numpy.typing import NDArray
from scipy import stats

from cvlab import models
from cvlab.cache import SpaceError
from cvlab.cache.disk import SPARE_BYTES
from cvlab.training.augmentation import Augment, Transforms
from cvlab.transfer import features

BATCH = features.BATCH
SIZE = 8


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A 1 x 1 convolution, which NumPy computes as a matrix product, and a layer behind it."""
    keras.utils.set_random_seed(0)
    pictures = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 1, bias_initializer="random_normal", name="mix")(pictures)
    return keras.Model(pictures, layers.GlobalAveragePooling2D(name="mean")(x))


def some(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def mixed(images: NDArray[np.uint8], model: keras.Model) -> NDArray[np.float64]:
    kernel, bias = model.get_layer("mix").get_weights()
    return np.asarray(images.astype(np.float64) @ kernel[0, 0].astype(np.float64) + bias)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pictures in each batch that a network was run on."""
    seen: list[int] = []
    run = keras.Model.predict_on_batch

    def counted(model: keras.Model, x: Any) -> Any:
        seen.append(len(x[0] if isinstance(x, list) else x))
        return run(model, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", counted)
    return seen


def files(cache: Path) -> list[Path]:
    return sorted((cache / "features").glob("[0-9a-f]*/features.npy"))


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5])
def test_numbers_are_those_of_the_matrix_product(
    model: keras.Model, tmp_path: Path, count: int
) -> None:
    images = some(count)
    expected = mixed(images, model)
    found = features.extract(images, model, "mix", cache=tmp_path)
    assert found.shape == (count, SIZE, SIZE, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    pooled = features.extract(images, model, cache=tmp_path)
    np.testing.assert_allclose(pooled, expected.mean(axis=(1, 2)), rtol=1e-5, atol=1e-3)


def test_every_layer_of_a_base_equals_predict(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    base = models.toy_base(32, None)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    for layer in base.layers[1:]:
        cut = keras.Model(base.inputs[0], layer.output)
        found = features.extract(images, base, layer.name, cache=tmp_path)
        np.testing.assert_allclose(
            found, cut.predict(images, verbose=0), rtol=1e-4, atol=1e-4, err_msg=layer.name
        )


def test_real_base_on_a_real_photo_sized_batch(real_weights: Path, tmp_path: Path) -> None:
    base = models.load_base("MobileNet(alpha=0.75)", 96, real_weights)
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), np.uint8)
    np.testing.assert_allclose(
        features.extract(images, base, cache=tmp_path),
        base.predict(images, verbose=0),
        rtol=1e-3,
        atol=1e-3,
    )


def test_fast_features_are_kept_apart_and_differ_by_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvlab.precision.dtype_policy", lambda *, fast: "mixed_bfloat16")
    base = models.toy_base(32)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    exact = features.extract(images, base, cache=tmp_path)
    found = features.extract(images, base, fast=True, cache=tmp_path)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).mean() < 0.03 * exact.std()
    np.testing.assert_array_equal(exact, features.extract(images, base, cache=tmp_path))


def test_second_call_reads_the_file_and_runs_nothing(
    model: keras.Model, tmp_path: Path, passes: list[int]
) -> None:
    images = some(BATCH + 1)
    first = features.extract(images, model, cache=tmp_path)
    assert passes == [BATCH, BATCH]  # the last one filled up
    second = features.extract(images, model, cache=tmp_path)
    assert passes == [BATCH, BATCH]
    assert isinstance(second, np.memmap)
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 0
    assert len(files(tmp_path)) == 1


def test_names_and_flags_do_not_matter_but_everything_else_does(
    model: keras.Model, tmp_path: Path
) -> None:
    def build(
        *, name: str = "mix", scale: float = 1.0, dtype: str = "uint8", inner: bool = False
    ) -> tuple[keras.Model, NDArray[Any]]:
        first = layers.Conv2D(4, 1, name=name, activation="relu" if scale else None)
        parts = [first, layers.GlobalAveragePooling2D()]
        shape = keras.Input((SIZE, SIZE, 3))
        if inner:
            parts = [keras.Sequential([keras.Input((SIZE, SIZE, 3)), *parts])]
        twin = keras.Sequential([shape, *parts])
        first.set_weights([w * (scale or 1) for w in model.get_layer("mix").get_weights()])
        return twin, some(2).astype(dtype)

    def key(**changes: Any) -> set[str]:
        network, images = build(**changes)
        before = {file.parent.name for file in files(tmp_path)}
        features.extract(images, network, cache=tmp_path)
        return {file.parent.name for file in files(tmp_path)} - before

    assert len(key()) == 1
    assert key(name="another_name") == set()
    for change in (
        {"scale": 1.0001},
        {"scale": 0.0},
        {"dtype": "float32"},
        {"inner": True},
        {"inner": True, "scale": 2.0},
    ):
        assert len(key(**change)) == 1, change
        assert key(**change) == set(), change
    network, images = build()
    network.trainable = False
    features.extract(images, network, cache=tmp_path)
    assert len(files(tmp_path)) == 6


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 3 * SIZE * SIZE * 3 - 1), change=st.integers(1, 255))
def test_one_other_pixel_is_another_picture(
    model: keras.Model, tmp_path: Path, place: int, change: int
) -> None:
    images = some(3)
    features.extract(images, model, cache=tmp_path)
    images.reshape(-1)[place] ^= np.uint8(change)
    np.testing.assert_allclose(
        features.extract(images, model, cache=tmp_path),
        mixed(images, model).mean(axis=(1, 2)),
        rtol=1e-5,
        atol=1e-3,
    )


def test_which_layer_is_fed_by_which_is_part_of_the_key(tmp_path: Path) -> None:
    """The same layers with the same weights, joined the other way round."""
    double, triple = layers.Rescaling(2.0, offset=1.0), layers.Rescaling(3.0)
    images, results = some(2), []
    for order in ((double, triple), (triple, double)):
        pictures = x = keras.Input((SIZE, SIZE, 3))
        for layer in order:
            x = layer(x)
        results.append(features.extract(images, keras.Model(pictures, x), cache=tmp_path))
    np.testing.assert_allclose(results[0], 6.0 * images + 3)
    np.testing.assert_allclose(results[1], 6.0 * images + 1)


def test_same_layers_by_another_path_are_told_apart(tmp_path: Path) -> None:
    double, triple = layers.Rescaling(2.0), layers.Rescaling(3.0)
    images, results = some(2), []
    for chosen in ("double", "triple"):
        pictures = keras.Input((SIZE, SIZE, 3))
        a, b = double(pictures), triple(pictures)
        # Both layers are in both graphs; only the last one's input differs.
        both = layers.Subtract()([a, b] if chosen == "double" else [b, a])
        results.append(features.extract(images, keras.Model(pictures, both), cache=tmp_path))
    np.testing.assert_allclose(results[0], -1.0 * images)
    np.testing.assert_allclose(results[1], 1.0 * images)


def plus_layer(amount: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> type[keras.Layer]:
    """A layer of the reader's own, in a module of its own, whose code says what it adds."""
    # Each amount in a folder of its own, as if the file had been edited and Python started again.
    (folder / str(amount)).mkdir()
    (folder / str(amount) / "own_layer.py").write_text(
        "import keras\n\n\n"
        "class Plus(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        f"        return x + {amount}\n\n"
        "    def compute_output_shape(self, shape):\n"
        "        return shape\n"
    )
    monkeypatch.syspath_prepend(folder / str(amount))
    monkeypatch.delitem(sys.modules, "own_layer", raising=False)
    kind: type[keras.Layer] = importlib.import_module("own_layer").Plus
    return kind


def test_code_of_own_layers_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = some(2)
    for amount in (1, 2):
        layer = plus_layer(amount, tmp_path, monkeypatch)()
        network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layer])
        found = features.extract(images, network, cache=tmp_path / "cache")
        np.testing.assert_array_equal(found, images.astype(np.float32) + amount)


def test_code_of_own_layers_inside_others_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = some(2)
    for amount in (1, 2):
        wrapped = layers.TimeDistributed(plus_layer(amount, tmp_path, monkeypatch)())
        inputs = keras.Input((SIZE, SIZE, 3))
        network = keras.Model(inputs, wrapped(inputs))
        found = features.extract(images, network, cache=tmp_path / "cache")
        np.testing.assert_array_equal(found, images.astype(np.float32) + amount)


def test_own_layers_without_source_are_refused(tmp_path: Path) -> None:
    spaces: dict[str, Any] = {"keras": keras, "__name__": "nowhere"}
    exec("class Same(keras.layers.Layer):\n    def call(self, x):\n        return x\n", spaces)
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), spaces["Same"]()])
    with pytest.raises(ValueError, match=r"Same.*define the class in a module"):
        features.extract(some(1), network, cache=tmp_path)


# --- Interruptions and damage ------------------------------------------------------------------


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_interrupted_work_goes_on_where_it_stopped(
    model: keras.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    passes: list[int],
    done: int,
) -> None:
    images = some(3 * BATCH + 5)
    whole = features.extract(images, model, "mix", cache=tmp_path / "undisturbed").tobytes()
    passes.clear()
    counted = keras.Model.predict_on_batch

    def interrupted(network: keras.Model, x: Any) -> Any:
        if len(passes) == done:
            raise KeyboardInterrupt
        return counted(network, x)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Model, "predict_on_batch", interrupted)
        features.extract(images, model, "mix", cache=tmp_path)
    assert files(tmp_path) == []
    found = features.extract(images, model, "mix", cache=tmp_path)
    assert len(passes) == 4
    assert found.tobytes() == whole


SCRIPT = """
import os, sys, time
import keras
from tests.transfer.test_features import views_of_a_small_network
run, passes = keras.Model.predict_on_batch, []
def slow(model, x):
    passes.append(1)
    print("pass", flush=True)
    time.sleep(float(sys.argv[1]))
    return run(model, x)
keras.Model.predict_on_batch = slow
print("ready", flush=True)
sys.stdin.readline()
digest = views_of_a_small_network(os.environ["CVLAB_CACHE"])
print("done", len(passes), digest, flush=True)
"""


def views_of_a_small_network(cache: str | Path) -> str:
    """Digest of one augmented view of 40 batches of pictures."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(8, 3)])
    augment = Augment(rotation_range=40, horizontal_flip=True, seed=5)
    (found,) = features.extract_views(
        some(40 * BATCH), network, augment=augment, views=1, cache=cache
    )
    return sha256(found.tobytes()).hexdigest()


def start(cache: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(seconds)],
        env={**os.environ, "CVLAB_CACHE": str(cache), "TQDM_DISABLE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def result(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Passes and digest of a process that ends well."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    word, passes, digest = output.splitlines()[-1].split()
    assert word == "done"
    return int(passes), digest


@pytest.mark.knocks
def test_killed_process_and_two_at_once(tmp_path: Path, passes: list[int]) -> None:
    """A process is killed in the middle; then two want the same at once, and one works."""
    expected = views_of_a_small_network(tmp_path / "undisturbed")
    assert passes == [BATCH] * 40
    passes.clear()
    cache = tmp_path / "shared"
    killed, other = start(cache, 0.05), start(cache, 0.01)
    go(killed)
    assert killed.stdout is not None
    for _ in range(7):
        assert killed.stdout.readline() == "pass\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert files(cache) == []
    go(other)
    assert views_of_a_small_network(cache) == expected
    others_passes, digest = result(other)
    assert digest == expected
    # Six batches were noted for sure before the seventh began; who came second read the file.
    counts = sorted([len(passes), others_passes])
    assert counts[0] == 0 and 20 < counts[1] <= 34


Damage = Callable[[Path], object]


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, Damage] = {
    "a bit of the last picture": lambda folder: flip(folder / "features.npy", -1),
    "a bit of the first picture": lambda folder: flip(folder / "features.npy", 128),
    "a bit of the header": lambda folder: flip(folder / "features.npy", 60),
    "cut short": lambda folder: os.truncate(folder / "features.npy", 5000),
    "cut to nothing": lambda folder: os.truncate(folder / "features.npy", 0),
    "longer than it was": lambda folder: (folder / "features.npy").open("ab").write(b"x"),
    "file gone": lambda folder: (folder / "features.npy").unlink(),
    "digests gone": lambda folder: (folder / "digests").unlink(),
    "digests cut short": lambda folder: os.truncate(folder / "digests", 100),
    "digests overwritten": lambda folder: (folder / "digests").write_bytes(b"\xff\xfe" * 99),
    "a pickle in its place": lambda folder: np.save(
        folder / "features.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_made_again(
    model: keras.Model, tmp_path: Path, passes: list[int], name: str
) -> None:
    images = some(2 * BATCH)
    before = np.array(features.extract(images, model, "mix", cache=tmp_path))
    assert len(passes) == 2
    (file,) = files(tmp_path)
    DAMAGES[name](file.parent)
    found = features.extract(images, model, "mix", cache=tmp_path)
    assert len(passes) == 4
    np.testing.assert_array_equal(found, before)


def test_a_finished_file_is_believed_by_its_size_and_time(
    model: keras.Model, tmp_path: Path, passes: list[int]
) -> None:
    """Its content is not read again: that would cost as much as reading gigabytes from disk."""
    images = some(2)
    before = np.array(features.extract(images, model, cache=tmp_path))
    (file,) = files(tmp_path)
    status = file.stat()
    flip(file, -1)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not np.array_equal(features.extract(images, model, cache=tmp_path), before)
    os.utime(file)
    np.testing.assert_array_equal(features.extract(images, model, cache=tmp_path), before)
    assert len(passes) == 2


@pytest.mark.parametrize(
    ("name", "place", "kept"),
    [
        ("features.npy", -1, 1),  # the second batch, the last one that was written
        ("features.npy", 128, 0),  # the first batch
        ("features.npy", 60, 0),  # the header
        ("digests", 32, 1),  # the digest of the second batch
        ("digests", 0, 0),
    ],
)
def test_damaged_unfinished_work_is_not_believed(
    model: keras.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    passes: list[int],
    name: str,
    place: int,
    kept: int,
) -> None:
    images = some(3 * BATCH)
    whole = features.extract(images, model, "mix", cache=tmp_path / "undisturbed").tobytes()
    passes.clear()
    counted = keras.Model.predict_on_batch

    def interrupted(network: keras.Model, x: Any) -> Any:
        if len(passes) == 2:
            raise KeyboardInterrupt
        return counted(network, x)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Model, "predict_on_batch", interrupted)
        features.extract(images, model, "mix", cache=tmp_path)
    (part,) = (tmp_path / "features").glob(".*.unfinished")
    flip(part / name, place)
    found = features.extract(images, model, "mix", cache=tmp_path)
    assert len(passes) == 2 + 3 - kept  # what stands before the damage stays
    assert found.tobytes() == whole


def test_full_disk_is_named_and_nothing_stays(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    full = usage._replace(free=SPARE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(SpaceError, match="Features needs about"):
        features.extract(some(3), model, cache=tmp_path)
    kept = [path for path in (tmp_path / "features").iterdir() if path.suffix != ".lock"]
    assert kept == []


def test_memory_does_not_grow_with_the_number_of_pictures(
    model: keras.Model, tmp_path: Path
) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.npy"
        np.save(path, some(count))
        images = np.load(path, mmap_mode="r")
        tracemalloc.start()
        try:
            for _ in range(2):
                features.extract(images, model, "mix", cache=tmp_path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(BATCH)  # what Keras makes once
    few, many = peak(4 * BATCH), peak(64 * BATCH)
    row = 4 * SIZE * SIZE * 4
    assert many - few < 10 * BATCH * row < (64 - 4) * BATCH * row / 5


# --- Augmented views ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def same() -> keras.Model:
    """A network whose features are the pictures themselves."""
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Rescaling(1.0)])


def lecture(seed: int | None = 0) -> Augment:
    return Augment(
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        seed=seed,
    )


def test_mirrored_views_are_the_pictures_or_their_mirror_images(
    same: keras.Model, tmp_path: Path
) -> None:
    images = some(200)
    views = features.extract_views(
        images, same, augment=Augment(horizontal_flip=True, seed=3), views=4, cache=tmp_path
    )
    seen = []
    for view in views:
        as_it_is = (view == images).all(axis=(1, 2, 3))
        mirrored = (view == images[:, :, ::-1]).all(axis=(1, 2, 3))
        np.testing.assert_array_equal(as_it_is, ~mirrored)
        assert stats.binomtest(int(mirrored.sum()), 200).pvalue > 1e-4
        seen.append(mirrored)
    assert len(np.unique(seen, axis=0)) == 4


def test_views_are_what_augment_makes_of_the_drawn_transforms(
    same: keras.Model, tmp_path: Path
) -> None:
    augment = lecture(7)
    images = some(BATCH + 3)
    views = features.extract_views(images, same, augment=augment, views=2, cache=tmp_path)
    for number, view in enumerate(views):
        drawn = features._sampled(augment, number, len(images))
        columns = Transforms(*drawn.T)
        expected = keras.ops.convert_to_numpy(augment.transform(images.astype(np.float32), columns))
        np.testing.assert_allclose(view, expected, atol=2e-2)


def test_transforms_have_the_distribution_of_augment() -> None:
    """Every option uniform over its range, views and pictures independent of each other."""
    drawn = np.stack([features._sampled(lecture(1), view, 1000) for view in range(4)])
    flat = Transforms(*drawn.reshape(-1, 7).T)
    for values, low, high in (
        (flat.rotation, -40, 40),
        (flat.width_shift, -0.2, 0.2),
        (flat.height_shift, -0.2, 0.2),
        (flat.width_zoom, 0.8, 1.2),
        (flat.height_zoom, 0.8, 1.2),
    ):
        assert stats.kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-4
    assert (flat.shear == 0).all()
    assert stats.binomtest(int(flat.flip.sum()), flat.flip.size).pvalue > 1e-4
    rotations = drawn[..., 0]
    between_views = np.asarray(np.corrcoef(rotations))[np.triu_indices(4, 1)]
    between_neighbors = stats.pearsonr(
        rotations[:, :-1].ravel(), rotations[:, 1:].ravel()
    ).statistic
    assert max(np.abs(between_views).max(), abs(between_neighbors)) < 0.15


def test_more_views_later_keep_those_there_are(
    same: keras.Model, tmp_path: Path, passes: list[int]
) -> None:
    images, augment = some(5), lecture()
    two = features.extract_views(images, same, augment=augment, views=2, cache=tmp_path)
    assert len(passes) == 2
    three = features.extract_views(images, same, augment=augment, views=3, cache=tmp_path)
    assert len(passes) == 3
    for first, again in zip(two, three, strict=False):
        np.testing.assert_array_equal(first, again)
    other = features.extract_views(images, same, augment=lecture(1), views=1, cache=tmp_path)
    assert not np.array_equal(other[0], two[0])


def test_extraction_leaves_the_augmentation_as_it_was(same: keras.Model, tmp_path: Path) -> None:
    augment, twin = lecture(), lecture()
    features.extract_views(some(2), same, augment=augment, views=1, cache=tmp_path)
    np.testing.assert_array_equal(*(layer.draw(3).rotation for layer in (augment, twin)))


# --- Misuse ------------------------------------------------------------------------------------


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


def two_outputs() -> keras.Model:
    pictures = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pictures, [layers.Flatten()(pictures), layers.ReLU()(pictures)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "block9"}, "has no layer 'block9'; it has .*mix, mean"),
        ({"images": np.zeros((0, SIZE, SIZE, 3))}, "there are no images"),
        ({"images": np.float32(3)}, "there are no images"),
        ({"model": Subclassed()}, "no graph of layers"),
        ({"model": keras.Sequential([layers.ReLU()])}, "starts with keras.Input"),
        ({"model": two_outputs()}, "1 inputs and 2 outputs"),
    ],
)
def test_misuse_is_named(
    model: keras.Model, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        features.extract(**{"images": some(1), "model": model, "cache": tmp_path, **arguments})


def test_views_need_a_seed_and_a_number(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed=0"):
        features.extract_views(some(1), model, augment=lecture(None), views=1, cache=tmp_path)
    with pytest.raises(ValueError, match="ask for 1 or more"):
        features.extract_views(some(1), model, augment=lecture(), views=0, cache=tmp_path)
