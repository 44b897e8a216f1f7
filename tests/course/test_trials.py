"""Recorded trials: the shipped file is whole, and comparisons agree with SciPy's formulas."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cvlab.course import recorded, trials
from cvlab.course.trials import Trial

RECORDED = trials.load()


def trial(name: str, seed: int, right: list[bool]) -> Trial:
    return Trial(name, seed, {}, 4, 100, 1.0, {}, np.array(right))


def few() -> list[Trial]:
    """Two experiments with two seeds and twenty photos; gains of 0.5 and 0.2."""
    low, high, higher = [True] * 5 + [False] * 15, [True] * 15 + [False] * 5, [True] * 19 + [False]
    return [trial("a", 0, low), trial("a", 1, high), trial("b", 0, high), trial("b", 1, higher)]


def test_a_comparison_agrees_with_the_formulas() -> None:
    found = trials.compare("a", "b", few())
    assert found.over_seeds.value == found.over_photos.value == pytest.approx(0.35)
    # Student's t with one degree of freedom, and with 19 over the photos' mean gains.
    assert found.over_seeds.high - 0.35 == pytest.approx(12.7062 * 0.15, rel=1e-4)
    gains = [0.0] * 5 + [0.5] * 10 + [0.5] * 4 + [0.0]
    low, high = stats.t.interval(0.95, 19, np.mean(gains), stats.sem(gains))
    assert (found.over_photos.low, found.over_photos.high) == pytest.approx((low, high))
    # Ten against none, corrected for two tests, and four against none.
    assert found.p_values == pytest.approx((2 * 2 / 1024, 2 / 16))
    assert found.better == ("b", "")


def test_a_comparison_takes_the_seeds_that_both_have() -> None:
    more = [*few(), trial("a", 7, [False] * 20)]
    assert trials.compare("a", "b", more) == trials.compare("a", "b", few())
    with pytest.raises(ValueError, match="share 1 seeds, and a comparison needs two"):
        trials.compare("a", "b", few()[:3])


def test_an_experiment_without_trials_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no trials of 'c': name one of 'a', 'b'"):
        trials.compare("a", "c", few())


def test_holm_multiplies_the_smallest_by_their_number_and_keeps_the_order() -> None:
    # Holm (1979): 0.01 * 3, 0.02 * 2; 0.03 * 1 may not fall below the one before it.
    assert trials.holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert trials.holm([0.6, 0.7]) == [1, 1]


def test_the_table_names_what_trained_and_compares_with_the_first() -> None:
    text = str(trials.table(["a", "b"], few()))
    assert "50.0 %" in text and "85.0 %" in text
    assert "35.0 points (-155.6 to 225.6)" in text
    assert "better in 1, worse in 0 of 2" in text
    assert trials.table(["a", "b"], few())._repr_html_().count("<tr>") == 3


def test_the_shipped_record_names_its_photos_machine_and_versions() -> None:
    kept = trials.content()
    photos = trials.photos()
    assert len(set(photos)) == 1000
    assert sum(name.startswith("cat/") for name in photos) == 500
    assert {"date", "machine", "versions", "dtype_policy", "batch_size", "views"} <= kept.keys()
    assert {"keras", "numpy", "python"} < kept["versions"].keys(), "and the backend"


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: f"{one.experiment}-{one.seed}")
def test_a_shipped_trial_is_whole(one: Trial) -> None:
    assert one.right.shape == (1000,) and 0.5 <= one.accuracy < 1
    assert {len(values) for values in one.curves.values()} == {one.settings["epochs"]}
    heads = {"dense": 4, "pooled": 2}
    bases = {"head": 0, "last block": 6, "everything": 26}
    expected = heads[one.settings["head"]] + bases[one.settings["trains"]]
    assert one.trainable_weights == expected


def test_every_shipped_experiment_has_its_seeds_from_zero_on() -> None:
    seeds: dict[str, list[int]] = {}
    for one in RECORDED:
        seeds.setdefault(one.experiment, []).append(one.seed)
    assert all(found == list(range(len(found))) for found in seeds.values())
    five = {name for name, found in seeds.items() if len(found) == 5}
    upper = ("extraction", "pooled", "MobileNet")
    assert five >= {*upper, *(f"{name}, 1/255" for name in upper), "frozen, augmented"}


def test_mcnemar_of_a_shipped_pair_agrees_with_scipy() -> None:
    right, wrong = (trials.of(name, RECORDED) for name in ("extraction", "extraction, 1/255"))
    expected = []
    for one, other in zip(right, wrong, strict=True):
        only = int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum())
        expected.append(stats.binomtest(only[0], sum(only)).pvalue)
    found = trials.compare("extraction, 1/255", "extraction", RECORDED)
    assert found.p_values == pytest.approx(trials.holm(expected))
    assert found.better == ("extraction",) * 5


def test_reading_the_record_does_not_import_keras() -> None:
    code = "import sys, cvlab.course.trials as t; t.table(['extraction', 'pooled']); "
    code += "sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_readme_states_what_was_recorded() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for name in ("extraction", "extraction, 1/255"):
        assert f" {100 * trials.accuracy(name, RECORDED).value:.1f} %" in readme


@pytest.mark.parametrize("run", ["laptop", "lecture"])
def test_the_recorded_runs_were_tested_on_the_same_photos(run: str) -> None:
    """Notebook 14 sets trials above rungs of such a run, which is fair image by image only then."""
    assert recorded.load(run).images == trials.photos()
