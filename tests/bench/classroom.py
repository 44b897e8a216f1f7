"""A class on one machine: eight kernels on one cache hold one copy of the features in memory.

    python -m tests.bench.classroom [--kernels 8] [--images 128]

Every kernel opens the features of the same images (1 MiB each) and reads all of them. Linux only:
it reports how much of a file's pages each process holds, shared pages in proportion.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests import one_cache
from tests.bench import bench


def kernels(count: int, cache: str, what: str, images: Path) -> list[dict[str, int]]:
    """Return what each of `count` processes maps of the cache once all of them have read it."""
    command = [sys.executable, one_cache.__file__, cache, what, str(images)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for one in running:
            while (line := _read(one)) != "ready\n":
                if not line:
                    raise RuntimeError(f"a kernel ended early: run `{' '.join(command)}`")
        answers = []
        for one in running:
            _write(one)
            answers.append(json.loads(_read(one)))
        for one in running:  # none may end before the last one has looked
            _write(one)
        return answers
    finally:
        for one in running:
            one.communicate()


def _read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _write(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernels", type=int, default=8)
    parser.add_argument("--images", type=int, default=128)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        size = one_cache.SIZE
        images = Path(cache) / "images.npy"
        shape = (options.images, size, size, 3)
        np.save(images, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        features = Path(cache) / "features"
        features.mkdir()
        kernels(1, str(features), "features", images)  # computes them
        found = kernels(options.kernels, str(features), "features", images)
    held = sum(one["Pss"] for one in found) / 2**20
    apart = sum(one["Rss"] for one in found) / 2**20
    bench.rows(
        [
            bench.compared(
                f"memory of features, {options.kernels} kernels on one cache",
                "a copy in each kernel",
                [held],
                [apart],
                unit="MiB",
                goal=0.95 * options.kernels,
            )
        ]
    )


if __name__ == "__main__":
    main()
