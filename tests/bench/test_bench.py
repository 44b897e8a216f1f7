"""The benchmarks: ratios the right way round, one table, JSON, figure."""

import json
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import keras
import numpy as np
import pytest

from cvlab.training.augmentation import Transforms, affine_matrix
from tests.bench import augment as bench_augment
from tests.bench import bench

if keras.backend.backend() == "tensorflow":
    from tests.bench import accuracy as bench_accuracy

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the lecture's code runs on TensorFlow only"
)
ROOT = Path(__file__).parents[2]


def row(ratio: float = 2.0, goal: float | None = None) -> bench.Row:
    return bench.Row(
        name="work", against="other", ours=2 * ratio, theirs=2.0, ratio=ratio, unit="a/s", goal=goal
    )


def test_of_rates_the_larger_is_ahead() -> None:
    found = bench.compared("a", "b", [30.0, 10.0, 50.0], [10.0, 10.0, 10.0], unit="images/s")
    assert (found.ours, found.theirs, found.ratio) == (30.0, 10.0, 3.0)


def test_of_seconds_the_smaller_is_ahead() -> None:
    assert bench.compared("a", "b", [2.0], [8.0], unit="s").ratio == 4.0


def test_a_disturbed_round_counts_once_and_on_both_sides() -> None:
    # The machine is ten times slower in the second round: the ratio stays what it is.
    found = bench.compared("a", "b", [1.0, 10.0, 1.0], [2.0, 20.0, 2.0], unit="s")
    assert found.ratio == 2.0


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_was_not_measured_together_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="measure both in every round"):
        bench.compared("a", "b", ours, theirs, unit="s")


@pytest.mark.parametrize(
    ("goal", "verdict"), [(None, ""), (1.9, "reached"), (2.0, "reached"), (2.1, "missed")]
)
def test_a_verdict_needs_a_goal(goal: float | None, verdict: str) -> None:
    assert row(2.0, goal).verdict == verdict


def test_the_page_has_a_line_for_each_row_and_names_the_machine() -> None:
    found = [row(2.0, goal=1.5), row(0.5)]
    lines = bench.page(found, {"cores": "2"}).splitlines()
    assert "| work, *other* | 4 a/s | 2 a/s | 2 | 1.5, reached |" in lines
    assert "| work, *other* | 1 a/s | 2 a/s | 0.5 |  |" in lines
    assert lines[-1] == "Measured on: cores 2."


def test_the_table_has_a_line_for_each_row() -> None:
    lines = bench.table([row(2.0, 1.5), row(0.5, 1.5), row(1.0)]).splitlines()
    assert len(lines) == 4
    assert [line.split()[-1] for line in lines[1:]] == ["reached", "missed", "x"]


def test_a_run_is_kept_as_json_and_as_a_figure_with_words(tmp_path: Path) -> None:
    rows = [row(12.0, 3.0), row(0.4)]
    bench.write(rows, {"cores": "2"}, tmp_path)
    kept = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert kept["machine"] == {"cores": "2"}
    assert [entry.pop("verdict") for entry in kept["rows"]] == ["reached", ""]
    assert [bench.Row(**entry) for entry in kept["rows"]] == rows
    drawn = (tmp_path / "bench.svg").read_text(encoding="utf-8")
    ET.fromstring(drawn)
    assert "work against other: 12 times" in drawn


def test_a_script_hands_its_rows_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "it.py"
    script.write_text(
        "from tests.bench import bench\n"
        "bench.rows([bench.compared('a', 'b', [1.0], [3.0], unit='s')])\n"
    )
    (found,) = bench.collect(script)
    assert (found.name, found.against, found.ratio) == ("a", "b", 3.0)
    assert "3 x" in capfd.readouterr().out


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "pass"])
def test_a_script_without_rows_is_named(tmp_path: Path, code: str) -> None:
    script = tmp_path / "it.py"
    script.write_text(code)
    with pytest.raises(RuntimeError, match=r"it\.py ended with status [03] and no rows"):
        bench.collect(script)


def test_what_takes_long_runs_only_when_asked() -> None:
    short, all_of_them = bench.chosen("", long=False), bench.chosen("", long=True)
    assert {path.stem for path in all_of_them} - {path.stem for path in short} == set(bench.LONG)
    assert [path.stem for path in bench.chosen("start, data", long=False)] == [
        "start",
        "data",
    ]
    with pytest.raises(ValueError, match=r"no tests/bench/typo\.py: choose from .*augment"):
        bench.chosen("typo", long=True)


def test_every_script_hands_over_rows() -> None:
    for script in bench.chosen("", long=True):
        assert "bench.rows(" in script.read_text(encoding="utf-8"), script.name


def test_the_machine_and_the_versions_are_told() -> None:
    facts = bench.facts()
    machine = {"processor", "cores", "bfloat16", "oneDNN", "load before"}
    assert machine | {"python", "keras", "tensorflow"} <= facts.keys()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_opencv_peer_applies_the_same_maps_as_our_layer() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        transform = bench_augment.random_transform(random)
        batch = Transforms(*(np.array([value]) for value in transform))
        expected = keras.ops.convert_to_numpy(affine_matrix(batch, 150, 150))[0]
        found = bench_augment.inverse_map(transform, 150)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def clock(*seen: tuple[float, float]) -> "bench_accuracy.Clock":
    return bench_accuracy.Clock(600, seen=list(seen))


@needs_tensorflow
def test_the_clock_of_accuracy_stands_during_a_test_and_goes_on_from_what_was_spent() -> None:
    begin = time.perf_counter()
    timed = bench_accuracy.Clock(600, spent=100.0)

    def right() -> float:
        time.sleep(0.2)
        return 0.9

    timed.test(right)
    timed.test(right)
    seconds = timed.seconds
    assert 100 <= seconds <= 100 + (time.perf_counter() - begin) - 0.4
    assert [accuracy for _, accuracy in timed.seen] == [0.9, 0.9]


@needs_tensorflow
def test_of_equal_accuracies_the_first_is_the_best() -> None:
    timed = clock((1, 0.90), (2, 0.98), (3, 0.97), (4, 0.98))
    assert timed.best == (2, 0.98)
    assert timed.reached(0.97) == 2
    assert timed.reached(0.99) is None


@needs_tensorflow
def test_an_accuracy_counts_if_every_seed_reaches_it(capsys: pytest.CaptureFixture[str]) -> None:
    mine = {"few": [clock((10, 0.98)), clock((12, 0.98)), clock((20, 0.985))]}
    others = {"other": clock((50, 0.96), (90, 0.97), (95, 0.95))}
    rows = list(bench_accuracy.compared(mine, others))
    assert [(row.against, row.ours, row.theirs, row.ratio) for row in rows] == [
        ("other", 12, 90, 7.5),
        ("limit of 45 s", 12, 45, 3.75),
        ("other at its best within 600 s, 97.0%", 12, 90, 7.5),
    ]
    assert "few: 98.5% with 1 of 3 seeds" in capsys.readouterr().out
