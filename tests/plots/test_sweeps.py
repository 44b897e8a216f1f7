"""The table of a sweep: every number is written, the best of a row has a frame."""

import numpy as np

from cvlab import plots


def test_every_number_is_written_and_the_best_of_each_row_is_bold() -> None:
    scores = {"one": {1e-4: 0.7, 1e-3: 0.9}, "other": {1e-3: 0.6, 1e-2: 0.5}}
    figure = plots.sweep(scores, title="A message", xlabel="learning rate")
    ax = figure.axes[0]
    texts = {(text.get_position()): (text.get_text(), text.get_fontweight()) for text in ax.texts}
    assert texts == {
        (0, 0): ("70.0%", "normal"),
        (1, 0): ("90.0%", "bold"),
        (2, 0): ("–", "normal"),
        (0, 1): ("–", "normal"),
        (1, 1): ("60.0%", "bold"),
        (2, 1): ("50.0%", "normal"),
    }
    frames = [tuple(np.asarray(line.get_xydata()).mean(axis=0)) for line in ax.lines]
    assert [(round(x), round(y)) for x, y in frames] == [(1, 0), (1, 1)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.0001", "0.001", "0.01"]
    assert "one: 70.0% at 0.0001, 90.0% at 0.001; other" in figure.alt
