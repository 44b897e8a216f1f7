"""The figure of batch size and learning rate: its data, its script, its still image."""

import json
import re

from cvlab.plots.interactive import training


def test_the_figure_brings_its_data_its_script_and_a_still_image() -> None:
    made = training.batch_and_learning_rate()
    html = made._repr_html_()
    (data,) = re.findall(r'<script type="application/json">(.+?)</script>', html, flags=re.DOTALL)
    assert json.loads(data) == training.recorded()
    assert 'data-figure="training"' in html
    assert 'begin("training"' in html
    assert "http" not in re.sub(r"data:image\S+", "", html)
    assert len(html) < 60_000
    (alt,) = re.findall(r'<img alt="([^"]+)"', html)
    assert "batch normalization" in alt


def test_the_still_image_shows_every_accuracy() -> None:
    kept = training.recorded()
    axes = training.batch_and_learning_rate().still.axes
    for ax, kind in zip(axes, training.KINDS, strict=True):
        shown = [text.get_text() for text in ax.texts]
        last = [curve[-1] for row in kept[kind] for curve in row]
        assert shown == [f"{value:.0%}" for value in last]


def test_the_script_is_short() -> None:
    script = training.FILE.with_suffix(".js").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 150
