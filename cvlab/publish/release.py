"""Make a release: version, changelog, wheel and sdist, and a run of the course from the wheel.

Everything happens in a copy of the tracked files. The project gets the new version only after the
wheel has been installed and has run in an empty environment, so a release that fails changes
nothing. Nothing is committed, tagged or uploaded; the commands for that are printed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# The name on PyPI, where `cvlab` is another project.
DISTRIBUTION: Final = "cvlab-course"
_SOURCE: Final = "cvlab/__init__.py"
_CHANGELOG: Final = "CHANGELOG.md"
_CITATION: Final = "CITATION.cff"
_VERSION: Final = re.compile(r'(?<=^__version__ = ").*?(?=")', re.MULTILINE)
_HEADING: Final = re.compile(r"^## .*$", re.MULTILINE)
# Variables that would lead the run in the empty environment back to the repository or elsewhere.
_FOREIGN: Final = ("PYTHON", "CVLAB_", "KERAS_", "VIRTUAL_ENV", "MAKE", "MFLAGS")


def _numbers(version: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f'VERSION is "{version}": it must be three numbers, such as 0.2.0')
    return tuple(map(int, version.split(".")))


def set_version(project: Path, version: str, date: str) -> None:
    """Write a version where it is said: the package, the citation file, the changelog's heading.

    pyproject.toml takes the version from the package.

    Args:
        project: Folder of the project.
        version: Three numbers with dots between them, none lower than the project's.
        date: Of the release, as `2026-01-31`.

    Raises:
        ValueError: If the version has another form or is lower than the project's, or the
            changelog's first section is neither unreleased nor of this version.
    """
    source, citation, changelog = (project / name for name in (_SOURCE, _CITATION, _CHANGELOG))
    text = source.read_text(encoding="utf-8")
    found = _VERSION.search(text)
    if found is None:
        raise ValueError(f"{source} has no line __version__")
    if _numbers(version) < _numbers(found[0]):
        raise ValueError(f"VERSION is {version}, lower than the project's {found[0]}")
    news = changelog.read_text(encoding="utf-8")
    heading = _HEADING.search(news)
    said = heading[0] if heading else "nothing"
    if heading is None or not (said.endswith("unreleased") or said.startswith(f"## {version} ")):
        raise ValueError(
            f"{_CHANGELOG} begins with {said!r}: put a section '## {version} - unreleased' above "
            "it that says what users will notice"
        )
    source.write_text(_VERSION.sub(version, text, count=1), encoding="utf-8")
    new = f"## {version} - {date}"
    changelog.write_text(_HEADING.sub(new, news, count=1), encoding="utf-8")
    cited = re.sub(r"^date-released: .*\n", "", citation.read_text("utf-8"), flags=re.MULTILINE)
    lines = f'version: {version}\ndate-released: "{date}"'
    cited = re.sub(r"^version: .*$", lines, cited, count=1, flags=re.MULTILINE)
    citation.write_text(cited, encoding="utf-8")


def copy_tracked(project: Path, target: Path) -> None:
    """Copy what git tracks, as it is in the working tree: no build folder, no environment."""
    listed = subprocess.run(
        ["git", "-C", str(project), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (project / name).is_file():  # a file that was deleted is listed until it is committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, target / name)


def build(project: Path, target: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the sdist alone.

    Args:
        project: A copy of the project; setuptools leaves files in it.
        target: Folder for both; made if it is not there.

    Returns:
        The wheel and the sdist.

    Raises:
        RuntimeError: If setuptools fails; the message ends with what it said.
    """
    target = target.absolute()
    target.mkdir(parents=True, exist_ok=True)
    sdist = target / _backend("build_sdist", project, target)
    with tempfile.TemporaryDirectory() as work:
        shutil.unpack_archive(sdist, work, filter="data")
        (unpacked,) = Path(work).iterdir()
        wheel = target / _backend("build_wheel", unpacked, target)
    return wheel, sdist


def _backend(hook: str, folder: Path, target: Path) -> str:
    """Run a hook of setuptools in a folder; return the name of the file that it wrote."""
    code = f"from setuptools import build_meta; print(build_meta.{hook}({str(target)!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{hook} failed:\n{done.stderr[-3000:]}")
    return done.stdout.split()[-1]


def rehearse(
    wheel: Path, names: Sequence[str] = (), *, say: Callable[[str], object] = print
) -> None:
    """Install a wheel in an empty environment and run the course from it, far from the repository.

    Args:
        wheel: What `build` returned.
        names: Notebooks to run; all if there are none.
        say: Gets a line for each step, with its seconds.

    Raises:
        RuntimeError: If the installation or a notebook fails.
    """
    variables = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    with tempfile.TemporaryDirectory() as work:
        python = str(Path(work, "venv", "bin", "python"))
        empty = Path(work, "empty")
        empty.mkdir()
        steps = {
            "environment": [sys.executable, "-m", "venv", str(Path(work, "venv"))],
            "installation": [python, "-m", "pip", "install", "-q", f"{wheel}[tensorflow]"],
            "python -m cvlab lectures": [python, "-m", "cvlab", "lectures", *names],
        }
        for step, command in steps.items():
            start = time.monotonic()
            done = subprocess.run(command, cwd=empty, env=variables, check=False)
            if done.returncode:
                raise RuntimeError(f"{step} failed in an empty environment: {' '.join(command)}")
            say(f"{step}: {time.monotonic() - start:.0f} s")


def make(project: Path, version: str, target: Path, names: Sequence[str] = ()) -> str:
    """Make a release and set the project's version.

    Args:
        project: Folder of the project, a git repository.
        version: As for `set_version`.
        target: Folder for wheel and sdist.
        names: Notebooks to run from the wheel; all if there are none.

    Returns:
        What was made and the commands that publish it, as text.

    Raises:
        ValueError: If version or changelog are not as they must be.
        RuntimeError: If the build or the run from the wheel fails.
    """
    if not (project / ".git").exists():
        raise ValueError(f"{project} is no git repository: a release is made from one")
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work, "project")
        copy_tracked(project, copy)
        set_version(copy, version, date)
        wheel, sdist = build(copy, target)
    rehearse(wheel, names)
    set_version(project, version, date)
    return (
        f"{wheel}\n{sdist}\n{version} is set in {_SOURCE}, {_CITATION} and {_CHANGELOG}. "
        "What publishes it:\n"
        f'    git commit -am "Release {version}"\n'
        f'    git tag -a v{version} -m "{DISTRIBUTION} {version}"\n'
        f"    git push origin HEAD v{version}\n"
        f"    python -m twine upload {wheel} {sdist}"
    )
