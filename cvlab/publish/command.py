"""The command line, `python -m cvlab COMMAND`: executes, checks and publishes the course.

Every command imports what it needs when it runs, so that help is there at once and without Keras.
"""

import argparse
import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from cvlab import profiles
from cvlab.course import machine

PROJECT: Final = Path(__file__).parents[2]
# Measurements with options of their own, in `cvlab.experiments`.
_EXPERIMENTS: Final = {
    "pretrain": ("pretrain", "train the embedded base again on drawn animals (15 minutes)"),
    "ladder": ("ladder", "measure the whole ladder over several seeds (hours)"),
    "vgg16": ("vgg16", "measure transfer with VGG16 on real photos over several seeds (hours)"),
    "trust": ("trust", "measure calibration and robustness on real photos (half an hour)"),
    "sheets": ("contact_sheets", "contact sheets of the drawn images, to look at"),
    "probes": ("probes", "probe bases at several sizes, alone and side by side (half an hour)"),
    "fine-tuning": ("fine_tuning", "measure ways to fine-tune on real photos (an hour)"),
    "photo-features": ("photo_features", "make the shipped features of real photos again"),
    "export-formats": ("export_formats", "measure export formats on MobileNet and real photos"),
    "batch-and-rate": ("batch_and_rate", "train the networks of 03's interactive figure again"),
}
# What Python runs for a notebook.
_EXECUTE: Final = ("-m", "cvlab", "execute")
_PYTEST: Final = (
    *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-p", "no:hypothesispytest", "--noconftest"),
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
        return options.run(options) or 0  # most commands either succeed or raise
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cvlab", description="The course's commands.")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    groups = {name: argparse.ArgumentParser(add_help=False) for name in ("all", "some", "profile")}
    add = groups["all"].add_argument
    add("--notebooks", type=Path, metavar="FOLDER", help="of the notebooks; default: lectures")
    add("--out", type=Path, metavar="FOLDER", default=Path("build"), help="default: build")
    groups["some"].add_argument("names", nargs="*", metavar="NOTEBOOK", help="such as 06")
    groups["profile"].add_argument("--profile", choices=[*profiles.PROFILES], help="default: quick")
    groups["kernels"] = _kernels()
    added = {}
    for name, (run, text, *names) in _COMMANDS.items():
        parents = [groups[group] for group in names]
        added[name] = commands.add_parser(name, help=text, description=text, parents=parents)
        added[name].set_defaults(run=run)
    added["compare"].add_argument("runs", nargs=2, type=Path, metavar="RUN")
    added["release"].add_argument("version", metavar="VERSION", help="such as 0.2.0")
    added["release"].add_argument(
        "names", nargs="*", metavar="NOTEBOOK", help="to try; default: all"
    )
    formats = ("copies", "nbgrader")
    added["student"].add_argument("--format", choices=formats, default=formats[0])
    added["lab"].add_argument("--masters", action="store_true", help="the committed notebooks")
    added["contents"].add_argument("--check", action="store_true", help="only name changes")
    add = added["app"].add_argument
    add("--model", metavar="FILE", help=".keras; default: the embedded base, trained on drawings")
    add("--port", type=int, metavar="N", help="default: the first free one from 7860 on")
    add("--temperature", type=float, default=1.0, metavar="T", help="divides the logit; default: 1")
    for name, (_, text) in _EXPERIMENTS.items():
        commands.add_parser(name, help=text)
    execute = commands.add_parser("execute", description="Execute one notebook; lectures does it.")
    execute.add_argument("source", type=Path)
    execute.add_argument("target", type=Path, nargs="?")
    execute.add_argument("--profile", choices=list(profiles.PROFILES), default="quick")
    execute.add_argument("--inputs", default="")
    execute.set_defaults(run=_execute)
    return parser


def _kernels() -> argparse.ArgumentParser:
    """Options of the commands that start kernels; what is not given comes from the environment."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, metavar, text in (
        ("photos", "PATH", "zip or folder of real photos"),
        ("other", "PATH", "folder of another source, with cats/ and dogs/ (notebook 16)"),
        ("weights", "PATH", "file of pretrained weights"),
        ("base", "NAME", "the base that they are for"),
    ):
        default = os.environ.get(f"CVLAB_{name.upper()}")
        parser.add_argument(f"--{name}", default=default, metavar=metavar, help=text)
    backends = list(machine.BACKENDS)
    installed = next(filter(find_spec, backends), backends[0])
    backend = os.environ.get("KERAS_BACKEND") or installed
    parser.add_argument("--backend", default=backend, choices=backends)
    parser.add_argument("-j", "--jobs", type=_count, metavar="N", help="notebooks at a time")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few: 1 or more run at a time")
    return number


def _folders() -> list[Path]:
    """Where the notebooks may be: here, beside the package, or where an installer put them."""
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    # pip's option --target puts everything into the package's own folder.
    bases = (PROJECT, *(Path(sysconfig.get_path("data", scheme)) for scheme in schemes))
    installed = (base / "share" / "cvlab" / "lectures" for base in bases)
    return [Path("lectures"), PROJECT / "lectures", *installed]


def _sources(options: argparse.Namespace, *, every: bool = False) -> list[Path]:
    """The notebooks of the course, `every` one or those that were named, in order."""
    folders = [options.notebooks] if options.notebooks else _folders()
    found = next((f for one in folders if (f := sorted(one.glob("[0-9][0-9]_*.ipynb")))), [])
    if not found:
        raise FileNotFoundError(
            f"There are no notebooks in {folders[0]}: run this in the course's folder, or name the "
            "folder with --notebooks"
        )
    names = [] if every else [Path(name).stem for name in getattr(options, "names", [])]
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
    for name in ("photos", "other", "weights"):
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
    cache = Path(os.environ.get("CVLAB_CACHE") or options.out / "cache")
    os.environ["CVLAB_CACHE"] = str(cache.absolute())
    if (PROJECT / "pyproject.toml").exists():  # a checkout that need not be installed
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def _pool(
    options: argparse.Namespace, command: Callable[[Path], Sequence[str] | None], profile: str
) -> list[str]:
    """Run a command for each notebook, several at a time; return the names of those that failed."""
    from cvlab.course import recorded
    from cvlab.publish import schedule, warm

    here = machine.check(gpu=False)
    gpu_gib = machine.gpu_memory_gib()
    fitting = schedule.jobs_for(here.cores, here.memory_gib, gpu_gib)
    jobs = options.jobs or fitting
    known = recorded.load(profile).seconds
    tasks = [
        schedule.Task(path.stem, partial(command, path), known.get(path.stem))
        for path in _sources(options)
    ]
    # Bars inside the notebooks would be stored in them.
    environment = {"TQDM_DISABLE": "1", **schedule.threads(here.cores, jobs)}
    if sys.platform != "linux":  # forks of what macOS has loaded may hang; Windows has none
        return schedule.run(tasks, jobs, environment)
    modules = warm.libraries(_sources(options), options.backend, gpu=gpu_gib is not None)
    return schedule.run(tasks, jobs, environment, partial(warm.start, modules=modules))


def _lectures(options: argparse.Namespace) -> int:
    from cvlab.publish import inputs, outcomes

    profile = options.profile or ("laptop" if options.photos else "quick")
    if options.profile is None and options.photos:
        print("There are photos and no profile is named, so this is the profile laptop.")
    _environment(options)
    folder = options.out / profile
    names = ("CVLAB_PHOTOS", "CVLAB_OTHER", "CVLAB_WEIGHTS", "CVLAB_BASE", "KERAS_BACKEND")
    settings = {"profile": profile, **{name: os.environ[name] for name in names}}

    def command(path: Path) -> Sequence[str] | None:
        number = path.stem[:2]
        findings = sorted((folder / "records").glob("*.claims.json"))
        read = [file for file in findings if number == "14" and not file.name.startswith(number)]
        key = inputs.key(path, settings, read)
        if outcomes.Record.current(folder, path.stem, key):
            return None
        target = folder / path.name
        to = (str(path), str(target), "--profile", profile, "--inputs", key)
        return (sys.executable, *_EXECUTE, *to)

    failed = _pool(options, command, profile)
    text, problems = outcomes.table(folder, [path.stem for path in _sources(options)])
    print(text, flush=True)
    for problem in problems:
        print(f"\n{problem}", file=sys.stderr)
    from cvlab.publish import report  # takes two seconds, which no notebook has to wait for

    print(f"report: {report.build(folder, _sources(options, every=True))}")
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


def _each(arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Run Python with the same arguments for each notebook."""
    _environment(options)
    failed = _pool(options, lambda path: (sys.executable, *arguments, str(path)), "quick")
    return int(bool(failed))


_refresh, _check = partial(_each, _EXECUTE), partial(_each, _PYTEST)


def _lab(options: argparse.Namespace) -> None:
    from cvlab.publish import workbench

    _environment(options)
    notebooks = _sources(options)
    if not options.masters:
        folder = options.out / "course"
        for path in workbench.refresh(_sources(options, every=True), folder):
            print(f"{path} has your edits and stays. Delete it to get the newer version.")
        notebooks = [folder / path.name for path in notebooks]
    command = [sys.executable, "-m", "jupyterlab", str(notebooks[0])]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in a container
        command.append("--allow-root")
    os.execv(sys.executable, command)  # so that JupyterLab itself asks after Ctrl-C


def _app(options: argparse.Namespace) -> None:
    from cvlab.publish import app

    app.serve(options.model, options.port, options.temperature)


def _report(options: argparse.Namespace) -> None:
    from cvlab.publish import report

    print(f"report: {report.build(_run_folder(options), _sources(options))}")


def _slides(options: argparse.Namespace) -> None:
    from cvlab.publish import report

    folder = _run_folder(options)
    executed = [path for one in _sources(options) if (path := folder / one.name).exists()]
    written = report.make_slides(folder / "slides", executed or _sources(options))
    print(f"{len(written)} notebooks as slides: {folder / 'slides/index.html'}")


def _book(options: argparse.Namespace) -> None:
    from cvlab.publish import book

    print(f"book: {book.build(_sources(options), options.out / 'book')}")


def _student(options: argparse.Namespace) -> None:
    from cvlab.publish import assignments, student

    if options.format == "nbgrader":
        written = assignments.write(_sources(options), options.out / "nbgrader" / "source")
        print(f"{len(written)} assignments are in {options.out / 'nbgrader' / 'source'}")
        return
    folder = options.out / "student"
    written = student.copies(_sources(options), folder)
    print(f"{len(written)} notebooks without solutions are in {folder}")


def _compare(options: argparse.Namespace) -> None:
    from cvlab.publish import report, results

    html = report.comparison(*map(results.load, options.runs))
    target = options.out / "compare.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(html, encoding="utf-8")
    print(f"comparison: {target}")


def _record(options: argparse.Namespace) -> None:
    from cvlab.publish import contents, execution, results

    folder = _run_folder(options)
    print(f"the run is kept in {results.record(folder)}")
    if folder.name == "quick":  # the committed outputs are those of the recorded run
        for path in _sources(options):
            execution.adopt(folder / path.name, path)
    contents.update(_sources(options))


def _release(options: argparse.Namespace) -> None:
    from cvlab.publish import release

    print(release.make(PROJECT, options.version, options.out / "dist", options.names))


def _contents(options: argparse.Namespace) -> int:
    from cvlab.publish import contents

    changed = contents.update(_sources(options), check=options.check)
    for path in changed:
        print(f"{path}: contents, times or links {'differ' if options.check else 'written'}")
    if changed and options.check:
        print("Run `python -m cvlab contents` to write them.")
    return int(bool(changed and options.check))


def _run_folder(options: argparse.Namespace) -> Path:
    return Path(options.out, options.profile or "quick")


# What each command does, and the groups of options that it takes.
_COMMANDS: Final[dict[str, tuple[Any, ...]]] = {
    "help": (None, "show this list"),
    "lectures": (_lectures, "execute, then report", "all", "some", "profile", "kernels"),
    "report": (_report, "write the report of a run again", "all", "profile"),
    "slides": (_slides, "reveal.js slides of the notebooks", "all", "some", "profile"),
    "book": (_book, "the course as a static site, from the committed outputs", "all"),
    "student": (_student, "copies without solutions and outputs", "all", "some"),
    "compare": (_compare, "two runs side by side", "all"),
    "record": (_record, "keep the times and findings of a whole run", "all", "profile"),
    "refresh": (_refresh, "run committed notebooks again", "all", "some", "kernels"),
    "release": (_release, "build and try a wheel; set the version", "all"),
    "contents": (_contents, "write contents, times and links again", "all"),
    "check": (_check, "compare with the committed outputs (nbval)", "all", "some", "kernels"),
    "app": (_app, "drop a photo on a web page, see class, confidence and heatmap"),
    "lab": (_lab, "open a working copy of the course in JupyterLab", "all", "some", "kernels"),
}
