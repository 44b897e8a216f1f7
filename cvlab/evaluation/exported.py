"""Exported models, loaded back: are the outputs the same, how large is the file, how fast is it?

`model.export` writes a model for programs without Keras. This module reads such a file with the
runtime that such a program would use, and compares it with the original. Each runtime is an
optional package; what is not installed is named in the result.
"""

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvlab.cache import files_in, readable_bytes

Run = Callable[[NDArray[Any]], NDArray[np.float32]]
_EXTRA: Final = "pip install -e '.[export]'"


@dataclass(frozen=True)
class Measured:
    """One exported file beside its original.

    Attributes:
        name: What the caller called it.
        size: Bytes on disk, of all files of a folder together.
        difference: Largest absolute difference of an output from the original's.
        changed: Images whose predicted class differs from the original's.
        milliseconds: Median over images of the time for one.
        note: Why there is no measurement; empty if there is one.
    """

    name: str
    size: int = 0
    difference: float = float("nan")
    changed: int = 0
    milliseconds: float = float("nan")
    note: str = ""


@contextmanager
def attempt(name: str, absent: dict[str, str]) -> Iterator[None]:
    """Go on without a format whose package is not installed, or that Keras has not on a backend.

    Args:
        name: Of the format.
        absent: Gets the reason under that name.

    Raises:
        ValueError: If the export fails for another reason.
    """
    try:
        with _quiet():
            yield
    except ImportError as error:
        package = (error.name or str(error).partition(" module")[0].split()[-1]).partition(".")[0]
        absent[name] = f"{package} is not installed: {_EXTRA}"
    except (ValueError, NotImplementedError) as error:
        # Keras raises these for formats that a backend does not have.
        if "backend" not in str(error).lower():
            raise
        absent[name] = f"not available with Keras on {keras.backend.backend()}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what converters say about NumPy's future, and TensorFlow about a second compilation."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated")
            yield
    finally:
        logger.setLevel(level)


def litert_options(weights: str) -> dict[str, Any]:
    """Return the options with which `model.export` writes smaller weights to a LiteRT file.

    Args:
        weights: "int8" or "float16".

    Raises:
        ValueError: If Keras does not run on TensorFlow, whose converter they are for.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        half = {"target_spec": {"supported_types": [tf.float16]}}
        smaller = {"optimizations": [tf.lite.Optimize.DEFAULT]}
        return {"format": "litert", **smaller, **(half if weights == "float16" else {})}
    raise ValueError(
        f"LiteRT's {weights} weights need the backend tensorflow, and Keras runs on "
        f"{keras.backend.backend()}: set KERAS_BACKEND=tensorflow, or use model.quantize"
    )


def load(file: str | Path) -> Run:
    """Load an exported model with the runtime of its format.

    Args:
        file: A folder (SavedModel), or a file ending in `.onnx`, `.tflite` or `.keras`.

    Returns:
        A function from a batch of images, as the exported model takes them, to its outputs. LiteRT
        takes one image at a time.

    Raises:
        ImportError: If the runtime is not installed.
        ValueError: If the file has another suffix.
    """
    path = Path(file)
    readers = {".onnx": _onnx, ".tflite": _litert, ".keras": _keras}
    if path.is_dir():
        return _saved_model(path)
    if path.suffix not in readers:
        raise ValueError(
            f"{path.name} is not an exported model: pass the folder of a SavedModel or a file "
            f"ending in {', '.join(readers)}"
        )
    return readers[path.suffix](path)


def _keras(path: Path) -> Run:
    model = keras.models.load_model(path, compile=False)
    return lambda images: np.asarray(model.predict_on_batch(images), np.float32)


def _saved_model(path: Path) -> Run:
    import tensorflow as tf  # noqa: PLC0415

    loaded = tf.saved_model.load(str(path))  # kept: the function alone does not hold its variables
    return lambda images: np.asarray(loaded.serve(tf.constant(images)), np.float32)


def _onnx(path: Path) -> Run:
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return lambda images: np.asarray(session.run(None, {taken.name: images})[0], np.float32)


def _litert(path: Path) -> Run:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
    except ImportError:
        import tensorflow as tf  # noqa: PLC0415

        Interpreter = tf.lite.Interpreter  # noqa: N806 - the same under its former name
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (taken,), (returned,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: NDArray[Any]) -> NDArray[np.float32]:
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(returned["index"]), np.float32)

    return run


def compare(
    model: keras.Model,
    files: Mapping[str, str | Path],
    images: ArrayLike,
    *,
    absent: Mapping[str, str] | None = None,
    repeats: int = 1,
) -> list[Measured]:
    """Run each exported file on the same images and compare it with the original model.

    Every runtime sees one image at a time, with the number of threads that it takes by default.

    Args:
        model: The original, a binary classifier that returns probabilities (n, 1).
        files: What `model.export` or `model.save` wrote, by name; see `load`.
        images: Images as the model takes them, (n, h, w, 3).
        absent: Reasons why there is no file, by name, from `attempt`; each becomes a row.
        repeats: How often each image is timed; the fastest counts, which other work on the machine
            slows least.

    Returns:
        One row for each file, then one for each reason.
    """
    batch = np.asarray(images).astype(model.inputs[0].dtype)
    with _quiet():
        expected = model.predict(batch, verbose=0)
    rows, missing = [], dict(absent or {})
    for name, file in files.items():
        with attempt(name, missing):
            run = load(file)
            run(batch[:1])  # the first call compiles
            outputs, seconds = [], []
            # One file after the other: threads of one runtime may spin while the next one runs.
            for image in np.concatenate([batch] * repeats)[:, None]:
                start = time.perf_counter()
                outputs.append(run(image))
                seconds.append(time.perf_counter() - start)
            got = np.concatenate(outputs[: len(batch)])
            rows.append(
                Measured(
                    name,
                    _size(Path(file)),
                    float(np.abs(got - expected).max()),
                    int(np.sum((got > 0.5) != (expected > 0.5))),
                    1000 * float(np.median(np.reshape(seconds, (repeats, -1)).min(axis=0))),
                )
            )
    return rows + [Measured(name, note=reason) for name, reason in missing.items()]


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for _, file in files_in(path))
    return path.stat().st_size


def recorded(file: str | Path) -> tuple[str, list[Measured]]:
    """Read what `python -m cvlab export-formats` wrote: what was measured where, and the rows."""
    kept = json.loads(Path(file).read_text(encoding="utf-8"))
    return kept["title"], [Measured(**row) for row in kept["rows"]]


def table(rows: list[Measured]) -> str:
    """Lay out what `compare` returned as text, one row for each file."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}} {'size':>9}  {'difference':>10}  {'class changed':>13}  {'time':>8}"]
    for row in rows:
        cells = row.note or (
            f"{readable_bytes(row.size):>9}  {row.difference:>10.1e}  {row.changed:>13}  "
            f"{row.milliseconds:>5.1f} ms"
        )
        lines.append(f"{row.name:<{width}} {cells}")
    return "\n".join(lines)
