"""One table of ratios from one run: `make bench`, or `make bench LONG=1` for the long rows too.

    python -m tests.bench.bench [--long] [--only data,augment] [--out build]

Runs every `tests/bench/*.py` in a process of its own, one after the other, and collects the rows
that they measure. A row sets ours beside another way, measured in the same run on the same cores.
Only ratios carry over to another machine; seconds drift with whatever else it does.
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cvlab import plots, precision
from cvlab.cache import cache_root
from cvlab.course import machine

# The runner sets it to the file in which a script leaves its rows.
ROWS_VARIABLE: Final = "CVLAB_BENCH_ROWS"
_PACKAGES: Final = ("keras", "tensorflow", "numpy", "opencv-python-headless")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Ours beside another way to do the same.

    Attributes:
        name: What is done, how often, at which size.
        against: The other way, or the limit.
        ours: Our figure.
        theirs: The other's figure, in the same unit.
        ratio: How many times better ours is: above 1 ours is ahead.
        unit: Of both figures; one that ends in "/s" is better when larger, others when smaller.
        goal: Least ratio to reach; None where there is none.
    """

    name: str
    against: str
    ours: float
    theirs: float
    ratio: float
    unit: str
    goal: float | None = None

    @property
    def verdict(self) -> str:
        """`reached` or `missed`, empty without a goal."""
        if self.goal is None:
            return ""
        return "reached" if self.ratio >= self.goal else "missed"


def compared(
    name: str,
    against: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    unit: str,
    goal: float | None = None,
) -> Row:
    """Make a row of two series measured in turns.

    Args:
        name: See `Row`.
        against: See `Row`.
        ours: Our figures, one a round, at least one.
        theirs: The other's, from the same rounds.
        unit: See `Row`.
        goal: See `Row`.

    Returns:
        Medians, and the median of the ratios within each round: a disturbance of the machine hits
        both sides of a round alike.

    Raises:
        ValueError: If the series are empty or of different length.
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(
            f"{name}: {len(ours)} rounds of ours and {len(theirs)} of {against}: measure both in "
            "every round, at least once"
        )
    pairs = zip(ours, theirs, strict=True)
    ratios = [a / b if unit.endswith("/s") else b / a for a, b in pairs]
    return Row(
        name=name,
        against=against,
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        ratio=statistics.median(ratios),
        unit=unit,
        goal=goal,
    )


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def source_of_pictures() -> tuple[str, Path]:
    """What `cvlab.data.load_images` reads for a benchmark, and a cache for what is made of it.

    Real photos if CVLAB_PHOTOS names them, else drawn pictures, which take a minute to draw once.
    """
    photos = os.environ.get("CVLAB_PHOTOS")
    return (photos or "toypets"), cache_root()


def rows(found: Sequence[Row]) -> None:
    """What a script ends with: print its rows and, under the runner, hand them over."""
    print(table(found))
    target = os.environ.get(ROWS_VARIABLE)
    if target:
        Path(target).write_text(json.dumps([asdict(row) for row in found]), encoding="utf-8")


def table(found: Sequence[Row]) -> str:
    """Lay rows out as text."""
    head = ("", "against", "ours", "theirs", "", "ratio", "goal", "")
    lines = [head]
    for row in found:
        goal = "" if row.goal is None else f"{row.goal:g}"
        figures = (_figure(row.ours), _figure(row.theirs), row.unit, f"{row.ratio:.3g} x")
        lines.append((row.name, row.against, *figures, goal, row.verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    right = {2, 3, 5, 6}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def picture(found: Sequence[Row]) -> plots.Figure:
    """Draw every ratio as a bar on a logarithmic scale, its goal as a mark."""
    words = "; ".join(f"{row.name} against {row.against}: {row.ratio:.3g} times" for row in found)
    with plots.style():
        fig, axes = plots.figure(
            width=9.5, height=1.3 + 0.32 * len(found), alt=f"How many times better ours is. {words}"
        )
        ax = axes[0, 0]
        for place, row in enumerate(found):
            ahead = row.ratio >= 1
            color, hatch = (plots.BLUE, "") if ahead else (plots.ORANGE, "//")
            ax.barh(
                place,
                row.ratio - 1,
                left=1,
                height=0.6,
                color=color,
                hatch=hatch,
                edgecolor=plots.CARD,
            )
            beyond = max(row.ratio, row.goal or 0, 1.0)
            ax.text(beyond * 1.12, place, f"{row.ratio:.3g}", va="center", fontsize=8)
            if row.goal is not None:
                ax.plot(
                    row.goal, place, marker="D", ls="none", mfc=plots.CARD, color=plots.INK, ms=6
                )
        ax.plot([], [], marker="D", ls="none", mfc=plots.CARD, color=plots.INK, ms=6, label="goal")
        ax.barh(0, 0, color=plots.BLUE, label="ours is ahead")
        ax.barh(0, 0, color=plots.ORANGE, hatch="//", edgecolor=plots.CARD, label="behind")
        ax.axvline(1, color=plots.MUTED, lw=1)
        ax.set_xscale("log")
        low = min(0.8, *(row.ratio for row in found)) * 0.8
        high = max(2.0, *(max(row.ratio, row.goal or 0) for row in found)) * 2
        ax.set_xlim(low, high)
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        ax.set_xticks([10.0**power for power in powers], [f"{10.0**power:g}" for power in powers])
        ax.set_yticks(
            range(len(found)), [f"{row.name}\nagainst {row.against}" for row in found], fontsize=7
        )
        ax.set_ylim(len(found) - 0.4, -0.6)
        ax.set_xlabel("times better than the other way, or than the limit (logarithmic)")
        fig.legend(loc="outside lower right", ncols=3)
    return fig


def facts() -> dict[str, str]:
    """The machine and the versions a run was measured with."""
    names = [
        line.split(":", 1)[1].strip()
        for line in _lines(Path("/proc/cpuinfo"))
        if line.startswith("model name")
    ]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.date.today().isoformat(),
        "processor": names[0] if names else platform.machine(),
        "cores": str(machine.check(gpu=False).cores),
        "bfloat16": "yes" if precision.multiplies_bfloat16() else "no",
        # For both sides of every comparison: see cvlab/__init__.py.
        "oneDNN": "off" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else "on",
        "load before": load,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else []


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def collect(script: Path, *options: str) -> list[Row]:
    """Run one script and return its rows.

    Raises:
        RuntimeError: If it fails or leaves no rows; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rows.json"
        environment = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TQDM_DISABLE": "1",
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            ROWS_VARIABLE: str(target),
        }
        done = subprocess.run([sys.executable, script, *options], env=environment, check=False)
        if done.returncode or not target.exists():
            raise RuntimeError(
                f"{script.name} ended with status {done.returncode} and "
                f"{'its' if target.exists() else 'no'} rows: run `python {script}` to see why"
            )
        return [Row(**entry) for entry in json.loads(target.read_text(encoding="utf-8"))]


def chosen(only: str, *, long: bool) -> list[Path]:
    """The scripts to run: all short ones, with `long` the long ones too, or those named.

    Raises:
        ValueError: If a name belongs to no script.
    """
    scripts = {path.stem: path for path in _scripts()}
    if only:
        names = [name.strip() for name in only.split(",")]
        unknown = sorted(set(names) - scripts.keys())
        if unknown:
            raise ValueError(
                f"there is no tests/bench/{unknown[0]}.py: choose from {', '.join(scripts)}"
            )
        return [scripts[name] for name in names]
    return [path for name, path in scripts.items() if long or name not in LONG]


_PAGE: Final = Path(__file__).parents[2] / "cvlab/publish/book/pages/speed.md"
# Scripts that take many minutes.
LONG: Final = ("accuracy",)


def _scripts() -> list[Path]:
    return sorted(
        path
        for path in Path(__file__).parent.glob("*.py")
        if path.stem not in ("bench", "peers", "mutants") and not path.stem.startswith("test_")
    )


def write(found: Sequence[Row], machine_facts: dict[str, str], out: Path) -> None:
    """Write a run as `bench.json` and `bench.svg`."""
    out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "machine": machine_facts,
        "rows": [{**asdict(row), "verdict": row.verdict} for row in found],
    }
    (out / "bench.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / "bench.svg").write_text(picture(found).svg(), encoding="utf-8")


def page(found: Sequence[Row], machine_facts: dict[str, str]) -> str:
    """Lay a run out as a page of the book."""
    lines = [
        "# How fast the course is",
        "",
        "Each row sets the course beside another way to do the same, or beside a limit, in one",
        "run on the same cores. Only ratios carry over to another machine; above 1 the course is",
        "ahead. `make bench` measures them on yours.",
        "",
        "| What, *against what* | Course | Other | Ratio | Goal |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in found:
        goal = "" if row.goal is None else f"{row.goal:g}, {row.verdict}"
        figures = (f"{_figure(row.ours)} {row.unit}", f"{_figure(row.theirs)} {row.unit}")
        cells = (f"{row.name}, *{row.against}*", *figures, f"{row.ratio:.3g}", goal)
        lines.append(f"| {' | '.join(cells)} |")
    measured = "; ".join(f"{name} {value}" for name, value in machine_facts.items())
    return "\n".join([*lines, "", f"Measured on: {measured}.", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status, 1 if a script failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="also what takes many minutes")
    parser.add_argument("--only", default="", help="names of scripts, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--page", action="store_true", help="also as a page of the book")
    options = parser.parse_args(arguments)
    try:
        scripts = chosen(options.only, long=options.long)
    except ValueError as error:
        parser.error(str(error))
    machine_facts = facts()
    found: list[Row] = []
    failed = []
    for script in scripts:
        print(f"== {script.name}", flush=True)
        try:
            found += collect(script)
        except RuntimeError as error:  # the other rows are still worth having
            failed.append(str(error))
    print("\n" + "; ".join(f"{name} {value}" for name, value in machine_facts.items()))
    if found:
        print(table(found))
        write(found, machine_facts, options.out)
        if options.page:
            _PAGE.write_text(page(found, machine_facts), encoding="utf-8")
        print(f"kept in {options.out}/bench.json and {options.out}/bench.svg")
    for message in failed:
        print(message, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
