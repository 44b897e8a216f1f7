"""Kill the course's work at random moments, run it again, and compare with an undisturbed run.

Each case starts some work in a process of its own with an empty cache, sends it SIGKILL at a moment
sampled over the time that an undisturbed run took, and runs it again. What is then on disk must
be, file by file and byte for byte, what the undisturbed run left. One case in three is killed a
second time on its way.

    python -m tests.knocks.kill [--kills 200] [--seed 0] [--only "cvlab lectures"]

`tests/system/test_faults.py` runs a few kills of each kind.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final

import nbformat
import numpy as np

from cvlab.cache import record_of
from tests.small_project import PROJECT, environment, lay_out, timeless, write

# Everything slow is imported and built before the work begins, so that kills fall on the work.
# Each line on stdin is a cache folder and, where the work is to be killed, after how many seconds.
# The work is done in a forked process of its own, which is not waited for before it is killed:
# until then its number is its own, even where it has ended by itself.
_SERVER: Final = """
import os, signal, sys, time, traceback
{setup}
def work(cache):
{work}
print("ready", flush=True)
for line in sys.stdin:
    cache, _, seconds = line.rstrip("\\n").partition("\\t")
    child = os.fork()
    if child == 0:
        failed = True
        try:
            work(cache)
            failed = False
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(failed)
    if seconds:
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Work:
    """Something that may be killed.

    Attributes:
        name: What is killed.
        setup: Code that runs once, before the first case.
        work: Code that works in the folder `cache`; the same on each call.
        share: Its part of all kills of the long form.
        prepared: Work whose result each case finds in its cache; None for an empty cache.
    """

    name: str
    setup: str
    work: str
    share: float
    prepared: "Work | None" = None


_IMAGES: Final = """
import io, zipfile
import numpy as np
from PIL import Image
from cvlab.data import decode, find_images, make_subset
counts = {"train": 75, "validation": 37, "test": 38}
def archive(cache):
    path = os.path.join(os.path.dirname(cache), "photos.zip")
    if not os.path.exists(path):
        random = np.random.default_rng(0)
        with zipfile.ZipFile(path + ".part", "w") as file:
            for name in ("cat", "dog"):
                for number in range(155):
                    stream = io.BytesIO()
                    rough = random.integers(0, 256, (12, 16, 3), np.uint8)
                    Image.fromarray(rough).resize((240, 180)).save(stream, "JPEG")
                    file.writestr(f"{name}.{number}.jpg", stream.getvalue())
        os.rename(path + ".part", path)
    return path
"""

SUBSET: Final = Work(
    "subset creation",
    _IMAGES,
    "    make_subset(find_images(archive(cache)), per_class=counts, cache=cache)",
    0.25,
)
DECODING: Final = Work(
    "decoding",
    _IMAGES,
    SUBSET.work.replace("make_subset", "subset = make_subset")
    + "\n    decode(subset, 96, cache=cache)",
    0.2,
    prepared=SUBSET,
)
DRAWING: Final = Work(
    "drawing, subset and decoding",
    "from cvlab.data import load_images",
    '    counts = {"train": 20, "validation": 10, "test": 10}\n'
    '    load_images("toypets", image_size=48, per_class=counts, cache=cache)',
    0.15,
)
FEATURES: Final = Work(
    "feature extraction",
    """
import keras, numpy as np
from cvlab.transfer import features
from cvlab.training.augmentation import Augment
images = np.random.default_rng(0).integers(0, 256, (1500, 24, 24, 3), np.uint8)
""",
    """
    keras.utils.set_random_seed(0)
    base = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.Conv2D(32, 3, strides=2)])
    augment = Augment(rotation_range=40, horizontal_flip=True, seed=5)
    features.extract(images, base, cache=cache)
    features.extract_views(images, base, augment=augment, views=1, cache=cache)
""",
    0.18,
)
# As notebook 06 trains: the best epoch kept on disk in a folder of this run's own.
TRAINING: Final = Work(
    "training with checkpoints",
    """
import hashlib, json, shutil, tempfile
from pathlib import Path
import keras, numpy as np
random = np.random.default_rng(0)
images = random.integers(0, 256, (400, 24, 24, 3), np.uint8)
labels = (images[:, :12].mean(axis=(1, 2, 3)) > images[:, 12:].mean(axis=(1, 2, 3))).astype(int)
""",
    """
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((24, 24, 3)), keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.Flatten(),
        keras.layers.Dense(1, activation="sigmoid")])
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    folder = Path(tempfile.mkdtemp(dir=os.environ["SCRATCH"]))
    keep = keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True)
    history = model.fit(images[:300], labels[:300], batch_size=20, epochs=8, verbose=0,
                        validation_data=(images[300:], labels[300:]), callbacks=[keep]).history
    best = keras.models.load_model(folder / "best.keras")
    weights = hashlib.sha256(b"".join(w.tobytes() for w in best.get_weights())).hexdigest()
    os.makedirs(cache, exist_ok=True)
    Path(cache, "result.json").write_text(json.dumps([weights, history["val_loss"]]))
""",
    0.14,
)
WORKS: Final = (SUBSET, DECODING, DRAWING, FEATURES, TRAINING)
# The rest of the kills hit `python -m cvlab lectures`.


@dataclass
class Tally:
    """What became of the kills of one kind.

    Attributes:
        kills: Processes that were killed while they worked.
        survived: Cases that ended as the undisturbed run did.
        lost: What differed in each other case.
    """

    kills: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Caches that were worked on."""
        return self.survived + len(self.lost)


def state(folder: Path) -> dict[str, str]:
    """Digest of every file in a folder, locks aside, and of a seal what it says beside times."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(_without_times(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def _without_times(path: Path) -> bytes:
    """The content of a file; of a seal its record if it fits the folder, and the files it names."""
    if path.name != "seal.json":
        return path.read_bytes()
    files = json.loads(path.read_bytes())["files"]
    return json.dumps([record_of(path.parent), {name: files[name][0] for name in files}]).encode()


def difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """The first file by which two folders differ; empty if they do not."""
    for name in sorted(found.keys() | expected.keys()):
        if name not in expected:
            return f"{name} is left over"
        if name not in found:
            return f"{name} is missing"
        if found[name] != expected[name]:
            return f"{name} has other bytes"
    return ""


class Server:
    """Does one kind of work in forked processes."""

    def __init__(self, work: Work, scratch: Path) -> None:
        code = _SERVER.format(setup=work.setup, work=work.work)
        self._errors = (scratch / "errors.txt").open("a+")
        environment = {**os.environ, "TQDM_DISABLE": "1", "SCRATCH": str(scratch)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._read("ready")

    def _stream(self, stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise RuntimeError("the server has no pipes")
        return stream

    def _read(self, expected: str = "") -> str:
        line = self._stream(self._process.stdout).readline().strip()
        if not line or (expected and line != expected):
            self._errors.seek(0)
            raise RuntimeError(f"the server ended: {self._errors.read()[-2000:]}")
        return line

    def run(self, cache: Path, after: float | None = None) -> int:
        """Work in a cache, be killed after some seconds if that is sooner; the exit status."""
        requests = self._stream(self._process.stdin)
        requests.write(f"{cache}\n" if after is None else f"{cache}\t{after}\n")
        requests.flush()
        return int(self._read())

    def errors(self) -> str:
        """The end of what the work wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    def close(self) -> None:
        """End the server."""
        self._stream(self._process.stdin).close()
        self._stream(self._process.stdout).close()
        self._process.wait()
        self._errors.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for all caches of one kind of work."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def kill(work: Work, kills: int, seed: int = 0) -> Tally:
    """Kill one kind of work as many times, each time run it again, and count what is lost."""
    random = np.random.default_rng([seed, *work.name.encode()])
    tally = Tally()
    with scratch() as base:
        if work.prepared is not None:
            before = Server(work.prepared, base)
            before.run(base / "prepared")
            before.close()
        server = Server(work, base)

        def fresh(name: str) -> Path:
            cache = base / name
            if work.prepared is not None:
                shutil.copytree(base / "prepared", cache)
            return cache

        server.run(fresh("first"))  # reads every module and file once
        start = time.monotonic()
        if server.run(fresh("undisturbed")) != 0:
            raise RuntimeError(f"{work.name} fails undisturbed: {server.errors()}")
        seconds = time.monotonic() - start
        expected = state(base / "undisturbed")
        # A kill that comes too late is none; on a machine that speeds up they may be many.
        for case in range(4 * kills):
            if tally.kills >= kills:
                break
            cache = fresh(f"case{case}")
            for _ in range(1 + (random.random() < 1 / 3)):
                status = server.run(cache, after=float(random.uniform(0, seconds)))
                tally.kills += status == -signal.SIGKILL
            status = server.run(cache)
            what = difference(state(cache), expected) if status == 0 else server.errors()
            if what:
                tally.lost.append(f"case {case}: {what}")
            else:
                tally.survived += 1
            shutil.rmtree(cache)
        server.close()
    return tally


# --- python -m cvlab lectures --------------------------------------------------------------------


def project(folder: Path) -> Path:
    """A folder with two small notebooks."""
    lay_out(folder)
    load = (
        "from cvlab.data import load_images\n"
        "counts = {'train': 6, 'validation': 3, 'test': 3}\n"
        "pets = load_images('toypets', image_size=32, per_class=counts)\n"
        "print(int(pets.train.images.astype(int).sum()))"
    )
    for name, code in (("01_a", "print(6 * 7)"), ("04_b", load)):
        write(folder / "lectures" / f"{name}.ipynb", code)
    return folder


def lectures(folder: Path, after: float | None = None) -> tuple[int, str]:
    """Run all notebooks, with every process killed after some seconds; status and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cvlab", "lectures"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    if after is not None:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    return process.returncode, output


def run_state(folder: Path) -> dict[str, str]:
    """What a run left in build/: outputs, verdicts and data, without times."""
    found = {f"cache/{name}": digest for name, digest in state(folder / "build/cache").items()}
    for path in sorted((folder / "build/quick").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        outputs = [[cell.source, cell.get("outputs", [])] for cell in cells]
        found[path.name] = hashlib.sha256(json.dumps(outputs).encode()).hexdigest()
    for path in sorted((folder / "build/quick/records").glob("*.json")):
        found[f"records/{path.name}"] = json.dumps(timeless(path))
    return found


def kill_run(kills: int, seed: int = 0) -> Tally:
    """Kill the whole run as many times, each time run it again, and count what is lost."""
    random = np.random.default_rng([seed, 99])
    tally = Tally()
    with scratch() as base:
        undisturbed = project(base / "undisturbed")
        start = time.monotonic()
        status, output = lectures(undisturbed)
        seconds = time.monotonic() - start
        if status != 0:
            raise RuntimeError(f"cvlab lectures fails undisturbed: {output}")
        expected = run_state(undisturbed)
        for case in range(4 * kills):
            if tally.kills >= kills:
                break
            folder = project(base / f"case{case}")
            status, _ = lectures(folder, after=float(random.uniform(0, seconds)))
            tally.kills += status == -signal.SIGKILL
            status, output = lectures(folder)
            what = difference(run_state(folder), expected) if status == 0 else output[-2000:]
            if what:
                tally.lost.append(f"case {case}: {what}")
            else:
                tally.survived += 1
            shutil.rmtree(folder, ignore_errors=True)
    return tally


def main(arguments: list[str] | None = None) -> int:
    """Kill everything; print one line for each kind; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    names = [*(work.name for work in WORKS), "cvlab lectures"]
    parser.add_argument("--only", choices=names, nargs="+", default=names)
    options = parser.parse_args(arguments)
    jobs: list[tuple[str, int, Callable[[int, int], Tally]]] = [
        (work.name, round(options.kills * work.share), partial(kill, work)) for work in WORKS
    ]
    rest = options.kills - sum(count for _, count, _ in jobs)
    jobs.append(("cvlab lectures", rest, kill_run))
    print(f"{'killed':30}{'kills':>7}{'cases':>7}{'survived':>10}{'lost':>6}", flush=True)
    lost = 0
    for name, count, job in jobs:
        if name not in options.only:
            continue
        tally = job(count, options.seed)
        lost += len(tally.lost) + max(0, count - tally.kills)
        numbers = f"{tally.kills:7}{tally.cases:7}{tally.survived:10}{len(tally.lost):6}"
        print(f"{name:30}{numbers}", *tally.lost, sep="\n    ", flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
