"""The stored curves of the interactive figure: made by the command, in the shape it draws."""

import json
from pathlib import Path

import numpy as np
import pytest

from cvlab.experiments import batch_and_rate
from cvlab.plots.interactive import training


def test_a_small_grid_has_the_shape_that_the_figure_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = batch_and_rate.curves(batch_sizes=(64, 256), rates=(0.01, 0.1, 1.0), seeds=2, epochs=1)
    monkeypatch.setattr(batch_and_rate, "curves", lambda: small)
    file = tmp_path / "training.json"
    assert batch_and_rate.main(["--file", str(file)]) == 0
    assert training.recorded(file) == json.loads(json.dumps(small))
    for kind in training.KINDS:
        assert np.shape(small[kind]) == (2, 3, 2)
        assert 0 <= np.min(small[kind]) <= np.max(small[kind]) <= 1


def test_the_stored_curves_are_of_these_settings() -> None:
    kept = training.recorded()
    assert tuple(kept["batch_sizes"]) == batch_and_rate.BATCH_SIZES
    assert tuple(kept["rates"]) == batch_and_rate.RATES
    assert tuple(kept["units"]) == batch_and_rate.UNITS
    assert kept["seeds"] == batch_and_rate.SEEDS
    shape = (len(kept["batch_sizes"]), len(kept["rates"]), batch_and_rate.EPOCHS + 1)
    assert np.shape(kept["plain"]) == np.shape(kept["normalized"]) == shape


def test_a_stored_curve_can_be_trained_again() -> None:
    """The cheapest corner of the grid: whole batches of 128, a good learning rate."""
    kept = training.recorded()
    again = batch_and_rate.curves(batch_sizes=(128,), rates=(0.1,), seeds=2, epochs=10)
    for kind in training.KINDS:
        stored = kept[kind][kept["batch_sizes"].index(128)][kept["rates"].index(0.1)]
        assert again[kind][0][0][10] == pytest.approx(stored[10], abs=0.06)
