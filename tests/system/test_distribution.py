"""Fine-tuning on two devices gives the losses of one: TensorFlow's strategies, JAX's distribution.

The devices are parts of one processor; no graphics card is needed. What runs is
`tests/several_devices.py`, in processes of their own, since a backend counts its devices once.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.knocks
TESTS = Path(__file__).parents[1]


def interpreter(backend: str) -> str:
    """A Python that has the backend: this one, or that of the environment made for JAX."""
    if importlib.util.find_spec(backend):
        return sys.executable
    other = TESTS.parent / f".venv-{backend}" / "bin" / "python"
    if not other.exists():
        pytest.skip(f"{backend} is not installed, neither here nor in .venv-{backend}")
    return str(other)


def run(backend: str, devices: int) -> dict[str, Any]:
    python = interpreter(backend)
    size = ["--pictures", "200", "--epochs", "2"]
    done = subprocess.run(
        [python, TESTS / "several_devices.py", "--devices", str(devices), *size],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_as_one(backend: str) -> None:
    one, two = run(backend, 1), run(backend, 2)
    assert (one["devices"], two["devices"]) == (1, 2)
    for name, losses in one["losses"].items():
        assert two["losses"][name] == pytest.approx(losses, abs=1e-4), name
    first, last = one["losses"]["loss"]
    assert last < 0.9 * first  # otherwise equal losses would say nothing
