"""Snapshots and movements of weights, by hand."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvlab.transfer import freezing, weights
from tests.transfer.networks import compiled, copies, fit, network


def test_moved_by_hand() -> None:
    model = network()
    before = freezing.snapshot(model)
    assert freezing.moved(model, before) == {}
    early, head = model.get_layer("base").get_layer("early"), model.get_layer("head")
    kernel, bias = early.get_weights()
    early.set_weights([1.5 * kernel, bias])
    head.bias.assign([3.0])
    found = freezing.moved(model, before)
    assert set(found) == {early.kernel.path, head.bias.path}
    assert found[early.kernel.path] == pytest.approx(0.5 / 1.5)
    assert found[head.bias.path] == 1.0


def test_one_bit_is_a_movement_and_nan_is_none() -> None:
    model = network()
    kernel = model.get_layer("head").kernel
    values = keras.ops.convert_to_numpy(kernel).copy()
    values[0, 0] = np.nan
    kernel.assign(values)
    before = freezing.snapshot(model)
    assert freezing.moved(model, before) == {}
    values[1, 0] = np.nextafter(values[1, 0], np.float32(9))
    kernel.assign(values)
    assert set(freezing.moved(model, before)) == {kernel.path}


def test_a_snapshot_does_not_follow_the_model() -> None:
    model = compiled(frozen=False)
    before, truth = freezing.snapshot(model), copies(model)
    fit(model)
    for kept, array in zip(before.values(), truth, strict=True):
        np.testing.assert_array_equal(kept, array)


def test_moved_refuses_the_snapshot_of_another_model() -> None:
    before = freezing.snapshot(network().get_layer("base"))
    with pytest.raises(ValueError, match=r"not one of model: they differ in .*head/kernel"):
        freezing.moved(network(), before)


finite = arrays(np.float32, 4, elements=st.floats(-1e3, 1e3, width=32))


@given(old=finite, new=finite, factor=st.floats(0.125, 8))
def test_change_is_symmetric_free_of_scale_and_at_most_two(
    old: np.ndarray, new: np.ndarray, factor: float
) -> None:
    change = weights._relative_change(old, new)
    assert 0 <= change <= 2 + 1e-12
    assert (change == 0) == bool((old == new).all())
    assert weights._relative_change(new, old) == change
    scaled = weights._relative_change(old.astype(float) * factor, new.astype(float) * factor)
    assert scaled == pytest.approx(change)
