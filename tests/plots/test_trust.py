"""Figures of trust: they say what they show, and refuse what cannot be drawn."""

import numpy as np
import pytest

from cvlab import plots
from cvlab.evaluation import calibration, measure

P = np.array([0.9, 0.8, 0.2, 0.4, 0.7])
LABELS = np.array([1, 0, 0, 1, 1])


def test_the_confusion_matrix_counts_by_true_and_predicted_class() -> None:
    fig = plots.confusion(P, LABELS, ("cat", "dog"))
    assert fig.alt == (
        "2 of 5 predictions are wrong: 1 cats predicted as cat; 1 cats predicted as dog; "
        "1 dogs predicted as cat; 2 dogs predicted as dog"
    )
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert texts == ["1\n50.0% of the cats"] * 2 + [
        "1\n33.3% of the dogs",
        "2\n66.7% of the dogs",
    ]
    assert fig.png()
    with pytest.raises(ValueError, match="5 probabilities for 4 labels"):
        plots.confusion(P, LABELS[:4], ("cat", "dog"))


def test_a_reliability_diagram_has_a_point_per_bin() -> None:
    bins = calibration.reliability(P, LABELS)
    fig = plots.reliability({"before": bins, "after": bins}, title="Overconfident")
    assert len(fig.axes) == 2
    assert [text.get_text() for text in fig.axes[0].texts[1:]] == [str(b.count) for b in bins]
    assert fig.alt.startswith("Overconfident. before: ")
    assert f"at confidence {bins[0].confidence:.2f}" in fig.alt
    assert fig.png()
    with pytest.raises(ValueError, match="no bins to draw"):
        plots.reliability({"before": []}, title="")


def test_robustness_has_a_row_per_corruption_and_a_number_per_severity() -> None:
    one = measure.wilson_interval(80, 100)
    two = measure.wilson_interval(60, 100)
    clean = measure.wilson_interval(90, 100)
    fig = plots.robustness(clean, {"blur": [one, two], "gray": [one]}, title="Blur costs most")
    (ax,) = fig.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["blur", "gray"]
    assert [text.get_text() for text in ax.texts if text.get_text().isdigit()] == ["1", "2", "1"]
    assert fig.alt == (
        "Blur costs most. Clean: 90.0 % (82.6 to 94.5 %); blur: 80.0%, 60.0%; gray: 80.0%"
    )
    assert fig.png()
    with pytest.raises(ValueError, match="no corruption to draw"):
        plots.robustness(clean, {"blur": []}, title="")
