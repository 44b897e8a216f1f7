"""What several devices cost: an epoch of notebook 12's fine-tuning on two devices and on one.

    python -m tests.bench.devices [--pictures 1000]

The devices are parts of one processor, so nothing can get faster: the ratio says what it costs to
share the work out and to bring the gradients together. JAX is measured where it is installed, here
or in `.venv-jax`.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from tests import several_devices
from tests.bench import bench


def epochs(python: str, backend: str, devices: int, pictures: int) -> list[float]:
    """Seconds of each epoch but the first, which compiles."""
    size = ["--devices", str(devices), "--pictures", str(pictures), "--epochs", "4"]
    done = subprocess.run(
        [python, several_devices.__file__, *size],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1000)
    options = parser.parse_args()
    other = Path(__file__).parents[2] / ".venv-jax" / "bin" / "python"
    pythons = {"tensorflow": sys.executable}
    if importlib.util.find_spec("jax"):
        pythons["jax"] = sys.executable
    elif other.exists():
        pythons["jax"] = str(other)
    found = []
    for backend, python in pythons.items():
        one, two = (epochs(python, backend, devices, options.pictures) for devices in (1, 2))
        name = f"fine-tuning, epoch on two devices of one processor, {backend}"
        found.append(bench.compared(name, "on one device", two, one, unit="s"))
    bench.rows(found)


if __name__ == "__main__":
    main()
