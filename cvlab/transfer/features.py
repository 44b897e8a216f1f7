"""Features: the outputs of a network, computed once per image and kept on disk.

The base is by far the most expensive part of transfer learning, and while it is frozen its output
for an image never changes. So every image, or every augmented view of it, passes through the base
once; afterwards its features are read from a file.

The name of that file is a key of everything that its content depends on: the pixels, the layers,
their code and weights, the transforms of a view. If any of them changes, so does the key, and a
stored file is never stale. Images pass in batches of one size, and the digest of each batch is
written after it: a run that was killed continues after the last good batch and ends with the same
bytes.
"""

import inspect
import io
import math
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

import cvlab.training.augmentation
from cvlab import precision
from cvlab.cache import cache_root, digests_of_array, key_of, made, progress_bar
from cvlab.models import digests
from cvlab.models.folding import fold_batch_norms
from cvlab.models.graph import layer_named
from cvlab.training.augmentation import Augment, Transforms

# Images per batch; the last batch is filled up. The bits of a result may depend on the size of its
# batch, and a network is compiled once for each size.
BATCH: Final = 32
# Raise it when the same key would stand for other bytes.
_VERSION: Final = 2
_FEATURES, _DIGESTS = "features.npy", "digests"
_DIGEST_SIZE: Final = sha256().digest_size
# Read at import: editing the file changes nothing in a notebook that is already running.
_CODE_OF_VIEWS: Final = inspect.getsource(cvlab.training.augmentation)


def extract(
    images: ArrayLike,
    model: keras.Model,
    layer: str | None = None,
    *,
    fast: bool = False,
    cache: str | Path | None = None,
) -> NDArray[np.float32]:
    """Return the features of images, read from disk if they were computed before (step 22).

    The network runs in inference mode, with each BatchNormalization folded into its convolution
    (`cvlab.models.folding`). At most `BATCH` images and their features are in memory at a time. If
    two processes ask for the same features, the second waits for the first. A progress bar appears
    if the work takes longer than a second. Nothing that is read can hold a pickle.

    Args:
        images: Images as the model takes them, shape (N, ...), at least one. A memory-mapped
            array is read batch by batch.
        model: A functional or sequential model of one input and one output, such as a
            convolutional base.
        layer: Name of the layer whose output is wanted; None for the output of the model. Layers
            of a model inside the model cannot be named: pass that model itself.
        fast: Whether the network may compute in bfloat16 where the processor or GPU supports it,
            two to three times as fast. The features of MobileNet are then off by 4 % of their
            standard deviation on average, those of the embedded base by 1 %.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        Float32, shape (N, ...) with the output shape of the layer; memory-mapped, read-only.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If there is no such layer, the model has no graph that can be cut, or there are
            no images.
        SpaceError: If the disk has no room for the features.
    """
    batch = _checked(images)
    network = _up_to(model, layer)
    dtype = precision.dtype_policy(fast=True) if fast else None
    folded = partial(fold_batch_norms, network, dtype=dtype)
    content = ["as they are", dtype]
    return _Store(batch, network, cache).features(content, folded, batch, "Features")


def extract_views(
    images: ArrayLike,
    model: keras.Model,
    *,
    augment: Augment,
    views: int,
    cache: str | Path | None = None,
) -> list[NDArray[np.float32]]:
    """Return the features of several augmented views of each image (step 23).

    A view applies one random transform to each image. Views are computed once, in place of a new
    augmentation in every epoch. All views are augmented: for the original images call `extract`.
    The transforms of view v depend only on the seed of `augment`, on v and on the number of images,
    so you can ask for more views later and keep those that exist. Each view is a file of its own.

    Args:
        images: Images (N, height, width, channels), as for `extract`.
        model: As for `extract`.
        augment: The augmentation, with a seed. Its random state does not change.
        views: Number of views of each image, at least 1.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        For each view float32 features, shape (N, ...) with the output shape of the model, in the
        order of the images; memory-mapped, read-only.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: As for `extract`, and if the augmentation has no seed or `views` is not
            positive.
        SpaceError: If the disk has no room for the features.
    """
    batch = _checked(images)
    if views < 1:
        raise ValueError(f"{views} views of each image were asked for: ask for 1 or more")
    network = _up_to(model, None)
    shape = network.inputs[0].shape[1:]

    @lru_cache
    def whole() -> keras.Model:
        """Return transform and network as one: on TensorFlow the transform is compiled only so."""
        # Everything has a name, so that the numbering of other layers stays the same.
        inputs = [
            keras.Input(shape, name="images"),
            keras.Input((len(Transforms._fields),), name="transforms"),
        ]
        transformed = keras.layers.Lambda(
            lambda given: augment.transform(given[0], Transforms(*ops.unstack(given[1], axis=1))),
            output_shape=shape,
            name="view",
        )
        outputs = fold_batch_norms(network)(transformed(inputs))
        return keras.Model(inputs, outputs, name="views")

    store, found = _Store(batch, network, cache), []
    for view in range(views):
        transforms = _sampled(augment, view, len(batch))
        digest = sha256(transforms.tobytes()).hexdigest()
        content = ["view", digest, augment.fill_mode, _CODE_OF_VIEWS]
        title = f"Features of view {view + 1} of {views}"
        found.append(store.features(content, whole, [batch, transforms], title))
    return found


def _sampled(augment: Augment, view: int, count: int) -> NDArray[np.float32]:
    """Sample the transforms of a view, shape (count, 7)."""
    if augment.seed is None:
        raise ValueError(
            "without a seed the augmented views would differ in every run, and no stored features "
            "could be found again: give the Augment layer a seed, such as Augment(..., seed=0)"
        )
    seed = int(np.random.SeedSequence([augment.seed, view]).generate_state(1)[0] >> 1)
    twin = Augment.from_config({**augment.get_config(), "seed": seed})
    columns = [np.asarray(ops.convert_to_numpy(column)) for column in twin.draw(count)]
    return np.stack(columns, axis=1).astype(np.float32)


def _checked(images: ArrayLike) -> NDArray[Any]:
    batch = np.asarray(images)
    if batch.ndim < 2 or not len(batch):
        raise ValueError(
            f"there are no images in an array of shape {batch.shape}: pass a batch "
            "(N, height, width, channels) of at least one"
        )
    return batch


def _batch(array: NDArray[Any], start: int) -> NDArray[Any]:
    """Return `BATCH` rows from `start` on; beyond the end the last row is repeated."""
    rows: NDArray[Any] = array[np.arange(start, start + BATCH).clip(max=len(array) - 1)]
    return rows


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
        outputs = [layer_named(layer, model).output]
    if len(inputs) != 1 or len(outputs) != 1 or not isinstance(outputs[0], keras.KerasTensor):
        raise ValueError(
            f"{model.name} has {len(inputs)} inputs and {len(outputs)} outputs: pass a model with "
            "one of each"
        )
    return keras.Model(inputs[0], outputs[0], name=model.name)


class _Store:
    """The features on disk of some images and one network."""

    def __init__(
        self, images: NDArray[Any], network: keras.Model, cache: str | Path | None
    ) -> None:
        versions = [_VERSION, BATCH, keras.version(), keras.backend.backend()]
        self.content = [versions, digests_of_array(images, BATCH), digests.of_network(network)]
        self.folder = cache_root(cache) / "features"
        self.shape: tuple[int, ...] = network.compute_output_shape(images.shape)
        self.count = len(images)
        self.row = 4 * math.prod(self.shape[1:])  # bytes per image

    def features(
        self, content: object, network: Callable[[], keras.Model], inputs: object, title: str
    ) -> NDArray[np.float32]:
        """Return an array of features, computed now or read from disk.

        Args:
            content: What the features depend on besides images and network, for the key.
            network: Makes what computes the features, if they are not there.
            inputs: What it takes: an array, or several in a list, with one row for each image.
            title: Label of the progress bar.
        """
        folder = self.folder / key_of([self.content, content])
        made(
            folder,
            partial(self._write, network=network, inputs=inputs, title=title),
            needed=self.count * (self.row + _DIGEST_SIZE),
            purpose=title,
            resumes=True,
        )
        return np.load(folder / _FEATURES, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _write(
        self, folder: Path, network: Callable[[], keras.Model], inputs: object, title: str
    ) -> None:
        """Write the features that a folder lacks, each batch followed by its digest."""
        model, stream = network(), io.BytesIO()
        description = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(stream, description)
        header = stream.getvalue()
        with (folder / _FEATURES).open("a+b") as features, (folder / _DIGESTS).open("a+b") as noted:
            done = self._good_images(features, noted, header)
            noted.truncate(_DIGEST_SIZE * -(-done // BATCH))
            features.truncate(len(header) + self.row * done if done else 0)
            if not done:
                features.write(header)
            # Written from start to end: a full disk is then an error that can be reported, which
            # it is not for a memory-mapped file.
            with progress_bar(self.count, title, unit="image", done=done) as bar:
                for start in range(done, self.count, BATCH):
                    rows = min(BATCH, self.count - start)
                    given = keras.tree.map_structure(partial(_batch, start=start), inputs)
                    found = model.predict_on_batch(given)[:rows]
                    batch = np.ascontiguousarray(found, dtype="<f4").data
                    features.write(batch)
                    features.flush()
                    # Only now: a batch whose digest is there has been written.
                    noted.write(sha256(batch).digest())
                    noted.flush()
                    bar.update(rows)

    def _good_images(self, features: BinaryIO, noted: BinaryIO, header: bytes) -> int:
        """Count the images, from the first on, whose features a killed run left undamaged."""
        features.seek(0)
        noted.seek(0)
        if features.read(len(header)) != header:
            return 0
        for start in range(0, self.count, BATCH):
            batch = features.read(self.row * min(BATCH, self.count - start))
            if noted.read(_DIGEST_SIZE) != sha256(batch).digest():
                return start
        return self.count
