"""Claims: every step and erratum has one, verdicts follow from figures, findings are kept."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from cvlab.course import claims, findings, recorded, statements
from cvlab.course.statements import DIFFERS, HOLDS, UNDECIDED, UNDETECTABLE, Claim
from cvlab.evaluation import measure
from cvlab.publish import execution


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(findings.FOLDER_VARIABLE, str(tmp_path / "records"))
    return tmp_path / "records"


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook 99 with a fact, a count and an accuracy that only photos can decide."""
    for claim in (
        Claim(id="fact", notebook="99", step=1, says="It is so", today="it is <not> so"),
        Claim(id="count", notebook="99", step=1, says="Seven", figure=7),
        Claim(
            id="accuracy",
            notebook="99",
            step=1,
            says="70+ %",
            figure=(0.7, 0.8),
            percent=True,
            profiles=("laptop", "lecture"),
        ),
    ):
        monkeypatch.setitem(statements.CLAIMS, claim.id, claim)


def test_every_step_and_every_erratum_has_a_claim() -> None:
    assert (
        {claim.step for claim in statements.CLAIMS.values()}
        == set(statements.STEPS)
        == {*range(1, 29)}
    )
    errata = {claim.erratum for claim in statements.CLAIMS.values()} - {None}
    assert errata == set(statements.ERRATA) == {*range(1, 16)}


def test_every_claim_is_well_formed() -> None:
    # The lecture takes for granted what 01 explains.
    notebooks = {"00", *(f"{number:02}" for number in range(2, 15)), "17"}
    assert {claim.notebook for claim in statements.CLAIMS.values()} == notebooks
    for name, claim in statements.CLAIMS.items():
        assert name == claim.id
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert claim.profiles
        assert set(claim.profiles) <= set(statements.ALL)
        assert claim.quick in (HOLDS, DIFFERS, UNDETECTABLE)
        bounds = claim.bounds
        assert bounds is None or bounds[0] <= bounds[1]
        assert not claim.percent or (bounds is not None and 0 <= bounds[0] <= bounds[1] <= 1)
        # What is known not to hold says what does.
        assert claim.today or claim.quick != DIFFERS


def test_facts_counts_and_accuracies_get_their_verdicts(three: None) -> None:
    right = np.array([True] * 75 + [False] * 25)
    checked = claims.check("99", "laptop", {"fact": False, "count": 7, "accuracy": right})
    assert [finding.verdict for finding in checked.findings] == [DIFFERS, HOLDS, HOLDS]
    assert checked.verdicts() == "fact      differs\ncount     holds\naccuracy  holds"
    assert checked.findings[2].interval == measure.wilson_interval(75, 100)
    kept = checked.findings[2].right
    assert kept is not None
    assert np.array_equal(kept, right)


@given(
    value=st.floats(0, 1),
    below=st.floats(0, 1),
    above=st.floats(0, 1),
)
def test_an_interval_holds_where_it_meets_the_lectures_range(
    value: float, below: float, above: float
) -> None:
    claim = Claim(id="x", notebook="99", step=1, says="", figure=(0.7, 0.8), percent=True)
    interval = measure.Interval(value, value - below, value + above)
    grid = np.linspace(0.7, 0.8, 1001)
    meets = any(interval.low - 1e-4 <= point <= interval.high + 1e-4 for point in grid)
    verdict = claims._find(claim, "quick", interval, {}).verdict
    if verdict == HOLDS:
        assert meets
    else:
        assert not any(figure in interval for figure in grid)


def test_a_profile_that_cannot_decide_takes_the_verdict_of_the_recorded_run(
    three: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`quick` sees drawings only: the run on photos decides, and both figures are shown."""
    kept = {"id": "accuracy", "verdict": DIFFERS, "value": 0.9, "low": 0.88, "high": 0.92}
    run = {"seconds": {}, "machine": {}, "claims": [kept]}
    (tmp_path / "laptop.json").write_text(json.dumps(run))
    defaults = (tmp_path,)
    for reader in (recorded.load, recorded.on_photos, recorded.deciding):
        monkeypatch.setattr(reader, "__defaults__", defaults)
    hits = np.array([True, False])
    checked = claims.check("99", "quick", {"fact": True, "count": np.int64(7), "accuracy": hits})
    accuracy = checked.findings[2]
    assert (accuracy.verdict, accuracy.decided_by) == (DIFFERS, "laptop")
    assert claims.evidence(accuracy).startswith(
        "90.0 % (88.0 to 92.0 %) on photos (run laptop); 50.0 % ("
    )
    nothing = claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    assert claims.evidence(nothing.findings[2]).endswith("(run laptop)")
    (tmp_path / "laptop.json").unlink()
    alone = claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    assert alone.findings[2].verdict == UNDECIDED


def test_the_recorded_runs_decide_what_drawings_cannot() -> None:
    for claim in statements.CLAIMS.values():
        if "quick" not in claim.profiles:
            assert recorded.deciding(claim.id), f"no recorded run decides {claim.id}"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.05, HOLDS), (-0.05, -0.01, DIFFERS), (-0.01, 0.03, UNDETECTABLE)],
)
def test_the_interval_of_a_difference_gets_a_graded_verdict(
    three: None, low: float, high: float, verdict: str
) -> None:
    """The statement expects a positive difference; an interval around zero decides nothing."""
    gap = measure.Interval((low + high) / 2, low, high)
    checked = claims.check("99", "laptop", {"fact": gap, "count": 7, "accuracy": np.ones(9, bool)})
    assert checked.findings[0].verdict == verdict
    assert checked.findings[0].measured() == gap.points()


def test_histories_and_file_names_are_kept(three: None, records: Path) -> None:
    history = {"loss": [0.69314718, 0.5], "val_loss": [0.7, 0.6]}
    measured: dict[str, claims.Measured] = {"fact": True, "count": 7, "accuracy": np.ones(2, bool)}
    names = ("cat/cat.1.jpg", "dog/dog.1.jpg")
    claims.check("99", "laptop", measured, histories={"accuracy": history}, images=names)
    kept = findings.load("laptop")["accuracy"]
    assert kept.history == {"loss": [0.6931, 0.5], "val_loss": [0.7, 0.6]}
    assert findings.test_images("laptop", records) == names
    claims.check("06", "laptop", _anything("06"), images=names[::-1])
    with pytest.raises(ValueError, match="different images"):
        findings.test_images("laptop", records)


def _anything(notebook: str) -> dict[str, claims.Measured]:
    """Measurements that `check` accepts, whatever they say."""
    claimed = statements.of_notebook(notebook)
    return {c.id: True if c.bounds is None else c.bounds[0] for c in claimed}


def test_false_says_that_what_a_figure_is_about_did_not_happen(three: None) -> None:
    checked = claims.check("99", "quick", {"fact": True, "count": False, "accuracy": None})
    assert checked.findings[1].verdict == DIFFERS
    assert checked.findings[1].measured() == "not so"


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"fact": True, "count": 7}, "not measured: accuracy"),
        ({"fact": True, "count": 7, "accuracy": None, "typo": 1}, "not listed: typo"),
        ({"fact": None, "count": 7, "accuracy": None}, "can decide the claim 'fact'"),
        ({"fact": 0.7, "count": 7, "accuracy": None}, "'fact' is a statement without a figure"),
        ({"fact": True, "count": True, "accuracy": None}, "'count' is about the figure 7"),
        ({"fact": True, "count": 7, "accuracy": np.ones(3)}, r"'accuracy' got an array \(3,\)"),
        ({"fact": True, "count": "7", "accuracy": None}, "'count' got '7'"),
    ],
)
def test_wrong_measurements_are_refused_by_name(
    three: None, measured: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        claims.check("99", "quick", measured)


def test_an_unknown_profile_is_refused(three: None) -> None:
    with pytest.raises(ValueError, match="quick, laptop, lecture"):
        claims.check("99", "fast", {})


def test_findings_are_found_again_by_profile(three: None, records: Path) -> None:
    assert findings.load("quick") == {}
    checked = claims.check(
        "99", "quick", {"fact": False, "count": 7.0, "accuracy": measure.Interval(0.9, 0.8, 1.0)}
    )
    assert findings.load("quick") == {finding.id: finding for finding in checked.findings}
    assert findings.load("laptop") == {}
    assert [file.name for file in records.iterdir()] == ["99.claims.json"]


def test_without_a_run_findings_go_to_the_cache(
    three: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(findings.FOLDER_VARIABLE)
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    assert (tmp_path / "cache/records/quick/99.claims.json").exists()


def test_claims_that_are_no_longer_listed_are_left_out(
    three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    monkeypatch.delitem(statements.CLAIMS, "count")
    assert set(findings.load("quick")) == {"fact", "accuracy"}


@pytest.mark.parametrize("damage", ["{", "[]", '{"profile": "quick"}', '{"claims": [{"x": 1}]}'])
def test_a_damaged_file_is_named(records: Path, damage: str) -> None:
    records.mkdir()
    (records / "05.claims.json").write_text(damage)
    with pytest.raises(ValueError, match=r"05\.claims\.json .* run notebook 05 again"):
        findings.load("quick")


def test_the_table_reads_as_text_and_as_html(three: None) -> None:
    checked = claims.check(
        "99", "laptop", {"fact": False, "count": 7, "accuracy": measure.Interval(0.75, 0.7, 0.8)}
    )
    shown = checked._repr_mimebundle_()
    assert shown["text/plain"].splitlines() == [
        "the lecture says  measured                 verdict",
        "It is so          not so                   differs",
        "    today: it is <not> so",
        "Seven             7                        holds",
        "70+ %             75.0 % (70.0 to 80.0 %)  holds",
    ]
    assert "it is &lt;not&gt; so" in shown["text/html"]
    assert shown["text/html"].count('scope="row"') == 3
    assert "<caption>Claims of notebook 99, profile laptop</caption>" in shown["text/html"]


def test_importing_claims_imports_no_keras() -> None:
    code = "import sys, cvlab.course.claims; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_claim_that_stops_holding_fails_nbval_by_name(tmp_path: Path) -> None:
    """The way in which `make test` would notice: compared output of the verdict cell."""
    source = (
        "from cvlab.course import claims\n"
        'print(claims.check("05", "quick", {"subset-counts": COUNTS}).verdicts())'
    )
    path = tmp_path / "04_small.ipynb"
    notebook = new_notebook(
        cells=[new_code_cell("COUNTS = True"), new_code_cell(source)],
        metadata=execution.CLEAN_METADATA,
    )
    nbformat.write(notebook, path)
    execution.refresh(path)
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", str(path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0

    broken = json.loads(path.read_text())
    broken["cells"][0]["source"] = "COUNTS = False"
    path.write_text(json.dumps(broken))
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert re.search(r"subset-counts.*differs", failed.stdout)
