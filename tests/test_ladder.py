"""The ladder: every rung runs, and the figures it reports are the right ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from cvlab import datasets, ladder, measure, zoo

TINY = ladder.Settings(
    scratch_epochs=1,
    augmented_epochs=1,
    head_epochs=2,
    views=1,
    frozen_epochs=1,
    tuning_epochs=1,
    transfer_batch_size=8,
)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> datasets.Pets:
    return datasets.load_pets(
        "toypets",
        image_size=64,
        per_class={"train": 8, "validation": 4, "test": 6},
        cache=tmp_path_factory.mktemp("cache"),
    )


def test_every_rung_runs_and_only_block5_is_tuned(pets: datasets.Pets) -> None:
    data = ladder.Data.of(pets)
    assert {name: len(labels) for name, labels in data.labels.items()} == {
        "train": 16,
        "validation": 8,
        "test": 12,
    }
    base = zoo.toy_base(64, None)
    before = {layer.name: layer.get_weights() for layer in base.layers}
    climbed = [*ladder.train_from_scratch(data, TINY, 3), *ladder.transfer(data, base, TINY, 3)]
    assert tuple(name for name, _ in climbed) == ladder.RUNGS
    for _, run in climbed:
        assert run.right.shape == (12,) and run.right.dtype == bool
        assert 0 <= run.train_accuracy <= 1 and run.seconds > 0
    for layer in base.layers:
        pairs = zip(layer.get_weights(), before[layer.name], strict=True)
        moved = [not np.array_equal(now, then) for now, then in pairs]
        assert moved == [layer.name.startswith("block5_conv")] * len(moved)


def run(right: list[bool], seconds: float = 1.0) -> ladder.Run:
    return ladder.Run(np.array(right), 0.9, 0.8, 3, seconds)


def test_summary_agrees_with_the_formulas() -> None:
    low, high = [True] * 5 + [False] * 15, [True] * 15 + [False] * 5
    climbs = [
        {"a": run(low, 2.0), "b": run(high)},
        {"a": run(high, 4.0), "b": run([True] * 19 + [False])},
    ]
    summary = ladder.summarize(climbs)
    assert summary["rungs"]["a"]["test_accuracies"] == [0.25, 0.75]
    assert summary["rungs"]["a"]["seconds"] == 3.0
    step = summary["steps"][0]
    # Student's t with one degree of freedom: 12.706 standard errors; gains 0.5 and 0.2.
    assert step["gain"]["value"] == pytest.approx(0.35)
    assert step["gain"]["high"] - 0.35 == pytest.approx(12.7062 * 0.15, rel=1e-4)
    # Ten against none: 2 / 2**10; four against none: 2 / 2**4.
    assert step["mcnemar_p"] == pytest.approx([2 / 1024, 2 / 16])
    assert step["better"] == ["b", "neither"]
    text = ladder.table(json.loads(json.dumps(summary)))
    assert measure.mean_interval([0.75, 0.95]).percent() in text
    assert "better in 1 and worse in 0 of 2 seeds" in text
    assert f"a: {measure.mean_interval([0.25, 0.75]).percent()}" in ladder.picture(summary).alt


def test_lectures_figures_rise_from_70_to_97_percent() -> None:
    assert list(ladder.LECTURE) == list(ladder.RUNGS)
    assert list(ladder.LECTURE.values()) == [0.70, 0.82, 0.84, 0.90, 0.96, 0.97]  # step 27


def test_one_seed_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        ladder.main(["--seeds", "1", "--out", str(tmp_path / "x.json")])
    assert "at least 2" in capsys.readouterr().err
