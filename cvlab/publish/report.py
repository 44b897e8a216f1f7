"""The report of a run: one page with the ladder, every claim, times, and links to the notebooks.

A second page sets two runs side by side, and slides can be made of the notebooks. All pages open
from disk, without network.
"""

import base64
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import nbformat

from cvlab import plots, profiles
from cvlab.course import recorded, statements
from cvlab.course.statements import DIFFERS, HOLDS, UNDECIDED, UNDETECTABLE
from cvlab.evaluation.measure import Interval
from cvlab.publish.pages import notebook_page, page, slides, title_of
from cvlab.publish.results import NOT_RUN, Run, ladder_of, load, note_machine

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
    own = {f"{run.profile}: {_images(run.profile)}": rungs}
    return page(
        "report.html",
        f"cvlab: report of the profile {run.profile}",
        run=run,
        titles=titles,
        passed=sum(record.verdict == "passed" for record in run.records.values()),
        total=f"{run.seconds:.0f} s" if run.seconds < 120 else f"{run.seconds / 60:.1f} minutes",
        finished=max((record.finished for record in run.records.values()), default=""),
        counts=[f"{counts[verdict]} {_PLURAL[verdict]}" for verdict in _PLURAL if counts[verdict]],
        ladder=_ladder(own | _on_photos(rungs, run.profile)),
        missing=[name for name, _ in statements.LADDER.values() if name not in rungs],
        pages={name[:2]: name for name in titles if _executed(run, name)},
        **_LECTURE,
    )


def _ladder(climbs: Mapping[str, Mapping[str, Interval]]) -> dict[str, str] | None:
    """Ladders as a template shows them, with the rungs that all have; None if there are none."""
    lecture = dict(statements.LADDER.values())
    rungs = [rung for rung in lecture if all(rung in climb for climb in climbs.values())]
    if not rungs:
        return None
    drawn = {label: [climb[rung] for rung in rungs] for label, climb in climbs.items()}
    drawn["the lecture's figures"] = [Interval(*[lecture[rung]] * 3) for rung in rungs]
    figure = plots.ladder(rungs, drawn, {})
    return {"alt": figure.alt, "base64": base64.b64encode(figure.svg().encode()).decode()}


def _on_photos(rungs: Collection[str], profile: str) -> dict[str, dict[str, Interval]]:
    """The recorded runs on photos, except that of a profile, that have these rungs."""
    runs = {name: recorded.load(name) for name in recorded.DECIDING if name != profile}
    climbs = {f"{name}, recorded: photos": ladder_of(run.findings) for name, run in runs.items()}
    return {label: climb for label, climb in climbs.items() if set(rungs) <= set(climb)}


def _images(profile: str) -> str:
    return "drawings" if profiles.get(profile).source == "toypets" else "photos"


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
        ladder=_ladder(
            {
                f"{name}: {_images(run.profile)}": run.ladder()
                for name, run in zip(names, runs, strict=True)
            }
        ),
        notebooks=notebooks,
        facts=[
            (name, *(run.facts.get(name, "–") for run in runs))
            for name in first.facts | second.facts
        ],
        **_LECTURE,
    )


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
