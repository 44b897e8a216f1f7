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

from cvlab.course import claims, statements
from cvlab.course.statements import DIFFERS, HOLDS, UNMEASURED, Claim
from cvlab.evaluation import measure
from cvlab.publish import execution


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(claims.FOLDER_VARIABLE, str(tmp_path / "records"))
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
    assert errata == set(statements.ERRATA) == {*range(1, 15)}


def test_every_claim_is_well_formed() -> None:
    notebooks = {f"{number:02}" for number in range(15)}
    assert {claim.notebook for claim in statements.CLAIMS.values()} == notebooks
    for name, claim in statements.CLAIMS.items():
        assert name == claim.id
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert claim.profiles
        assert set(claim.profiles) <= set(statements.ALL)
        assert claim.quick in (HOLDS, DIFFERS)
        bounds = claim.bounds
        assert bounds is None or bounds[0] <= bounds[1]
        assert not claim.percent or (bounds is not None and 0 <= bounds[0] <= bounds[1] <= 1)
        # What is known not to hold says what does.
        assert claim.today or claim.expected() != DIFFERS


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
    verdict = claims._find(claim, "quick", interval).verdict
    if verdict == HOLDS:
        assert meets
    else:
        assert not any(figure in interval for figure in grid)


def test_a_profile_that_cannot_decide_shows_the_figure_and_no_verdict(three: None) -> None:
    checked = claims.check(
        "99", "quick", {"fact": True, "count": np.int64(7), "accuracy": np.array([True, False])}
    )
    accuracy = checked.findings[2]
    assert accuracy.verdict == UNMEASURED
    assert accuracy.measured().startswith("50.0 % (")
    assert "with this profile's pictures and base" in accuracy.measured()
    nothing = claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    assert (nothing.findings[2].verdict, nothing.findings[2].measured()) == (UNMEASURED, "–")


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
    assert claims.load("quick") == {}
    checked = claims.check(
        "99", "quick", {"fact": False, "count": 7.0, "accuracy": measure.Interval(0.9, 0.8, 1.0)}
    )
    assert claims.load("quick") == {finding.id: finding for finding in checked.findings}
    assert claims.load("laptop") == {}
    assert [file.name for file in records.iterdir()] == ["99.claims.json"]


def test_without_a_run_findings_go_to_the_cache(
    three: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(claims.FOLDER_VARIABLE)
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    assert (tmp_path / "cache/records/quick/99.claims.json").exists()


def test_claims_that_are_no_longer_listed_are_left_out(
    three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims.check("99", "quick", {"fact": True, "count": 7, "accuracy": None})
    monkeypatch.delitem(statements.CLAIMS, "count")
    assert set(claims.load("quick")) == {"fact", "accuracy"}


@pytest.mark.parametrize("damage", ["{", "[]", '{"profile": "quick"}', '{"claims": [{"x": 1}]}'])
def test_a_damaged_file_is_named(records: Path, damage: str) -> None:
    records.mkdir()
    (records / "05.claims.json").write_text(damage)
    with pytest.raises(ValueError, match=r"05\.claims\.json .* run notebook 05 again"):
        claims.load("quick")


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
        'print(claims.check("04", "quick", {"subset-counts": COUNTS}).verdicts())'
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
