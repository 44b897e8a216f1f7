"""What a network makes of pictures, computed once and kept on disk.

The base is by far the most expensive part of transfer learning, and while it is frozen it gives
the same answer for the same picture every time. So every picture, or every augmented view of it,
goes through once; afterwards the answer is read from a file.

The file's name is a key of everything that its content depends on: the pixels, the layers' plan
and code, the weights, the transforms of a view. Something else has another key, so nothing is ever
stale. Pictures pass in batches of one size, and the digest of each batch is noted when it is
written: a run that was killed goes on after the last good batch and ends with the same bytes, and
a file that was damaged afterwards is noticed and made again.
"""

import inspect
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

import cvlab.training.augmentation
from cvlab.cache import (
    SpaceError,
    cache_root,
    digests_of_array,
    digests_of_pieces,
    enough_space,
    key_of,
    locked,
    progress_bar,
)
from cvlab.models import digests
from cvlab.training.augmentation import Augment, Transforms

# Every pass takes as many pictures, the last one filled up: the bits of a result may depend on the
# size of its batch, and a network is compiled once for each size.
BATCH: Final = 32
# Raise it when the same key would stand for other bytes.
_VERSION: Final = 1
_FEATURES, _DIGESTS = "features.npy", "digests.txt"
# Read when it was loaded: an edit of the file changes nothing in a notebook that runs.
_CODE_OF_VIEWS: Final = inspect.getsource(cvlab.training.augmentation)


def extract(
    images: ArrayLike,
    model: keras.Model,
    layer: str | None = None,
    *,
    cache: str | Path | None = None,
) -> NDArray[np.float32]:
    """Give what a network makes of pictures, from disk if it was computed before (step 22).

    The network runs in inference mode. At most `BATCH` pictures and their features are in memory at
    a time. Two processes that want the same wait for one another; a progress bar shows if it
    takes longer than a second. Nothing that a pickle could hide in is read.

    Args:
        images: Pictures as the model takes them, shape (N, ...), at least one. A memory-mapped
            array is read batch by batch.
        model: A functional or sequential model of one input and one output, such as a
            convolutional base.
        layer: Name of the layer whose output is wanted; the model's own output if None. Layers of
            a model inside the model cannot be named: pass that model itself.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        Float32, shape (N, ...) as the layer puts out; memory-mapped, read-only.

    Raises:
        ValueError: If there is no such layer, the model has no graph that can be cut, or there are
            no pictures.
        SpaceError: If the disk has no room for the features.
    """
    pictures = _some(images)
    network = _up_to(model, layer)
    (features,) = _stored(pictures, network, _plain(pictures, network), cache)
    return features


def extract_views(
    images: ArrayLike,
    model: keras.Model,
    *,
    augment: Augment,
    views: int,
    cache: str | Path | None = None,
) -> list[NDArray[np.float32]]:
    """Give what a network makes of several augmented views of each picture (step 23).

    Every view is one random change of every picture, computed once, instead of a new one in every
    epoch. All views are augmented: for the pictures as they are, call `extract`. The transforms of
    view v depend on the seed of `augment`, on v and on the number of pictures alone, so more views
    can be asked for later, and those that are there stay. Each view is kept by itself.

    Args:
        images: Pictures (N, height, width, channels), as for `extract`.
        model: As for `extract`.
        augment: The augmentation, with a seed. Its random state is left as it is.
        views: How many views of each picture, at least 1.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        For each view float32 features, shape (N, ...) as the layer puts out, pictures in their
        order; memory-mapped, read-only.

    Raises:
        ValueError: As for `extract`, and if the augmentation has no seed or `views` is not
            positive.
        SpaceError: If the disk has no room for the features.
    """
    pictures = _some(images)
    if views < 1:
        raise ValueError(f"{views} views of each picture were asked for: ask for 1 or more")
    network = _up_to(model, None)
    return list(_stored(pictures, network, _augmented(pictures, network, augment, views), cache))


@dataclass(frozen=True)
class _Job:
    """One array of features to come.

    Attributes:
        content: What the features depend on besides pictures and network, for the key.
        compute: From the number of the first picture to the features of `BATCH` pictures.
        title: In front of the progress bar.
    """

    content: object
    compute: Callable[[int], NDArray[Any]]
    title: str


def _plain(pictures: NDArray[Any], network: keras.Model) -> Iterator[_Job]:
    def compute(start: int) -> NDArray[Any]:
        return np.asarray(network.predict_on_batch(_filled(pictures[start : start + BATCH])))

    yield _Job("as they are", compute, "Features")


def _augmented(
    pictures: NDArray[Any], network: keras.Model, augment: Augment, views: int
) -> Iterator[_Job]:
    # Transform and network in one model: on TensorFlow the transform is compiled only there.
    inputs = keras.Input(network.inputs[0].shape[1:])
    numbers = keras.Input((len(Transforms._fields),))
    seen = keras.Model([inputs, numbers], network(_Transform(augment)([inputs, numbers])))
    for view in range(views):
        transforms = _drawn(augment, view, len(pictures))

        def compute(start: int, transforms: NDArray[np.float32] = transforms) -> NDArray[Any]:
            rows = slice(start, start + BATCH)
            batch = [_filled(pictures[rows]), _filled(transforms[rows])]
            return np.asarray(seen.predict_on_batch(batch))

        digest = sha256(transforms.tobytes()).hexdigest()
        content = ["view", digest, augment.fill_mode, _CODE_OF_VIEWS]
        yield _Job(content, compute, f"Features of view {view + 1} of {views}")


class _Transform(keras.layers.Layer):
    """Apply given transforms, a row of seven numbers for each picture."""

    def __init__(self, augment: Augment) -> None:
        super().__init__(name="view")
        self.augment = augment

    def build(self, shapes: Sequence[Any]) -> None:
        self.augment.built = True  # It has no weights, and is never called by itself here.

    def call(self, inputs: Sequence[Any]) -> Any:
        pictures, numbers = inputs
        return self.augment.transform(
            pictures, Transforms(*(numbers[:, i] for i in range(len(Transforms._fields))))
        )

    def compute_output_spec(self, inputs: Sequence[Any]) -> Any:
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)


def _drawn(augment: Augment, view: int, count: int) -> NDArray[np.float32]:
    """Draw the transforms of a view, (count, 7)."""
    if augment.seed is None:
        raise ValueError(
            "augmented views without a seed would be others each time, and no cache would know "
            "them: give the Augment layer a seed, such as Augment(..., seed=0)"
        )
    seed = int(np.random.SeedSequence([augment.seed, view]).generate_state(1)[0] >> 1)
    twin = Augment.from_config({**augment.get_config(), "seed": seed})
    columns = [np.asarray(ops.convert_to_numpy(column)) for column in twin.draw(count)]
    return np.stack(columns, axis=1).astype(np.float32)


def _some(images: ArrayLike) -> NDArray[Any]:
    pictures = np.asarray(images)
    if pictures.ndim < 2 or not len(pictures):
        raise ValueError(
            f"there are no pictures in an array of shape {pictures.shape}: pass a batch "
            "(N, height, width, channels) of at least one"
        )
    return pictures


def _filled(batch: NDArray[Any]) -> NDArray[Any]:
    """Fill a batch up to `BATCH` rows with copies of its last one."""
    missing = BATCH - len(batch)
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch


def _up_to(model: keras.Model, layer: str | None) -> keras.Model:
    """Cut a model off after a layer."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is {model!r}: pass the network itself, such as load_base(...)")
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise ValueError(
            f"{model.name} has no graph of layers to follow: pass a functional model, or a "
            "sequential one that starts with keras.Input"
        )
    if layer is not None:
        names = [one.name for one in model.layers]
        if layer not in names:
            raise ValueError(f"{model.name} has no layer {layer!r}; it has {', '.join(names)}")
        outputs = [model.get_layer(layer).output]
    if len(inputs) != 1 or len(outputs) != 1 or not isinstance(outputs[0], keras.KerasTensor):
        raise ValueError(
            f"{model.name} has {len(inputs)} inputs and {len(outputs)} outputs: features come from "
            "models with one each"
        )
    return keras.Model(inputs[0], outputs[0], name=model.name)


# --- Files -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Where the batches of one file of features lie.

    Attributes:
        header: Bytes in front of the first feature.
        row: Bytes of one picture's features.
        count: Pictures.
    """

    header: bytes
    row: int
    count: int

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "_Layout":
        stream = io.BytesIO()
        description = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, description)
        return cls(stream.getvalue(), 4 * int(np.prod(shape[1:], dtype=np.int64)), shape[0])

    @property
    def batches(self) -> int:
        return -(-self.count // BATCH)

    def end(self, batches: int) -> int:
        """Where the file ends after as many batches."""
        return len(self.header) + self.row * min(batches * BATCH, self.count)

    def good(self, folder: Path) -> int:
        """How many batches, from the first on, are in a folder as they were written."""
        try:
            noted = (folder / _DIGESTS).read_text("ascii").split()
            with (folder / _FEATURES).open("rb") as stream:
                header = stream.read(len(self.header))
        except (FileNotFoundError, UnicodeDecodeError):
            return 0
        if header != self.header:
            return 0

        def read(number: int) -> bytes:
            with (folder / _FEATURES).open("rb") as stream:
                stream.seek(self.end(number))
                return stream.read(self.end(number + 1) - self.end(number))

        noted = noted[: self.batches]
        pairs = zip(digests_of_pieces(len(noted), read), noted, strict=True)
        return next((i for i, (found, digest) in enumerate(pairs) if found != digest), len(noted))

    def whole(self, folder: Path) -> bool:
        """Whether a folder holds all batches as they were written, and nothing else."""
        file = folder / _FEATURES
        return (
            file.is_file()
            and file.stat().st_size == self.end(self.batches)
            and self.good(folder) == self.batches
        )


def _stored(
    pictures: NDArray[Any], network: keras.Model, jobs: Iterator[_Job], cache: str | Path | None
) -> Iterator[NDArray[np.float32]]:
    """Find each job's features on disk, or put them there."""
    versions = [_VERSION, BATCH, keras.version(), keras.backend.backend()]
    content = [versions, digests_of_array(pictures, BATCH), digests.of_network(network)]
    layout = _Layout.of(network.compute_output_shape(pictures.shape))
    for job in jobs:
        key = key_of([content, job.content])
        folder = cache_root(cache) / "features" / key
        # Asked before the lock too: what is there can be read where nothing may be written.
        if not layout.whole(folder):
            with locked(folder):
                if not layout.whole(folder):
                    # Damaged, or not there. Who has the damaged file open keeps it.
                    shutil.rmtree(folder, ignore_errors=True)
                    part = folder.with_name(f".{folder.name}.part")
                    try:
                        _complete(part, layout, job)
                    except SpaceError:
                        shutil.rmtree(part, ignore_errors=True)
                        raise
                    part.rename(folder)
        yield np.load(folder / _FEATURES, mmap_mode="r", allow_pickle=False)


def _complete(part: Path, layout: _Layout, job: _Job) -> None:
    """Compute what is missing in an unfinished folder."""
    part.mkdir(exist_ok=True)
    done = layout.good(part)
    with (
        enough_space(part, layout.end(layout.batches) - layout.end(done), job.title),
        (part / _FEATURES).open("r+b" if done else "wb") as features,
        (part / _DIGESTS).open("r+b" if done else "wb") as digests,
        progress_bar(
            layout.count, job.title, unit="picture", done=min(done * BATCH, layout.count)
        ) as bar,
    ):
        if not done:
            features.write(layout.header)
        features.truncate(layout.end(done))
        features.seek(layout.end(done))
        digests.truncate(65 * done)
        digests.seek(65 * done)
        # Written from start to end: a full disk is then an error that can be reported, which it
        # is not for a memory-mapped file.
        for start in range(done * BATCH, layout.count, BATCH):
            rows = min(BATCH, layout.count - start)
            batch = np.ascontiguousarray(job.compute(start)[:rows], dtype="<f4").data
            features.write(batch)
            features.flush()
            # Only after the features themselves: what is noted is there.
            digests.write(sha256(batch).hexdigest().encode() + b"\n")
            digests.flush()
            bar.update(rows)
