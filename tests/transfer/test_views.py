"""Views: every image once per epoch, in one of its views, in an order that the seed decides."""

from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from cvlab import transfer


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


def test_orders_and_choices_are_uniform_and_belong_to_the_seed() -> None:
    views = [np.array([[p, v] for p in range(5)], np.float32) for v in range(3)]
    make = transfer.Views
    first, again, other = (
        epochs_of(make(views, np.zeros(5), batch_size=2, seed=seed), 600) for seed in (4, 4, 5)
    )
    assert first == again != other
    chosen = Counter(row for epoch in first for row in epoch)
    places = Counter((place, row[0]) for epoch in first for place, row in enumerate(epoch))
    # 200 and 120 expected; five standard deviations around.
    assert len(chosen) == 15 and all(140 < count < 260 for count in chosen.values())
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
    model.compile(keras.optimizers.RMSprop(0.05), "binary_crossentropy", metrics=["accuracy"])
    dataset = transfer.Views(views, labels, batch_size=10, seed=0)
    history = model.fit(dataset, epochs=15, verbose=0).history
    assert history["accuracy"][-1] > 0.9


def test_views_of_other_pictures_are_refused() -> None:
    one, other = np.zeros((3, 2), np.float32), np.zeros((4, 2), np.float32)
    for views, labels in (([], 3), ([one, other], 3), ([one], 4)):
        with pytest.raises(ValueError, match="all of the same images"):
            transfer.Views(views, np.zeros(labels), batch_size=2, seed=0)


def test_views_refuse_an_empty_batch() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        transfer.Views([np.zeros((3, 2))], np.zeros(3), batch_size=0, seed=0)
