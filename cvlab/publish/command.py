"""The command line, `python -m cvlab COMMAND`: executes, checks and publishes the course.

Every command imports what it needs when it runs, so that help is there at once and without Keras.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cvlab import profiles

PROJECT: Final = Path(__file__).parents[2]
BACKENDS: Final = ("tensorflow", "jax", "torch")
# Measurements with options of their own, in `cvlab.experiments`.
_EXPERIMENTS: Final = {
    "pretrain": ("pretrain", "train the embedded base again on drawn animals (15 minutes)"),
    "ladder": ("ladder", "measure the whole ladder over several seeds (hours)"),
    "sheets": ("contact_sheets", "contact sheets of the drawn images, to look at"),
}
_PYTEST: Final = (
    *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
    *("--nbval", "--nbval-current-env", "--nbval-cell-timeout=600"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 1 for a failure, 2 for wrong arguments."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in _EXPERIMENTS:
        experiment = import_module(f"cvlab.experiments.{_EXPERIMENTS[given[0]][0]}")
        return int(experiment.main(given[1:]))
    parser = _parser()
    options = parser.parse_args(given)
    if options.run is None:
        parser.print_help()
        return 0
    try:
        return int(options.run(options))
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    course = argparse.ArgumentParser(add_help=False)
    course.add_argument(
        "--notebooks",
        type=Path,
        metavar="FOLDER",
        help="where the notebooks are; default: lectures, here or beside pyproject.toml",
    )
    course.add_argument(
        "--out", type=Path, default=Path("build"), help="folder of all results; default: build"
    )
    chosen = argparse.ArgumentParser(add_help=False, parents=[course])
    chosen.add_argument("names", nargs="*", metavar="NOTEBOOK", help="such as 05; default: all")
    profile = argparse.ArgumentParser(add_help=False)
    profile.add_argument("--profile", choices=list(profiles.PROFILES), help="default: quick")
    kernels = argparse.ArgumentParser(add_help=False, parents=[chosen])
    photos, weights, base = (os.environ.get(f"CVLAB_{n}") for n in ("PHOTOS", "WEIGHTS", "BASE"))
    backend = os.environ.get("KERAS_BACKEND") or next(filter(find_spec, BACKENDS), BACKENDS[0])
    kernels.add_argument("--photos", default=photos, metavar="PATH", help="zip or folder of photos")
    kernels.add_argument("--weights", default=weights, metavar="PATH", help="pretrained weights")
    kernels.add_argument("--base", default=base, metavar="NAME", help="base that they are for")
    kernels.add_argument("--backend", default=backend, choices=BACKENDS)
    kernels.add_argument(
        "-j", "--jobs", type=int, metavar="N", help="notebooks at a time; default: what fits"
    )

    parser = argparse.ArgumentParser(prog="python -m cvlab", description="The course's commands.")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(
        name: str, run: Callable[..., int] | None, text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=parents)
        command.set_defaults(run=run)
        return command

    add("help", None, "show this list")
    add("lectures", _lectures, "execute notebooks, then write the report", kernels, profile)
    add("report", _report, "write the report of a run again", course, profile)
    add("slides", _slides, "reveal.js slides of the notebooks", chosen, profile)
    add("student", _student, "copies without solutions and outputs", chosen)
    compare = add("compare", _compare, "two runs side by side", course)
    compare.add_argument("runs", nargs=2, type=Path, metavar="RUN", help="such as build/quick")
    add("record", _record, "keep the times and findings of a whole run", course, profile)
    add("refresh", _refresh, "run committed notebooks again, keep their outputs", kernels)
    contents = add("contents", _contents, "write contents, times and links again", course)
    contents.add_argument("--check", action="store_true", help="only say what would change")
    add("check", _check, "compare notebooks with their committed outputs (nbval)", kernels)
    add("lab", _lab, "open the course in JupyterLab", kernels)
    for name, (_, text) in _EXPERIMENTS.items():
        add(name, None, text)
    execute = commands.add_parser("execute", description="Execute one notebook; lectures does it.")
    execute.add_argument("source", type=Path)
    execute.add_argument("target", type=Path, nargs="?", help="none: the outputs go to the source")
    execute.add_argument("--profile", choices=list(profiles.PROFILES), default="quick")
    execute.add_argument("--inputs", default="")
    execute.set_defaults(run=_execute)
    return parser


def _sources(options: argparse.Namespace) -> list[Path]:
    """All notebooks of the course, or those that were named, in order."""
    folders = [options.notebooks] if options.notebooks else [Path("lectures"), PROJECT / "lectures"]
    found = next((f for one in folders if (f := sorted(one.glob("[0-9][0-9]_*.ipynb")))), [])
    if not found:
        raise FileNotFoundError(
            f"There are no notebooks in {folders[0]}: run this in the course's folder, or name the "
            "folder with --notebooks"
        )
    names = [Path(name).stem for name in getattr(options, "names", [])]
    known = {path.stem: path for path in found} | {path.stem[:2]: path for path in found}
    for name in names:
        if name not in known:
            raise ValueError(
                f"There is no notebook {name} in {found[0].parent}: it has "
                + ", ".join(path.stem for path in found)
            )
    return sorted({known[name] for name in names}) if names else found


def _environment(options: argparse.Namespace) -> None:
    """Set the variables that notebooks read, here and so for every process started from here."""
    for name in ("photos", "weights"):
        path = getattr(options, name)
        if path and not Path(path).exists():
            raise FileNotFoundError(
                f"There is nothing at {path}: check {name.upper()}= (with make), --{name} or "
                f"CVLAB_{name.upper()}"
            )
        # The notebooks run in their own folder, so paths must not depend on it.
        os.environ[f"CVLAB_{name.upper()}"] = str(Path(path).absolute()) if path else ""
    os.environ |= {
        "CVLAB_BASE": options.base or "",
        "KERAS_BACKEND": options.backend,
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this Python, not one installed by the user
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # several notebooks may share a GPU
        "PYTHONUTF8": "1",
    }
    os.environ.setdefault("CVLAB_CACHE", str((options.out / "cache").absolute()))
    if (PROJECT / "pyproject.toml").exists():  # a checkout that need not be installed
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def _pool(
    options: argparse.Namespace, command: Callable[[Path], Sequence[str] | None], profile: str
) -> list[str]:
    """Run a command for each notebook, several at a time; return the names of those that failed."""
    from cvlab.course import machine, recorded
    from cvlab.publish import schedule

    here = machine.check(gpu=False)
    gpu = shutil.which("nvidia-smi") is not None
    jobs = options.jobs or schedule.jobs_for(here.cores, here.memory_gib, gpu=gpu)
    known = recorded.load(profile).seconds
    tasks = [
        schedule.Task(path.stem, partial(command, path), known.get(path.stem))
        for path in _sources(options)
    ]
    # Bars inside the notebooks would be stored in them.
    environment = {"TQDM_DISABLE": "1", **schedule.threads(here.cores, jobs)}
    return schedule.run(tasks, jobs, environment)


def _lectures(options: argparse.Namespace) -> int:
    from cvlab.publish import inputs, outcomes, report

    profile = options.profile or ("laptop" if options.photos else "quick")
    if options.profile is None and options.photos:
        print("There are photos and no profile is named, so this is the profile laptop.")
    _environment(options)
    folder = options.out / profile
    names = ("CVLAB_PHOTOS", "CVLAB_WEIGHTS", "CVLAB_BASE", "KERAS_BACKEND")
    settings = {"profile": profile, **{name: os.environ[name] for name in names}}

    def command(path: Path) -> Sequence[str] | None:
        number = path.stem[:2]
        findings = sorted((folder / "records").glob("*.claims.json"))
        read = [file for file in findings if number == "13" and not file.name.startswith(number)]
        key = inputs.key(path, settings, read)
        if outcomes.Record.current(folder, path.stem, key):
            return None
        target = folder / path.name
        to = ("execute", str(path), str(target), "--profile", profile, "--inputs", key)
        return (sys.executable, "-m", "cvlab", *to)

    failed = _pool(options, command, profile)
    text, problems = outcomes.table(folder, [path.stem for path in _sources(options)])
    options.names = []
    print(f"report: {report.build(folder, _sources(options))}")
    print(text)
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    return int(bool(failed or problems))


def _execute(options: argparse.Namespace) -> int:
    from cvlab.publish import execution

    # The process that started this one passes on that it has to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if options.target is None:
        execution.refresh(options.source)
        return 0
    record = execution.execute(options.source, options.target, options.profile, options.inputs)
    return int(record.verdict != "passed")


def _refresh(options: argparse.Namespace) -> int:
    _environment(options)
    command = (sys.executable, "-m", "cvlab", "execute")
    return int(bool(_pool(options, lambda path: (*command, str(path)), "quick")))


def _check(options: argparse.Namespace) -> int:
    _environment(options)
    command = (sys.executable, *_PYTEST)
    return int(bool(_pool(options, lambda path: (*command, str(path)), "quick")))


def _lab(options: argparse.Namespace) -> int:
    _environment(options)
    command = (sys.executable, "-m", "jupyterlab", str(_sources(options)[0]))
    return subprocess.run(command, check=False).returncode


def _report(options: argparse.Namespace) -> int:
    from cvlab.publish import report

    print(f"report: {report.build(_run_folder(options), _sources(options))}")
    return 0


def _slides(options: argparse.Namespace) -> int:
    from cvlab.publish import report

    folder = _run_folder(options)
    executed = [path for one in _sources(options) if (path := folder / one.name).exists()]
    written = report.make_slides(folder / "slides", executed or _sources(options))
    print(f"{len(written)} notebooks as slides: {folder / 'slides/index.html'}")
    return 0


def _student(options: argparse.Namespace) -> int:
    from cvlab.publish import student

    written = student.copies(_sources(options), options.out / "student")
    print(f"{len(written)} notebooks without solutions are in {options.out / 'student'}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from cvlab.publish import report, results

    html = report.comparison(*map(results.load, options.runs))
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / "compare.html"
    target.write_text(html, encoding="utf-8")
    print(f"comparison: {target}")
    return 0


def _record(options: argparse.Namespace) -> int:
    from cvlab.course import recorded
    from cvlab.publish import contents, results

    profile = results.record(_run_folder(options))
    print(f"the run of {profile} is kept in {recorded.FILE.name}")
    contents.update(_sources(options))
    return 0


def _contents(options: argparse.Namespace) -> int:
    from cvlab.publish import contents

    changed = contents.update(_sources(options), check=options.check)
    for path in changed:
        print(f"{path}: contents, times or links {'differ' if options.check else 'written'}")
    if changed and options.check:
        print("Run `python -m cvlab contents` to write them.")
    return int(bool(changed and options.check))


def _run_folder(options: argparse.Namespace) -> Path:
    folder: Path = options.out / (options.profile or "quick")
    return folder
