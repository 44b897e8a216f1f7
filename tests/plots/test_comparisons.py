"""Figures of comparisons: every seed is drawn, and McNemar's counts and p are those of the test."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from cvlab import plots
from cvlab.evaluation import measure


def test_every_seed_is_a_circle_and_the_mean_a_bar() -> None:
    fig = plots.seeds(
        {"a": [0.8, 0.9], "b": [0.5]}, title="A message", notes={"a": "4"}, marks={"chance": 0.5}
    )
    ax = fig.axes[0]
    drawn: dict[str, list[list[float]]] = {"o": [], "|": []}
    for line in ax.lines:
        if (marker := str(line.get_marker())) in drawn:
            drawn[marker].append(np.ravel(line.get_xdata()).tolist())
    assert drawn["o"] == [[0.8, 0.9], [0.5]]
    assert np.allclose(np.ravel(drawn["|"]), [0.85, 0.5])
    assert [text.get_text() for text in ax.texts] == ["4", "chance"]
    assert "A message" in fig.alt
    assert "a: mean 85.0%" in fig.alt


def test_an_experiment_without_seeds_is_refused() -> None:
    with pytest.raises(ValueError, match="one value per seed"):
        plots.seeds({"a": []}, title="")


def test_the_paired_figure_shows_the_four_counts_and_p() -> None:
    first = np.array([True] * 20 + [False] * 4 + [True] * 12 + [False] * 4)
    second = np.array([True] * 20 + [True] * 4 + [False] * 12 + [False] * 4)
    fig = plots.paired(first, second, ("one", "two"))
    assert sorted(int(text.get_text()) for text in fig.axes[0].texts) == [4, 4, 12, 20]
    p_value = measure.mcnemar(first, second).p_value
    assert f"12 against 4: p = {p_value:.2g}" in fig.alt
    bars = [patch for patch in fig.axes[1].patches if isinstance(patch, Rectangle)]
    heights = [bar.get_height() for bar in bars]
    hatched = [bar.get_height() for bar in bars if bar.get_hatch()]
    assert sum(heights) == pytest.approx(1)
    assert sum(hatched) == pytest.approx(p_value)


def test_two_equal_models_have_p_one() -> None:
    assert "0 against 0: p = 1" in plots.paired([True, False], [True, False], ("a", "b")).alt
