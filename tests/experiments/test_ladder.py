"""The ladder: every rung runs, and the figures it reports are the right ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cvlab import models, profiles
from cvlab.data import loading
from cvlab.evaluation import measure
from cvlab.experiments import ladder

pytestmark = pytest.mark.usefixtures("eager")

TINY = replace(
    profiles.get("quick"),
    image_size=48,
    train_per_class=8,
    validation_per_class=4,
    test_per_class=6,
    baseline_epochs=1,
    augmented_epochs=1,
    dropout_epochs=1,
    head_epochs=2,
    views=1,
    frozen_epochs=1,
    tuning_epochs=1,
    transfer_batch_size=8,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def pets(cache: Path) -> loading.Pets:
    return loading.load_images(
        "toypets", image_size=TINY.image_size, per_class=TINY.per_class, seed=3, cache=cache
    )


def test_every_rung_runs_and_only_block5_is_tuned(pets: loading.Pets, cache: Path) -> None:
    base = models.toy_base(TINY.image_size, None)
    before = {layer.name: layer.get_weights() for layer in base.layers}
    climbed = [
        *ladder.train_from_scratch(pets, TINY, 3),
        *ladder.train_on_base(base, pets, TINY, 3, cache=cache),
    ]
    assert tuple(name for name, _ in climbed) == ladder.RUNGS
    for _, run in climbed:
        assert run.right.shape == (12,) and run.right.dtype == bool
        assert 0 <= run.train_accuracy <= 1 and run.seconds > 0
    for layer in base.layers:
        pairs = zip(layer.get_weights(), before[layer.name], strict=True)
        moved = [not np.array_equal(now, then) for now, then in pairs]
        assert moved == [layer.name.startswith("block5_conv")] * len(moved)


class Fit:
    """Stands in for `Model.fit` and notes how it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[list[np.ndarray]] = []
        self.epochs: list[int] = []
        self.rates: list[float] = []
        self.losses: list[list[float]] = []
        self.kept: list[float] = []
        fit = keras.Model.fit

        def noted(model: keras.Model, *arguments: Any, **options: Any) -> Any:
            self.begun.append(model.get_weights())
            self.epochs.append(options["epochs"])
            self.rates.append(float(model.optimizer.learning_rate))
            history = fit(model, *arguments, **options)
            self.losses.append(history.history["val_loss"])
            self.kept.append(model.evaluate(*options["validation_data"], verbose=0)[0])
            return history

        monkeypatch.setattr(keras.Model, "fit", noted)


@pytest.mark.parametrize("warm", [True, False])
def test_a_warm_start_goes_on_from_the_first_network(
    pets: loading.Pets, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    fit = Fit(monkeypatch)
    profile = replace(TINY, warm_start=warm, baseline_epochs=2, learning_rate=2e-3)
    list(ladder.train_from_scratch(pets, profile, 0))
    assert fit.epochs == [2, 1, 1]
    assert fit.rates == pytest.approx([2e-3] * 3)
    first, second, third = fit.begun
    same = [np.array_equal(a, b) for a, b in zip(first, second, strict=True)]
    assert all(same) != warm  # without a warm start both begin with the seed's weights
    if warm:
        assert all(np.array_equal(a, b) for a, b in zip(second, third, strict=True))


def test_it_keeps_the_weights_of_the_lowest_validation_loss(
    pets: loading.Pets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Black cats and white dogs to train on, white cats and black dogs to validate."""
    fit = Fit(monkeypatch)
    labels = pets.train.labels
    images = np.zeros_like(pets.train.images)
    images[labels == 1] = 255
    train = replace(pets.train, images=images)
    wrong = replace(pets, train=train, validation=replace(train, labels=1 - labels))
    settings = replace(TINY, baseline_epochs=8, batch_size=4, learning_rate=2e-3)
    next(iter(ladder.train_from_scratch(wrong, settings, 0)))
    assert fit.losses[0][-1] > 1.5 * min(fit.losses[0])  # else the test would show nothing
    assert fit.kept[0] == pytest.approx(min(fit.losses[0]), rel=1e-4)


def test_the_command_draws_other_pictures_for_each_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(profiles.PROFILES, "quick", TINY)
    tests: list[np.ndarray] = []
    train = ladder.train_on_base

    def spy(base: keras.Model, pets: loading.Pets, *arguments: Any, **options: Any) -> Any:
        tests.append(np.asarray(pets.test.images))
        return train(base, pets, *arguments, **options)

    monkeypatch.setattr(ladder, "train_on_base", spy)
    out = tmp_path / "ladder.json"
    assert ladder.main(["--transfer-only", "--seeds", "2", "--first", "4", "--out", str(out)]) == 0
    assert len(tests) == 2 and not np.array_equal(tests[0], tests[1])
    written = json.loads(out.read_text())
    assert tuple(written["rungs"]) == ladder.RUNGS[3:]
    assert written["seeds"] == [4, 5] and written["settings"]["tuning_epochs"] == 1
    assert "drawn images" in out.with_suffix(".svg").read_text()
    assert ladder.table(written) in capsys.readouterr().out
    assert not list((tmp_path / "cache").glob("ladder-*"))


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
    # Fourteen against none.
    assert step["mcnemar_p_together"] == pytest.approx(2 / 2**14)
    assert step["better_together"] == "b"
    text = ladder.table(json.loads(json.dumps(summary)))
    assert measure.mean_interval([0.75, 0.95]).percent() in text
    assert "better in 1 and worse in 0 of 2 seeds" in text
    assert (
        f"a: {measure.mean_interval([0.25, 0.75]).percent()}" in ladder.chart(summary, "dots").alt
    )


def test_lectures_figures_rise_from_70_to_97_percent() -> None:
    assert list(ladder.LECTURE) == list(ladder.RUNGS)
    assert list(ladder.LECTURE.values()) == [0.70, 0.82, 0.84, 0.90, 0.96, 0.97]  # step 27


def test_one_seed_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        ladder.main(["--seeds", "1", "--out", str(tmp_path / "x.json")])
    assert "at least 2" in capsys.readouterr().err
