"""Transfer: the lecture's counts, and training above the boundary equals training end to end."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from numpy.typing import NDArray

from cvlab import models, transfer
from cvlab.evaluation import explain
from cvlab.models import cost
from cvlab.transfer import features, freezing, heads

Array = NDArray[np.float32]


def some(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def compiled(model: keras.Model, rate: float = 1e-3) -> keras.Model:
    model.compile(keras.optimizers.RMSprop(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


# --- Heads -------------------------------------------------------------------------------------


def test_vgg16_with_the_lectures_head_has_the_lectures_counts() -> None:
    """Step 23: 16,812,353 parameters; 30 trainable weights, 4 once the base is frozen."""
    base = models.load_base("VGG16", 150, None)
    head = transfer.dense_head(base.output_shape[1:], dropout=0)
    assert [layer.count_params() for layer in head.layers] == [0, 2_097_408, 257]
    assert head.layers[0].output.shape == (None, 8192)
    model = keras.Sequential([base, head])
    assert model.count_params() == 16_812_353
    assert len(model.trainable_weights) == 30
    freezing.freeze(base)
    assert len(model.trainable_weights) == 4
    freezing.unfreeze_from(base, transfer.last_block(base))
    # Three convolutions of block 5, two dense layers, each with a kernel and a bias.
    assert len(model.trainable_weights) == 10


def test_dropout_of_the_head_stands_between_the_dense_layers() -> None:
    kinds = [type(layer) for layer in transfer.dense_head((2, 2, 8)).layers]
    assert kinds == [layers.Flatten, layers.Dense, layers.Dropout, layers.Dense]
    assert transfer.dense_head((8,)).layers[2].rate == 0.5


def test_pooled_head_is_the_mean_and_one_sigmoid() -> None:
    head = transfer.pooled_head((3, 4, 5))
    maps = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32)
    kernel, bias = head.get_weights()
    logits = maps.mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(head.predict(maps, verbose=0), 1 / (1 + np.exp(-logits)), rtol=1e-4)
    assert head.count_params() == 6
    rates = [layer.rate for layer in transfer.pooled_head((3, 4, 5), dropout=0.3).layers[1:-1]]
    assert rates == [0.3]


def test_pooled_head_takes_means_that_were_taken_before() -> None:
    keras.utils.set_random_seed(0)
    maps = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32)
    on_maps, on_means = transfer.pooled_head((3, 4, 5)), transfer.pooled_head((5,))
    on_means.set_weights(on_maps.get_weights())
    np.testing.assert_allclose(
        on_means.predict(maps.mean(axis=(1, 2)), verbose=0),
        on_maps.predict(maps, verbose=0),
        rtol=1e-4,
    )


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
    with pytest.raises(ValueError, match="nothing goes in there"):
        transfer.split(base, "pictures")
    with pytest.raises(ValueError, match=r"no layer 'block5_conv1'; it has .*conv1_conv"):
        transfer.split(base, "block5_conv1")


def test_every_cut_that_is_offered_can_be_made() -> None:
    pictures = keras.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, padding="same", name="a")(pictures)
    b = layers.Conv2D(4, 3, padding="same", name="b")(a)
    c = layers.Add(name="c")([a, b])
    d = layers.ReLU(name="d")(c)
    base = keras.Model(pictures, layers.Concatenate(name="e")([d, layers.ReLU(name="f")(d)]))
    assert heads._cuts(base) == ["a", "b", "d", "f"]
    images = some(2, 8)
    for name in heads._cuts(base):
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


@pytest.mark.parametrize("steps", [1, 7, 800])
def test_small_steps_rise_then_fall_to_zero(steps: int) -> None:
    optimizer = transfer.small_steps(0.01, steps, schedule=True)
    variable = keras.Variable(np.ones(3))
    optimizer.build([variable])
    found = []
    for _ in range(steps):
        found.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.ones(3)], [variable])
    rising = max(steps // 8, 1)
    falling = (1 + np.cos(np.pi * np.arange(steps - rising) / max(steps - rising, 1))) / 2
    expected = 0.01 * np.concatenate([np.linspace(1 / 50, 1, rising, endpoint=False), falling])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)


def test_small_steps_of_the_lecture_stay_as_they_are() -> None:
    optimizer = transfer.small_steps(1e-5, 100)
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert float(optimizer.learning_rate) == pytest.approx(1e-5)


# --- Views -------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    count=st.integers(1, 40),
    kinds=st.integers(1, 4),
    batch_size=st.integers(1, 45),
    seed=st.integers(0, 9),
)
def test_every_picture_once_an_epoch_in_one_of_its_views(
    count: int, kinds: int, batch_size: int, seed: int
) -> None:
    # The features say which picture and which view they are.
    views = [
        np.stack([np.arange(count), np.full(count, view)], axis=1).astype(np.float32)
        for view in range(kinds)
    ]
    labels = 7 * np.arange(count)
    dataset = transfer.Views(views, labels, batch_size=batch_size, seed=seed)
    for _ in range(2):
        batches = [dataset[step] for step in range(len(dataset))]
        assert [len(y) for _, y in batches[:-1]] == [batch_size] * (len(batches) - 1)
        seen = np.concatenate([x for x, _ in batches])
        assert sorted(seen[:, 0]) == list(range(count))
        assert set(seen[:, 1]) <= set(range(kinds))
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), 7 * seen[:, 0])
        dataset.on_epoch_end()


def epochs_of(dataset: transfer.Views, epochs: int) -> list[list[tuple[float, ...]]]:
    found = []
    for _ in range(epochs):
        steps = [dataset[step][0] for step in range(len(dataset))]
        found.append([tuple(row) for row in np.concatenate(steps)])
        dataset.on_epoch_end()
    return found


def test_orders_and_lots_are_uniform_and_belong_to_the_seed() -> None:
    views = [np.array([[p, v] for p in range(5)], np.float32) for v in range(3)]
    make = transfer.Views
    first, again, other = (
        epochs_of(make(views, np.zeros(5), batch_size=2, seed=seed), 600) for seed in (4, 4, 5)
    )
    assert first == again != other
    lots = Counter(row for epoch in first for row in epoch)
    places = Counter((place, row[0]) for epoch in first for place, row in enumerate(epoch))
    # 200 and 120 expected; five standard deviations around.
    assert len(lots) == 15 and all(140 < count < 260 for count in lots.values())
    assert len(places) == 25 and all(70 < count < 170 for count in places.values())


def test_fit_takes_memory_mapped_views(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 50)
    for view in range(2):
        noise = rng.normal(size=(100, 4)) + 3 * labels[:, None]
        np.save(tmp_path / f"{view}.npy", noise.astype(np.float32))
    views = [np.load(tmp_path / f"{view}.npy", mmap_mode="r") for view in range(2)]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])
    compiled(model, 0.05)
    dataset = transfer.Views(views, labels, batch_size=10, seed=0)
    history = model.fit(dataset, epochs=15, verbose=0).history
    assert history["accuracy"][-1] > 0.9


def test_views_of_other_pictures_are_refused() -> None:
    one, other = np.zeros((3, 2), np.float32), np.zeros((4, 2), np.float32)
    for views, labels in (([], 3), ([one, other], 3), ([one], 4)):
        with pytest.raises(ValueError, match="all of the same pictures"):
            transfer.Views(views, np.zeros(labels), batch_size=2, seed=0)


def test_views_refuse_an_empty_batch() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        transfer.Views([np.zeros((3, 2))], np.zeros(3), batch_size=0, seed=0)


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
