"""The report of a run: one page with the ladder, every claim, times, and links to the notebooks.

A second page sets two runs side by side, and slides can be made of the notebooks. All pages open
from disk, without network.
"""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import nbformat

from cvlab import plots, profiles
from cvlab.course import statements
from cvlab.course.statements import DIFFERS, HOLDS, UNDECIDED, UNDETECTABLE
from cvlab.evaluation.measure import Interval
from cvlab.publish.pages import notebook_page, page, slides, title_of
from cvlab.publish.results import NOT_RUN, Run, load, note_machine

_MARKS: Final = {HOLDS: "✓", DIFFERS: "✗", UNDETECTABLE: "~", "passed": "✓", "failed": "✗"}
_PLURAL: Final = {
    HOLDS: "hold",
    DIFFERS: "differ",
    UNDETECTABLE: "not detectable",
    UNDECIDED: "not decided",
    NOT_RUN: "were not reached",
}
# What both pages say about the lecture.
_LECTURE: Final = {
    "claims": statements.CLAIMS,
    "steps": statements.STEPS,
    "differs": DIFFERS,
    "not_run": NOT_RUN,
    "marks": _MARKS,
}


def build(folder: Path, notebooks: Sequence[Path]) -> Path:
    """Write the report of a run and the pages of its notebooks.

    Args:
        folder: Folder of the run, for example `build/quick`.
        notebooks: The notebooks in `lectures/` that should have run, in order.

    Returns:
        The report, `index.html` in that folder.

    Raises:
        FileNotFoundError: If no notebook has run there.
    """
    note_machine(folder, load(folder).profile)
    run = load(folder)
    titles = {path.stem: title_of(nbformat.read(path, as_version=4)) for path in notebooks}
    # Not those of notebooks that have another name by now.
    run = replace(run, records={n: one for n, one in run.records.items() if n in titles})
    executed = {name: file for name in titles if (file := _executed(run, name))}
    names = list(executed)
    before = [None, *((f"← {titles[name]}", f"{name}.html") for name in names[:-1])]
    after = [*((f"{titles[name]} →", f"{name}.html") for name in names[1:]), None]
    for (name, file), last, following in zip(executed.items(), before, after, strict=True):
        way = (last, ("Report", "index.html"), following)
        html = notebook_page(nbformat.read(file, as_version=4), way=way)
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    target = folder / "index.html"
    target.write_text(report(run, titles), encoding="utf-8")
    return target


def _executed(run: Run, name: str) -> Path | None:
    """The executed notebook, up to its error if it failed; None if it did not run."""
    for file in (run.folder / f"{name}.ipynb", run.folder / f"{name}.failed.ipynb"):
        if file.exists() and name in run.records:
            return file
    return None


def report(run: Run, titles: Mapping[str, str]) -> str:
    """The page about a run.

    Args:
        run: The run.
        titles: Title by name of the notebooks that should have run, in order.
    """
    counts = Counter(run.verdict(claim) for claim in statements.CLAIMS)
    rungs = run.ladder()
    xlabel = f"test accuracy (measured: {_images(run.profile)}; lecture: photos)"
    return page(
        "report.html",
        f"cvlab: report of the profile {run.profile}",
        run=run,
        titles=titles,
        passed=sum(record.verdict == "passed" for record in run.records.values()),
        total=f"{run.seconds:.0f} s" if run.seconds < 120 else f"{run.seconds / 60:.1f} minutes",
        finished=max((record.finished for record in run.records.values()), default=""),
        counts=[f"{counts[verdict]} {_PLURAL[verdict]}" for verdict in _PLURAL if counts[verdict]],
        ladder=_figure(rungs, dict(statements.LADDER.values()), xlabel),
        missing=[name for name, _ in statements.LADDER.values() if name not in rungs],
        pages={name[:2]: name for name in titles if _executed(run, name)},
        **_LECTURE,
    )


def _figure(
    measured: Mapping[str, Interval], lecture: Mapping[str, float], xlabel: str
) -> dict[str, str] | None:
    """The ladder as a template shows it; None if no rung was measured."""
    if not measured:
        return None
    figure = plots.accuracies(measured, lecture=lecture, xlabel=xlabel)
    return {"alt": figure.alt, "base64": base64.b64encode(figure.svg().encode()).decode()}


def _images(profile: str) -> str:
    return "drawn images" if profiles.get(profile).source == "toypets" else "photos"


def comparison(first: Run, second: Run) -> str:
    """The page that sets two runs side by side."""
    runs = (first, second)
    names = [run.profile for run in runs]
    if names[0] == names[1]:
        names = [f"{run.profile} ({run.folder})" for run in runs]
    notebooks = []
    for name in sorted(first.records.keys() | second.records.keys()):
        records = [run.records.get(name) for run in runs]
        seconds = [f"{record.seconds:.1f} s" if record else "–" for record in records]
        ratio = "–"
        if records[0] and records[1]:
            ratio = f"{records[1].seconds / max(records[0].seconds, 0.1):.2f}"
        notebooks.append((name, *seconds, ratio))
    return page(
        "comparison.html",
        f"cvlab: {names[0]} and {names[1]}",
        names=names,
        runs=runs,
        ladder=_two_ladders(runs, names),
        notebooks=notebooks,
        facts=[
            (name, *(run.facts.get(name, "–") for run in runs))
            for name in first.facts | second.facts
        ],
        **_LECTURE,
    )


def _two_ladders(runs: Sequence[Run], names: Sequence[str]) -> dict[str, str] | None:
    ladders = [(name, run.ladder()) for name, run in zip(names, runs, strict=True)]
    measured: dict[str, Interval] = {}
    lecture: dict[str, float] = {}
    for rung, figure in statements.LADDER.values():
        found = {f"{rung}, {name}": ladder[rung] for name, ladder in ladders if rung in ladder}
        measured |= found
        lecture |= dict.fromkeys(found, figure)
    images = ", ".join(_images(run.profile) for run in runs)
    return _figure(measured, lecture, f"test accuracy ({images}; lecture: photos)")


def make_slides(folder: Path, notebooks: Sequence[Path]) -> list[Path]:
    """Write reveal.js slides of notebooks with outputs.

    Args:
        folder: Where they go, `NAME.html` each, with an `index.html` that lists them.
        notebooks: Executed notebooks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    decks = []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        (folder / f"{path.stem}.html").write_text(slides(notebook), encoding="utf-8")
        decks.append((title_of(notebook), f"{path.stem}.html"))
    content = page("slides_index.html", "cvlab: slides", decks=decks)
    (folder / "index.html").write_text(content, encoding="utf-8")
    return [folder / address for _, address in decks]
