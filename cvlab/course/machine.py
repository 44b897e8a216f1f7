"""Does this machine have what the course needs? Asked before anything slow is imported."""

import importlib.metadata
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

# Floors of pyproject.toml; a test keeps the two in step.
PYTHON = (3, 11)
PACKAGES = {"keras": "3.12", "tensorflow": "2.20", "numpy": "2.0"}
CORES = 2
MEMORY_GIB = 4.0


@dataclass(frozen=True)
class Machine:
    """What there is.

    Attributes:
        python: Version of Python, for example `3.11.9`.
        packages: Version by package, None where it is not installed.
        system: Operating system and processor, for example `Linux x86_64`.
        cores: Processor cores this process may use.
        memory_gib: Memory in GiB this process may use, None if the system does not say.
        gpus: Names of the graphics cards that the Keras backend can use; None if `check` was told
            not to ask.
        bfloat16: Whether the processor multiplies these numbers itself; see `multiplies_bfloat16`.
    """

    python: str
    packages: dict[str, str | None]
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
                "This processor does not multiply bfloat16 numbers, and the stated times are those "
                "of one that does. Everything works; expect half as much again for quick, and more "
                "than twice as much for laptop."
            )
        return found

    def report(self) -> str:
        """The facts, one a line, the warnings below."""
        memory = "unknown" if self.memory_gib is None else f"{self.memory_gib:.1f} GiB"
        rows = {
            "Python": self.python,
            **{name: version or "not installed" for name, version in self.packages.items()},
            "system": self.system,
            "cores": str(self.cores),
            "memory": memory,
            "bfloat16": "yes" if self.bfloat16 else "no",
            "GPU": "not asked for" if self.gpus is None else ", ".join(self.gpus) or "none",
        }
        lines = [f"{name:10} {value}" for name, value in rows.items()]
        return "\n".join(lines + [f"Note: {warning}" for warning in self.warnings])


def check(*, gpu: bool = True) -> Machine:
    """Look at the machine; stop early, with advice, if the course cannot run on it.

    Args:
        gpu: Ask the Keras backend for graphics cards, which imports it (several seconds).

    Raises:
        RuntimeError: If Python or a package is missing or too old; the message says which, and
            how to get the right one.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    packages = {name: _installed(name) for name in PACKAGES}
    problems = _problems(version, packages)
    if problems:
        raise RuntimeError(
            "The course cannot run here yet:\n"
            + "\n".join(f"- {problem}" for problem in problems)
            + "\nRun `make setup` in the course's folder, then start Jupyter with `make lab`, or "
            "choose the kernel of the environment it made."
        )
    return Machine(
        python=version,
        packages=packages,
        system=f"{platform.system()} {platform.machine()}",
        cores=_cores(),
        memory_gib=_memory_gib(),
        gpus=_gpus() if gpu else None,
        bfloat16=multiplies_bfloat16(),
    )


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 numbers itself.

    There Keras trains convnets nearly twice as fast under the policy `mixed_bfloat16`, which keeps
    the weights in float32. Other processors imitate it and get slower.

    Args:
        cpuinfo: Linux's list of what the processor can do; other systems have none, and the
            answer is False.
    """
    if not cpuinfo.is_file():
        return False
    can = {word for line in cpuinfo.read_text().splitlines() for word in line.split()}
    return bool(can & {"avx512_bf16", "amx_bf16"})


def dtype_policy(*, fast: bool) -> str:
    """Name the Keras dtype policy to train with: `keras.config.set_dtype_policy(...)`.

    Args:
        fast: Whether bfloat16 is wanted, as in the profiles' `mixed_precision`.

    Returns:
        `mixed_bfloat16` if it is wanted and `multiplies_bfloat16`, else `float32`.
    """
    return "mixed_bfloat16" if fast and multiplies_bfloat16() else "float32"


def _problems(python: str, packages: dict[str, str | None]) -> list[str]:
    found = []
    floor = ".".join(map(str, PYTHON))
    if _numbers(python) < PYTHON:
        found.append(f"Python {python} is too old: {floor} or newer is needed")
    for name, wanted in PACKAGES.items():
        version = packages[name]
        if version is None:
            found.append(f"{name} is not installed: {wanted} or newer is needed")
        elif _numbers(version) < _numbers(wanted):
            found.append(f"{name} {version} is too old: {wanted} or newer is needed")
    return found


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


def _gpus() -> tuple[str, ...]:
    import keras  # noqa: PLC0415 - slow, and only this question needs it

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        return tuple(
            str(tf.config.experimental.get_device_details(device).get("device_name", device.name))
            for device in tf.config.list_physical_devices("GPU")
        )
    if backend == "torch":
        import torch  # noqa: PLC0415

        return tuple(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count()))
    if backend == "jax":
        return tuple(n for n in keras.distribution.list_devices() if not n.startswith("cpu"))
    return ()
