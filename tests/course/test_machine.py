"""The look at the machine: what stops the course, what only slows it down."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from cvlab.course import machine

FINE = machine.Machine(
    python="3.11.9",
    packages={"keras": "3.15.1", "tensorflow": "2.21.0", "numpy": "2.4.0"},
    system="Linux x86_64",
    cores=2,
    memory_gib=8.0,
    gpus=("H200",),
    bfloat16=False,
)


def test_this_machine_passes() -> None:
    found = machine.check(gpu=False)
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.packages["keras"] == importlib.metadata.version("keras")
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory_gib is None or 0.1 < found.memory_gib < 1e5


def test_floors_are_those_of_the_project() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    assert project["requires-python"].startswith(f">={'.'.join(map(str, machine.PYTHON))},")
    stated = project["dependencies"] + [
        one for extra in project["optional-dependencies"].values() for one in extra
    ]
    for name, floor in (machine.PACKAGES | machine.BACKENDS).items():
        assert any(line.startswith(f"{name}>={floor},") for line in stated)


def test_old_and_missing_versions_stop_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(machine, "keras_backend", lambda: "tensorflow")
    versions = {"keras": "2.15.0", "numpy": "2.10.1"}
    monkeypatch.setattr(machine, "_installed", versions.get)
    with pytest.raises(RuntimeError) as caught:
        machine.check(gpu=False)
    text = str(caught.value)
    assert "Python 3.9.1 is too old: 3.11 or newer" in text
    assert "keras 2.15.0 is too old: 3.12 or newer" in text
    assert "tensorflow is not installed" in text
    assert "numpy" not in text  # 2.10 is newer than 2.4, although not as text
    assert "make setup" in text


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_one_backend_is_enough(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """Only the backend that Keras will use is needed, and only that one is reported."""
    versions = {"keras": "3.15.1", "numpy": "2.4.0", backend: "9.0"}
    monkeypatch.setattr(machine, "_installed", versions.get)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    found = machine.check(gpu=False)
    assert list(found.packages) == ["keras", backend, "numpy"]
    others = set(machine.BACKENDS) - {backend}
    assert not any(other in found.report() for other in others)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_missing_backend_stops_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(machine, "_installed", {"keras": "3.15.1", "numpy": "2.4.0"}.get)
    with pytest.raises(RuntimeError, match=rf"{backend} is not installed: .* -e '\.\[{backend}\]'"):
        machine.check(gpu=False)


def test_a_missing_backend_names_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(machine, "keras_backend", lambda: "tensorflow")
    versions = {"keras": "3.15.1", "numpy": "2.4.0", "jax": "0.11.2"}
    monkeypatch.setattr(machine, "_installed", versions.get)
    with pytest.raises(RuntimeError, match="or set KERAS_BACKEND=jax, which is installed"):
        machine.check(gpu=False)


def test_a_backend_that_the_course_does_not_run_on_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "paper")
    with pytest.raises(RuntimeError, match=r"'paper'.* set KERAS_BACKEND to tensorflow, jax"):
        machine.check(gpu=False)


@pytest.mark.parametrize("home", ["KERAS_HOME", "HOME"])
def test_the_backend_is_found_where_keras_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for name in ("KERAS_BACKEND", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(home, str(tmp_path))
    settings = tmp_path / ("keras.json" if home == "KERAS_HOME" else ".keras/keras.json")
    assert machine.keras_backend() == "tensorflow"  # there is no such file yet
    settings.parent.mkdir(exist_ok=True)
    settings.write_text('{"floatx": "float32"}')
    assert machine.keras_backend() == "tensorflow"
    settings.write_text('{"backend": "torch"}')
    assert machine.keras_backend() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "")
    assert machine.keras_backend() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert machine.keras_backend() == "jax"


def test_it_is_the_backend_that_keras_says_it_uses() -> None:
    code = "import keras; print(keras.backend.backend())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split()[-1] == machine.keras_backend()


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.21.0", (2, 21, 0)), ("3.0.0rc1", (3, 0, 0)), ("2.20+cpu", (2, 20)), ("odd", ())],
)
def test_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert machine._numbers(version) == numbers


def test_a_good_machine_gets_no_warning() -> None:
    assert FINE.warnings == []
    assert "Note" not in FINE.report()
    assert "H200" in FINE.report()


def test_a_small_machine_gets_kind_warnings() -> None:
    small = replace(FINE, cores=1, memory_gib=1.5, gpus=(), bfloat16=True)
    text = small.report()
    assert "1 core" in text
    assert "1.5 GiB" in text
    assert "No GPU" in text
    assert text.count("Note:") == 3


def test_without_bfloat16_the_stated_times_are_not_those_of_this_machine() -> None:
    """They do not matter beside a graphics card."""
    told = {
        (gpus, can): any(
            "bfloat16" in note for note in replace(FINE, gpus=gpus, bfloat16=can).warnings
        )
        for gpus in ((), None, ("H200",))
        for can in (True, False)
    }
    assert [case for case, one in told.items() if one] == [((), False), (None, False)]
    assert "bfloat16   no" in FINE.report()


def test_who_did_not_ask_is_told_nothing_about_a_gpu() -> None:
    unasked = machine.check(gpu=False)
    assert unasked.gpus is None
    assert not any("GPU" in warning for warning in unasked.warnings)
    assert "GPU        not asked for" in unasked.report()


def test_a_container_limit_counts(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(f"{2**30}\n")
    assert machine._memory_gib(limit) == 1.0
    limit.write_text("max\n")
    unlimited = machine._memory_gib(limit)
    assert unlimited is not None
    assert unlimited > 1.0


@pytest.mark.parametrize("can", [True, False])
def test_the_look_tells_what_the_processor_multiplies(
    monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    monkeypatch.setattr(machine, "multiplies_bfloat16", lambda: can)
    assert machine.check(gpu=False).bfloat16 is can


def test_looking_without_the_gpu_is_quick() -> None:
    code = "import sys; from cvlab.course import machine; machine.check(gpu=False); "
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "keras" not in done.stdout.split()
    assert "tensorflow" not in done.stdout.split()


@pytest.mark.parametrize(
    ("answer", "gib"),
    [("echo 143771; echo 143771", 140.4), ("echo No devices were found; exit 6", None)],
)
def test_the_gpus_memory_is_what_its_driver_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, gib: float | None
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{answer}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.gpu_memory_gib() == pytest.approx(gib, abs=0.1)
    tool.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu_memory_gib() is None
