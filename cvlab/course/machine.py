"""Does this machine have what the course needs? Asked before anything slow is imported."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvlab.precision import gpus, multiplies_bfloat16

# The lower bounds of pyproject.toml; a test compares them. Keras needs one of the backends.
PYTHON: Final = (3, 11)
PACKAGES: Final = {"keras": "3.12", "numpy": "2.0"}
BACKENDS: Final = {"tensorflow": "2.19", "jax": "0.6", "torch": "2.6"}
CORES: Final = 2
MEMORY_GIB: Final = 4.0


@dataclass(frozen=True)
class Machine:
    """What the course has to run on.

    Attributes:
        python: Version of Python, for example `3.11.9`.
        packages: Versions of Keras, its backend and NumPy, by the name of the package.
        system: Operating system and processor, for example `Linux x86_64`.
        cores: Processor cores this process may use.
        memory_gib: Memory in GiB this process may use, None if the system does not say.
        gpus: Names of the GPUs that the Keras backend can use; None if `check` did not ask.
        bfloat16: Whether the processor has native bfloat16 support; see `multiplies_bfloat16`.
    """

    python: str
    packages: dict[str, str]
    system: str
    cores: int
    memory_gib: float | None
    gpus: tuple[str, ...] | None
    bfloat16: bool

    @property
    def warnings(self) -> list[str]:
        """What will be slow, and what to do about it; empty if nothing."""
        found = []
        if self.cores < CORES:
            found.append(
                f"This machine has {self.cores} core; the stated times are for {CORES}. Everything "
                "works, at about half the speed."
            )
        if self.memory_gib is not None and self.memory_gib < MEMORY_GIB:
            found.append(
                f"There are {self.memory_gib:.1f} GiB of memory, and {MEMORY_GIB:.0f} are "
                "comfortable. Close other programs and other notebooks, and keep to the quick "
                "profile."
            )
        if self.gpus == ():
            found.append(
                "No GPU: the profiles quick and laptop do not need one; the profile lecture would "
                "take hours."
            )
        if not self.gpus and not self.bfloat16:
            found.append(
                "This processor has no native bfloat16 support, and the stated times are those of "
                "one that has it. Everything works; expect half as much again for quick, and more "
                "than twice as much for laptop."
            )
        return found

    def report(self) -> str:
        """Return the facts, one per line, and the warnings below them."""
        rows = {
            "Python": self.python,
            **self.packages,
            "system": self.system,
            "cores": str(self.cores),
            "memory": "unknown" if self.memory_gib is None else f"{self.memory_gib:.1f} GiB",
            "bfloat16": "yes" if self.bfloat16 else "no",
            "GPU": "not asked for" if self.gpus is None else ", ".join(self.gpus) or "none",
        }
        lines = [f"{name:10} {value}" for name, value in rows.items()]
        return "\n".join(lines + [f"Note: {warning}" for warning in self.warnings])


def check(*, gpu: bool = True) -> Machine:
    """Look at the machine; stop early, with advice, if the course cannot run on it.

    Of the backends only the one that Keras will use is needed, whichever that is.

    Args:
        gpu: Whether to ask the Keras backend for GPUs, which imports it (several seconds).

    Raises:
        RuntimeError: If Python or a package is missing or too old; the message says which, and
            how to get the right one.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    backend = keras_backend()
    packages = {name: _installed(name) for name in ("keras", backend, "numpy")}
    problems = _problems(version, backend, packages)
    if problems:
        raise RuntimeError(
            "The course cannot run here yet:\n"
            + "\n".join(f"- {problem}" for problem in problems)
            + "\nRun `make setup` in the course's folder, then start Jupyter with `make lab`, or "
            "choose the kernel of the environment it made."
        )
    return Machine(
        python=version,
        packages={name: found for name, found in packages.items() if found},
        system=f"{platform.system()} {platform.machine()}",
        cores=_cores(),
        memory_gib=_memory_gib(),
        gpus=tuple(device.name for device in gpus()) if gpu else None,
        bfloat16=multiplies_bfloat16(),
    )


def keras_backend() -> str:
    """Return the name of the backend that Keras will use, without importing Keras.

    Keras takes it from the environment variable `KERAS_BACKEND`, else from `keras.json` in
    `KERAS_HOME` or `~/.keras`, else it is `tensorflow`; see
    https://keras.io/getting_started/#configuring-your-backend.
    """
    if named := os.environ.get("KERAS_BACKEND"):
        return named
    settings = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
    try:
        return str(json.loads(settings.read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"  # it is not there, or Keras cannot read it either


def _problems(python: str, backend: str, packages: dict[str, str | None]) -> list[str]:
    """Return what keeps the course from running, one sentence each."""
    found = []
    if _numbers(python) < PYTHON:
        found.append(f"Python {python} is too old: {'.'.join(map(str, PYTHON))} or newer is needed")
    if backend not in BACKENDS:
        found.append(
            f"Keras is told to run on {backend!r}, by KERAS_BACKEND or keras.json: set "
            f"KERAS_BACKEND to {', '.join(BACKENDS)}"
        )
    for name, version in packages.items():
        wanted = (PACKAGES | BACKENDS).get(name, "")
        if wanted and version is None:
            found.append(f"{name} is not installed: {wanted} or newer is needed")
            if name == backend:
                found[-1] += f". {_ways_to_a_backend(backend)}"
        elif version is not None and _numbers(version) < _numbers(wanted):
            found.append(f"{name} {version} is too old: {wanted} or newer is needed")
    return found


def _ways_to_a_backend(backend: str) -> str:
    installed = [name for name in BACKENDS if name != backend and _installed(name)]
    another = f", or set KERAS_BACKEND={installed[0]}, which is installed" if installed else ""
    here = (Path(__file__).parents[2] / "pyproject.toml").exists()  # not installed from a wheel
    course = f"-e '.[{backend}]'" if here else f"'cvlab-course[{backend}]'"
    return f"Keras runs on it here: install it by `pip install {course}`{another}"


def _numbers(version: str) -> tuple[int, ...]:
    """`2.21.0rc1` as (2, 21, 0): enough to compare with a floor."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _installed(name: str) -> str | None:
    # TensorFlow is published under several names, one for each kind of processor.
    for distribution in (name, f"{name}-cpu", f"{name}-macos"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))  # what this process may use, not what is built in
    except AttributeError:  # macOS and Windows do not say
        return os.cpu_count() or 1


def _memory_gib(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    # A container may be allowed less than the machine has.
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    return (min(total, int(allowed)) if allowed.isdigit() else total) / 2**30


def gpu_memory_gib() -> float | None:
    """Return the memory of the first GPU in GiB, as its driver says; None without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=False)
    mebibytes = re.match(r"\d+", done.stdout)  # without a GPU the tool explains why
    return int(mebibytes.group()) / 1024 if mebibytes else None
