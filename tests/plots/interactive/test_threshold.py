"""Threshold and temperature: the data are the predictions, and wrong input is refused."""

import numpy as np
import pytest

from cvlab.plots.interactive.threshold import threshold

LOGITS = np.array([[2.004], [-1.0], [0.5], [-3.0]])
LABELS = np.array([1, 0, 0, 1], np.uint8)


def test_the_script_gets_rounded_logits_and_labels() -> None:
    shown = threshold(LOGITS, LABELS)
    assert shown.data["logits"] == [2.0, -1.0, 0.5, -3.0]
    assert shown.data["labels"] == [1, 0, 0, 1]
    assert "2 are right" in shown.still.alt
    html = shown._repr_html_()
    assert 'data-figure="threshold"' in html
    assert "http" not in html.split("base64,")[1].split('"', 1)[1]  # nothing from the network


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([1.0], [0, 1], "1 logits for 2 labels"),
        ([1.0, 2.0], [0, 2], "pass 0 and 1 only"),
        ([1.0, np.inf], [0, 1], "not finite"),
    ],
)
def test_wrong_input_is_refused(logits: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        threshold(logits, labels)
