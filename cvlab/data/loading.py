"""Cats and dogs, from wherever they come to arrays that Keras can train on.

`load_pets` does it all; the steps it takes are public, for those who want to watch them:

    path = locate("photos", image_size=150)     # find, draw or download (cvlab.data.locating)
    catalogue = find_pictures(path)             # what is there, of which class (cvlab.data.listing)
    subset = make_subset(catalogue)             # 1,000 + 500 + 500 of each class (cvlab.data.splitting)
    pets = decode(subset, image_size=150)       # uint8 arrays, decoded once

Everything made is kept in a cache folder (`cvlab.cache.cache_root`) under a key of its content,
so that nothing is made twice and nothing old is taken for new.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL
from PIL import features

from cvlab.cache import DatasetError, cache_root, in_threads, key_of, locked, progress_bar, storage
from cvlab.data import decoding
from cvlab.data.listing import CLASS_NAMES, find_pictures
from cvlab.data.locating import locate
from cvlab.data.splitting import SPLITS, Entry, Rejected, Subset, Twins, make_subset, table

# Written into the key; to be raised when the same input shall give another result.
_DECODER_VERSION = 2
_MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Training, validation or test pictures, decoded.

    A cat, a dog, a cat, a dog: any first `2 * n` pictures are balanced. `fit` shuffles.

    Attributes:
        images: uint8 of shape (N, height, width, 3), RGB from 0 to 255; memory-mapped, read-only.
        labels: uint8 of shape (N,), 0 for a cat and 1 for a dog.
        class_names: `("cat", "dog")`; a label is an index into it.
        file_names: For each picture its path inside the split's folder: `cat/cat.1.jpg`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    class_names: tuple[str, ...]
    file_names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def __repr__(self) -> str:
        """Return counts and shape; never the pixels."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        parts = (f"{count:,} {name}s" for name, count in zip(self.class_names, counts, strict=True))
        return f"Split({', '.join(parts)}, images {self.images.shape} {self.images.dtype})"


@dataclass(frozen=True, eq=False, repr=False)
class Pets:
    """The three splits of a subset, decoded, and what became of the rest.

    Attributes:
        train: Pictures to learn from.
        validation: Pictures to choose epochs and settings by.
        test: Pictures to be looked at once, at the end.
        rejected: Pictures that were passed over, each with the reason.
        folder: The subset on disk, `folder/<split>/<class>/<file>`.
        source: File or folder name of the source.
        twins: Pictures that are nearly the same, kept because both are in one split.
    """

    train: Split
    validation: Split
    test: Split
    rejected: tuple[Rejected, ...]
    folder: Path
    source: str
    twins: tuple[Twins, ...] = ()

    def __repr__(self) -> str:
        """Return a table of counts and the rejected pictures."""
        splits = {name: getattr(self, name) for name in SPLITS}
        size = " × ".join(map(str, self.train.images.shape[1:3]))
        return table(
            f"cats and dogs from {self.source}, {size} pixels",
            {
                name: np.bincount(split.labels, minlength=2).tolist()
                for name, split in splits.items()
            },
            self.rejected,
            self.twins,
        )


def _arrays_in(folder: Path, subset: Subset, image_size: int) -> dict[str, Split] | None:
    """Return the arrays in `folder`, memory-mapped, or None if they are not there as written."""
    checksums = storage.read_sealed(folder / _MANIFEST)
    if checksums is None:
        return None
    arrays = {}
    for split, entries in subset.splits.items():
        file = folder / f"{split}.npy"
        if not file.is_file() or storage.crc32_of(file) != checksums.get(split):
            return None
        try:
            images = np.load(file, mmap_mode="r", allow_pickle=False)
        except ValueError:  # no array, or one that a pickle hides in
            return None
        if images.shape != (len(entries), image_size, image_size, 3) or images.dtype != np.uint8:
            return None
        labels = np.array([entry.label for entry in entries], dtype=np.uint8)
        labels.flags.writeable = False
        names = tuple(entry.file for entry in entries)
        arrays[split] = Split(images, labels, CLASS_NAMES, names)
    return arrays


def _write_arrays(subset: Subset, image_size: int, folder: Path) -> None:
    total = sum(map(len, subset.splits.values()))
    with progress_bar(total, "Decoding", unit="picture") as bar, decoding.quiet_pillow():
        for split, entries in subset.splits.items():

            def pixels(entry: Entry, split: str = split) -> npt.NDArray[np.uint8]:
                file = subset.folder / split / entry.file
                data = file.read_bytes()
                if hashlib.sha256(data).hexdigest() != entry.sha256:
                    raise DatasetError(
                        f"{file} is no longer the picture that was put there. Delete the folder "
                        f"{subset.folder} and run this again."
                    )
                try:
                    return decoding.to_array(data, image_size)
                except decoding.BadPictureError as error:  # by another libjpeg, say
                    raise DatasetError(
                        f"{file} {error}. Delete the folder {subset.folder} and run this again."
                    ) from error

            # Written from start to end: a full disk is then an error that can be reported,
            # which it is not for a memory-mapped file.
            with (folder / f"{split}.npy").open("wb") as stream:
                header = {
                    "descr": "|u1",
                    "fortran_order": False,
                    "shape": (len(entries), image_size, image_size, 3),
                }
                np.lib.format.write_array_header_1_0(stream, header)
                for image in in_threads(pixels, entries):
                    stream.write(image.tobytes())
                    bar.update()
    # Read back from the disk: what is kept as right is what is there.
    checksums = {split: storage.crc32_of(folder / f"{split}.npy") for split in subset.splits}
    storage.write_sealed(folder / _MANIFEST, checksums)


def decode(subset: Subset, image_size: int, *, cache: str | Path | None = None) -> Pets:
    """Decode the pictures of a subset to square uint8 arrays, once.

    Pictures come out as a person sees them: turned upright as their EXIF data says, gray, palette,
    CMYK and 16-bit ones as 8-bit RGB, transparent ones on white. They are squeezed to a square
    without keeping their proportions, like `target_size=(150, 150)` does in the lecture, by
    bilinear interpolation that averages over all the pixels that fall into a new one
    (antialiasing). Embedded color profiles are ignored.

    The arrays are kept on disk under a key of the pictures' digests, the size, and the versions of
    decoder and Pillow, complete or not at all, and are memory-mapped: 4,000 pictures of 150 × 150
    pixels take 270 MB of disk and next to no memory.

    Args:
        subset: What `make_subset` made.
        image_size: Height and width in pixels.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        The three splits.

    Raises:
        DatasetError: If a picture of the subset was changed after it was made.
        SpaceError: If the disk has no room for the arrays.
    """
    decoding.check_image_size(image_size)
    if not isinstance(subset, Subset):
        raise DatasetError(f"subset is {subset!r}: pass what make_subset() returns.")
    versions = [_DECODER_VERSION, PIL.__version__, features.version("jpg")]
    digests = {
        split: [[entry.file, entry.label, entry.sha256] for entry in entries]
        for split, entries in subset.splits.items()
    }
    folder = cache_root(cache) / "arrays" / key_of([versions, image_size, digests])
    arrays = _arrays_in(folder, subset, image_size)
    if arrays is None:
        with locked(folder):
            arrays = _arrays_in(folder, subset, image_size)
            if arrays is None:
                count = sum(map(len, subset.splits.values()))
                needed = count * image_size * image_size * 3
                purpose = f"decoding {count:,} pictures at {image_size} × {image_size} pixels"
                with storage.whole_folder(folder, needed, purpose) as unfinished:
                    _write_arrays(subset, image_size, unfinished)
                arrays = _arrays_in(folder, subset, image_size)
    if arrays is None:
        raise DatasetError(f"The arrays in {folder} were changed while they were made. Run again.")
    return Pets(
        **arrays,
        rejected=subset.rejected,
        folder=subset.folder,
        source=subset.source,
        twins=subset.twins,
    )


def load_pets(
    source: str | Path | None = None,
    *,
    image_size: int,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Pets:
    """Return training, validation and test pictures of cats and dogs as uint8 arrays.

    Finds, draws or downloads the pictures (`locate`), lists them (`find_pictures`), chooses and
    copies the subset (`make_subset`) and decodes it (`decode`). What was made before is reused.

    Args:
        source: A path, `photos`, `microsoft` or `toypets`; see `locate`. None is `photos`.
        image_size: Height and width of the pictures in pixels; 150 in the lecture.
        per_class: Pictures of each class by split; the lecture's 1,000, 500 and 500 if None.
        seed: None takes photos by number, a number in an order of its own. Of `toypets` it is the
            seed of the drawing.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Raises:
        DatasetError: If it cannot be done; the message says why and what to do.
    """
    path = locate(source, image_size=image_size, per_class=per_class, seed=seed, cache=cache)
    catalogue = find_pictures(path, cache=cache)
    # Drawn pictures are in random order already.
    order = None if source == "toypets" else seed
    subset = make_subset(catalogue, per_class=per_class, seed=order, cache=cache)
    return decode(subset, image_size, cache=cache)
