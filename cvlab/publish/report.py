"""The report of a run: one page with the ladder, every claim, times, and links to the notebooks.

`python -m cvlab.publish.report build FOLDER NOTEBOOKS...` turns what a run left in `build/<profile>` into
`index.html` and a page for each executed notebook; `slides` makes reveal.js slides of them;
`compare A B` lays two runs side by side. All pages open from disk, without network.
"""

import argparse
import base64
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Final

import nbformat

from cvlab import plots, profiles
from cvlab.course import statements
from cvlab.course.statements import DIFFERS, HOLDS, UNMEASURED
from cvlab.publish.pages import Link, notebook_page, page, slides, title_of
from cvlab.publish.results import NOT_RUN, Run, load, note_machine

_MARKS: Final = {HOLDS: "✓", DIFFERS: "✗", "passed": "✓", "failed": "✗"}


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
    executed = [name for name in titles if _executed(run, name) is not None]
    for before, name, after in zip(
        [None, *executed], executed, [*executed[1:], None], strict=False
    ):
        way = (
            Link(f"← {titles[before]}", f"{before}.html") if before else None,
            Link("Report", "index.html"),
            Link(f"{titles[after]} →", f"{after}.html") if after else None,
        )
        source = _executed(run, name)
        if source is not None:
            html = notebook_page(nbformat.read(source, as_version=4), way=way)
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
    passed = sum(record.verdict == "passed" for record in run.records.values())
    counts = Counter(run.verdict(claim) for claim in statements.CLAIMS)
    finished = max((record.finished for record in run.records.values()), default="")
    total = f"{run.seconds:.0f} s" if run.seconds < 120 else f"{run.seconds / 60:.1f} minutes"
    summary = (
        f"<p>{passed} of {len(titles)} notebooks passed, in {total} of computing"
        + (f", the last at {finished} UTC" if finished else "")
        + f". Of the lecture's {len(statements.CLAIMS)} claims "
        + ", ".join(f"{counts[v]} {_PLURAL[v]}" for v in _PLURAL if counts[v])
        + ".</p>"
    )
    parts = [
        f"<h1>From a convnet that overfits to a fine-tuned network: profile {run.profile}</h1>",
        summary,
        "<h2>The ladder</h2>",
        _ladder(run),
        "<h2>Every claim</h2>",
        _claims_table(run, titles),
        "<h2>The notebooks</h2>",
        _notebooks_table(run, titles),
        "<h2>The machine and the base</h2>",
        _facts(run.facts),
    ]
    return page(f"cvlab: report of the profile {run.profile}", "\n".join(parts))


_PLURAL: Final = {
    HOLDS: "hold",
    DIFFERS: "differ",
    UNMEASURED: "cannot be decided in this profile",
    NOT_RUN: "were not reached",
}


def _figure(figure: plots.Figure) -> str:
    picture = base64.b64encode(figure.svg().encode()).decode()
    source = f"data:image/svg+xml;base64,{picture}"
    return f'<figure tabindex="0"><img alt="{escape(figure.alt)}" src="{source}"></figure>'


def _pictures(profile: str) -> str:
    return "drawn pictures" if profiles.get(profile).source == "toypets" else "photos"


def _ladder(run: Run) -> str:
    rungs = run.ladder()
    if not rungs:
        return "<p>No rung of the ladder has been measured: run notebooks 05 to 11.</p>"
    figure = plots.accuracies(
        rungs,
        lecture=dict(statements.LADDER.values()),
        xlabel=f"test accuracy (measured: {_pictures(run.profile)}; lecture: photos)",
    )
    missing = [name for name, _ in statements.LADDER.values() if name not in rungs]
    note = f"<p>Not measured: {escape(', '.join(missing))}.</p>" if missing else ""
    return _figure(figure) + note


def _table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column heads its rows, and whose rows become lists on a phone.

    Cells are HTML. Roles are said although `table` has them, because a table that is laid out as
    a list loses them.
    """
    head = "".join(f'<th scope="col" role="columnheader">{escape(h)}</th>' for h in headings)
    lines = []
    for row in rows:
        cells = "".join(
            f'<td role="cell" data-label="{escape(heading)}">{cell}</td>'
            for heading, cell in zip(headings[1:], row[1:], strict=True)
        )
        first = f'<th scope="row" role="rowheader">{row[0]}</th>'
        lines.append(f'<tr role="row">{first}{cells}</tr>')
    return (
        f'<table class="stack" role="table"><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(lines)}</tbody></table>'
    )


def _verdict(verdict: str) -> str:
    mark = _MARKS.get(verdict, "–")
    return f'<span class="verdict {verdict.replace(" ", "-")}">{mark} {verdict}</span>'


def _says(claim: statements.Claim, differs: bool) -> str:
    erratum = f", erratum {claim.erratum}" if claim.erratum else ""
    step = escape(f"Step {claim.step}, {statements.STEPS[claim.step]}{erratum}")
    today = f"<br><small>Today: {escape(claim.today)}</small>" if differs and claim.today else ""
    return f"{escape(claim.says)}{today}<br><small>{step}</small>"


def _claims_table(run: Run, titles: Mapping[str, str]) -> str:
    pages = {name[:2]: name for name in titles if _executed(run, name)}
    rows = []
    for name, claim in statements.CLAIMS.items():
        verdict = run.verdict(name)
        number = claim.notebook
        home = f'<a href="{pages[number]}.html">{number}</a>' if number in pages else number
        measured = escape(run.measured(name))
        rows.append((_says(claim, verdict == DIFFERS), measured, _verdict(verdict), home))
    headings = ("The lecture says", "Measured", "Verdict", "Notebook")
    return _table("The lecture's claims and what was measured", headings, rows)


def _notebooks_table(run: Run, titles: Mapping[str, str]) -> str:
    rows = []
    for name, title in titles.items():
        record = run.records.get(name)
        if record is None:
            rows.append((escape(title), "–", _verdict(NOT_RUN)))
            continue
        error = (
            f"<br><small>Cell {record.cell}: {escape(record.error)}</small>" if record.error else ""
        )
        linked = f'<a href="{name}.html">{escape(title)}</a>{error}'
        rows.append((linked, f"{record.seconds:.1f}", _verdict(record.verdict)))
    return _table("Executed notebooks", ("Notebook", "Seconds", "Verdict"), rows)


def _facts(facts: Mapping[str, str]) -> str:
    rows = [(escape(name), escape(value)) for name, value in facts.items()]
    return _table("Where this was measured", ("What", "Which"), rows)


def comparison(first: Run, second: Run) -> str:
    """The page that lays two runs side by side."""
    names = [f"{run.profile} ({run.folder})" for run in (first, second)]
    if first.profile != second.profile:
        names = [run.profile for run in (first, second)]
    claims_rows = []
    for name, claim in statements.CLAIMS.items():
        verdicts = [run.verdict(name) for run in (first, second)]
        cells = [
            f"{escape(run.measured(name))}<br>{_verdict(verdict)}"
            for run, verdict in zip((first, second), verdicts, strict=True)
        ]
        same = "same" if verdicts[0] == verdicts[1] else "<strong>differ</strong>"
        claims_rows.append((_says(claim, DIFFERS in verdicts), *cells, same))
    notebooks_rows = []
    for name in sorted(first.records.keys() | second.records.keys()):
        records = [run.records.get(name) for run in (first, second)]
        seconds = [f"{record.seconds:.1f} s" if record else "–" for record in records]
        ratio = "–"
        if records[0] and records[1]:
            ratio = f"{records[1].seconds / max(records[0].seconds, 0.1):.2f}"
        notebooks_rows.append((escape(name), *seconds, ratio))
    facts_rows = [
        (escape(name), *(escape(run.facts.get(name, "–")) for run in (first, second)))
        for name in dict.fromkeys([*first.facts, *second.facts])
    ]
    parts = [
        f"<h1>{escape(names[0])} and {escape(names[1])}, side by side</h1>",
        "<h2>The ladder</h2>",
        _two_ladders(first, second, names),
        "<h2>Every claim</h2>",
        _table("Claims", ("The lecture says", *names, "Verdicts"), claims_rows),
        "<h2>The notebooks</h2>",
        _table("Seconds", ("Notebook", *names, "Second / first"), notebooks_rows),
        "<h2>The machines</h2>",
        _table("Where they were measured", ("What", *names), facts_rows),
    ]
    return page(f"cvlab: {names[0]} and {names[1]}", "\n".join(parts))


def _two_ladders(first: Run, second: Run, names: Sequence[str]) -> str:
    ladders = (first.ladder(), second.ladder())
    rungs = [
        name for name, _ in statements.LADDER.values() if any(name in each for each in ladders)
    ]
    if not rungs:
        return "<p>No rung of the ladder has been measured in either run.</p>"
    figures, measured, told = dict(statements.LADDER.values()), {}, {}
    for rung in rungs:
        for name, ladder in zip(names, ladders, strict=True):
            if rung in ladder:
                label = f"{rung}, {name}"
                measured[label], told[label] = ladder[rung], figures[rung]
    return _figure(
        plots.accuracies(
            measured,
            lecture=told,
            xlabel=f"test accuracy ({_pictures(first.profile)}, {_pictures(second.profile)}; "
            "lecture: photos)",
        )
    )


def make_slides(folder: Path, notebooks: Sequence[Path]) -> list[Path]:
    """Write reveal.js slides of notebooks with outputs.

    Args:
        folder: Where they go, `NAME.html` each, with an `index.html` that lists them.
        notebooks: Executed notebooks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, items = [], []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        target = folder / f"{path.stem}.html"
        target.write_text(slides(notebook), encoding="utf-8")
        written.append(target)
        items.append(f'<li><a href="{target.name}">{escape(title_of(notebook))}</a></li>')
    content = (
        "<h1>Slides</h1>\n<p>Right and left go through the sections, down and up through one; "
        f"Escape shows all slides, F fills the screen.</p>\n<ul>\n{''.join(items)}\n</ul>"
    )
    (folder / "index.html").write_text(page("cvlab: slides", content), encoding="utf-8")
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m cvlab.publish.report`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="cvlab.publish.report", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("build", help="the report of a run")
    whole.add_argument("folder", type=Path)
    whole.add_argument("notebooks", nargs="+", type=Path)
    decks = commands.add_parser("slides", help="slides of notebooks")
    decks.add_argument("folder", type=Path)
    decks.add_argument("notebooks", nargs="+", type=Path)
    two = commands.add_parser("compare", help="two runs side by side")
    two.add_argument("first", type=Path)
    two.add_argument("second", type=Path)
    two.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            print(f"report: {build(options.folder, options.notebooks)}")
        elif options.command == "slides":
            written = make_slides(options.folder, options.notebooks)
            print(f"{len(written)} notebooks as slides: {options.folder / 'index.html'}")
        else:
            html = comparison(load(options.first), load(options.second))
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(html, encoding="utf-8")
            print(f"comparison: {options.out}")
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
