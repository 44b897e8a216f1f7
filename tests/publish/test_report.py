"""The report of a run: every claim, every notebook, honest gaps; two runs side by side."""

import html
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cvlab.course import claims, findings, machine, recorded, statements
from cvlab.publish import command, execution, report, results
from cvlab.publish.outcomes import Record

RIGHT = np.arange(100) < 80


def write(path: Path, title: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = new_code_cell("1", outputs=[new_output("stream", text="done")], execution_count=1)
    cells = [new_markdown_cell(f"# {title}"), cell]
    nbformat.write(new_notebook(cells=cells, metadata=execution.CLEAN_METADATA), path)


def measurements(notebook: str, profile: str) -> dict[str, claims.Measured]:
    """For each claim of a notebook something that makes it hold, where the profile can decide."""
    found: dict[str, claims.Measured] = {}
    for claim in statements.of_notebook(notebook):
        if claim.id in statements.LADDER:
            found[claim.id] = RIGHT
        elif profile not in claim.profiles:
            found[claim.id] = None
        else:
            found[claim.id] = True if claim.bounds is None else claim.bounds[0]
    return found


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    names = {
        "00_start": "00 · Start <here>",
        "06_baseline": "06 · Baseline",
        "09_last": "09 · Last",
    }
    for name, title in names.items():
        write(tmp_path / f"lectures/{name}.ipynb", title)
    return [tmp_path / f"lectures/{name}.ipynb" for name in names]


def make_run(folder: Path, profile: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in which 00 passed, 06 failed after its claims, and 09 was not reached."""
    monkeypatch.setenv(findings.FOLDER_VARIABLE, str(folder / "records"))
    write(folder / "00_start.ipynb", "00 · Start <here>")
    write(folder / "06_baseline.failed.ipynb", "06 · Baseline")
    Record("00_start", profile, 1.5, "passed", finished="2026-01-31 17:05").save(folder)
    error = "fit(<data>) -> ValueError: no"
    Record("06_baseline", profile, 200, "failed", 7, error, "2026-01-31 17:09").save(folder)
    for notebook in ("00", "06"):
        claims.check(notebook, profile, measurements(notebook, profile))
    facts = json.dumps({"Cores": "2", "GPU": "none"})
    (folder / "records/machine.json").write_text(facts)
    return folder


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_run(tmp_path / "build/quick", "quick", monkeypatch)


def rows(page: str, caption: str) -> dict[str, list[str]]:
    """Cells by the heading of their row, tags taken off, of the table with a caption."""
    table = page.partition(f"<caption>{caption}</caption>")[2].partition("</table>")[0]
    found = {}
    for row in re.findall(r'<tr role="row">(<th scope="row".*?)</tr>', table, flags=re.DOTALL):
        cells = [
            re.sub(r" +", " ", html.unescape(re.sub(r"<[^>]+>", " ", cell))).strip()
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)
        ]
        found[cells[0]] = cells[1:]
    return found


def test_the_report_names_every_claim_and_every_notebook(quick: Path, sources: list[Path]) -> None:
    page = report.build(quick, sources).read_text(encoding="utf-8")
    told = rows(page, "The lecture&#39;s claims and what was measured")
    assert len(told) == len(statements.CLAIMS)
    by_claim = {
        name: next(cells for heading, cells in told.items() if heading.startswith(claim.says))
        for name, claim in statements.CLAIMS.items()
    }
    assert by_claim["small-cnn-parameters"] == ["3,453,121", "✓ holds", "06"]
    run, photos = recorded.deciding("baseline-accuracy") or pytest.fail("no run decides")
    assert by_claim["baseline-accuracy"][0] == (
        f"{photos.measured()} on photos (run {run}); 80.0 % (71.1 to 86.7 %) here"
    )
    assert by_claim["baseline-accuracy"][1].endswith(photos.verdict)
    assert by_claim["extraction-accuracy"] == ["–", "– not run", "10"]

    notebooks = rows(page, "Executed notebooks")
    assert notebooks["00 · Start <here>"] == ["1.5", "✓ passed"]
    assert notebooks["06 · Baseline Cell 7: fit(<data>) -> ValueError: no"] == ["200.0", "✗ failed"]
    assert notebooks["09 · Last"] == ["–", "– not run"]
    assert (
        "1 of 3 notebooks passed, in 3.4 minutes of computing, the last at 2026-01-31 17:09" in page
    )
    assert rows(page, "Where this was measured")["Cores"] == ["2"]


def test_the_ladder_has_words_and_says_what_is_missing(quick: Path, sources: list[Path]) -> None:
    page = report.build(quick, sources).read_text(encoding="utf-8")
    alt = re.findall(r'<img alt="([^"]+)"', page)
    assert len(alt) == 1
    assert "quick: drawings: 80.0%" in alt[0]
    assert "laptop, recorded: photos: " in alt[0]
    assert "the lecture&#39;s figures: 70.0%" in alt[0]
    assert "Not measured: + augmentation, + dropout, feature extraction" in page


def test_every_executed_notebook_has_a_page_and_a_way_on(quick: Path, sources: list[Path]) -> None:
    report.build(quick, sources)
    first = (quick / "00_start.html").read_text(encoding="utf-8")
    second = (quick / "06_baseline.html").read_text(encoding="utf-8")
    assert '<a href="06_baseline.html">06 · Baseline →</a>' in first
    assert '<a href="00_start.html">← 00 · Start &lt;here&gt;</a>' in second
    assert "09_last" not in second
    assert not (quick / "09_last.html").exists()
    page = (quick / "index.html").read_text(encoding="utf-8")
    for link in re.findall(r'href="([^"#]+)"', page):
        assert (quick / link).exists(), link


def test_records_of_notebooks_that_are_gone_do_not_count(quick: Path, sources: list[Path]) -> None:
    Record("06_renamed", "quick", 3600, "passed", finished="2026-01-30 17:05").save(quick)
    report.build(quick, sources)
    page = (quick / "index.html").read_text(encoding="utf-8")
    assert "1 of 3 notebooks passed" in page
    assert "06_renamed" not in page


def test_damaged_findings_are_named(quick: Path, sources: list[Path]) -> None:
    (quick / "records/06.claims.json").write_text("{")
    with pytest.raises(ValueError, match=r"06\.claims\.json"):
        report.build(quick, sources)


def test_without_a_run_there_is_no_report(tmp_path: Path, sources: list[Path]) -> None:
    with pytest.raises(FileNotFoundError, match="cvlab lectures --profile quick"):
        report.build(tmp_path / "quick", sources)


def test_the_machine_is_asked_when_something_ran_since(
    quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    facts = machine.check(gpu=False)

    def check(*, gpu: bool) -> machine.Machine:
        asked.append(1)
        return facts

    monkeypatch.setattr(machine, "check", check)
    monkeypatch.setenv("CVLAB_BASE", "VGG19")  # which is not for the quick profile
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    results.note_machine(quick, "quick")
    assert asked == []
    (quick / "records/machine.json").unlink()
    results.note_machine(quick, "quick")
    assert len(asked) == 1
    noted = json.loads((quick / "records/machine.json").read_text())
    assert noted["GPU"] == "none"
    assert noted["Multiplies bfloat16"] == ("yes" if facts.bfloat16 else "no")
    assert noted["Pretrained base"] == "toy"
    assert noted["Keras runs on"] == "torch"


def test_two_runs_are_laid_side_by_side(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = make_run(tmp_path / "build/laptop", "laptop", monkeypatch)
    assert command.main(["compare", str(quick), str(laptop), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    told = rows(page, "Claims")
    accuracy = next(
        cells for heading, cells in told.items() if heading.startswith("Trained without")
    )
    assert "on photos (run" in accuracy[0]
    assert accuracy[1] == "80.0 % (71.1 to 86.7 %) ✓ holds"
    parameters = next(cells for heading, cells in told.items() if heading.startswith("3,453,121"))
    assert parameters[2] == "same"
    assert rows(page, "Seconds")["06_baseline"] == ["200.0 s", "200.0 s", "1.00"]
    assert "quick: drawings: 80.0%; laptop: photos: 80.0%" in page


def test_two_runs_of_one_profile_in_any_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [make_run(tmp_path / name, "quick", monkeypatch) for name in ("a", "b, c")]
    page = report.comparison(*map(results.load, both))
    assert page.count("b, c") >= 2


def test_slides_are_listed(tmp_path: Path, sources: list[Path]) -> None:
    report.make_slides(tmp_path / "slides", sources)
    listed = (tmp_path / "slides/index.html").read_text(encoding="utf-8")
    for source in sources:
        assert f'href="{source.stem}.html"' in listed
        assert "Reveal" in (tmp_path / f"slides/{source.stem}.html").read_text(encoding="utf-8")
