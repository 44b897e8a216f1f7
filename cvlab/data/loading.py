"""Cats and dogs, from wherever they come to arrays that Keras can train on.

`load_pets` does it all; its steps are public, so that you can watch them one by one:

    path = locate("photos", image_size=150)    # find, draw or download (cvlab.data.locating)
    listing = find_images(path)                # what is there, of which class (cvlab.data.listing)
    subset = make_subset(listing)              # 1,000 + 500 + 500 of each class
    pets = decode(subset, image_size=150)      # uint8 arrays, decoded once

Everything made is kept in a cache folder (`cvlab.cache.cache_root`) under a key of its content,
so nothing is made twice, and nothing outdated is used.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL
from PIL import features

from cvlab.cache import DatasetError, cache_root, in_threads, key_of, made, progress_bar
from cvlab.data import decoding
from cvlab.data.checks import SPLITS, check_image_size
from cvlab.data.listing import CLASS_NAMES, find_images
from cvlab.data.locating import locate
from cvlab.data.splitting import Entry, Rejected, Subset, Twins, make_subset, table
from cvlab.profiles import PROFILES, Profile

# Part of the key; raise it when the same input is to give another result.
_DECODER_VERSION: Final = 2


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Training, validation or test images, decoded.

    Cats and dogs alternate, so the first `2 * n` images are balanced for every n. `fit` shuffles.

    Attributes:
        images: uint8 of shape (N, height, width, 3), RGB from 0 to 255; memory-mapped, read-only.
        labels: uint8 of shape (N,), 0 for a cat and 1 for a dog.
        class_names: `("cat", "dog")`; a label is an index into it.
        file_names: For each image its path inside the split's folder: `cat/cat.1.jpg`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    class_names: tuple[str, ...]
    file_names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __repr__(self) -> str:
        """Return counts and shape; never the pixels."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        parts = (f"{count:,} {name}s" for name, count in zip(self.class_names, counts, strict=True))
        return f"Split({', '.join(parts)}, images {self.images.shape} {self.images.dtype})"


@dataclass(frozen=True, eq=False, repr=False)
class Pets:
    """The three splits of a subset, decoded, and which images were passed over.

    Attributes:
        train: Images to learn from.
        validation: Images to choose epochs and settings by.
        test: Images to measure on once, at the end.
        rejected: Images that were passed over, each with the reason.
        folder: The subset on disk, `folder/<split>/<class>/<file>`.
        source: File or folder name of the source.
        twins: Images that are nearly the same, kept because both are in one split.
    """

    train: Split
    validation: Split
    test: Split
    rejected: tuple[Rejected, ...]
    folder: Path
    source: str
    twins: tuple[Twins, ...] = ()

    def __repr__(self) -> str:
        """Return a table of counts and the rejected images."""
        size = " × ".join(map(str, self.train.images.shape[1:3]))
        title = f"cats and dogs from {self.source}, {size} pixels"
        labels = {name: getattr(self, name).labels for name in SPLITS}
        return table(title, labels, self.rejected, self.twins)


def _splits_in(folder: Path, subset: Subset, image_size: int) -> dict[str, Split]:
    """Return the arrays in a folder, memory-mapped; ValueError if they are not of this subset."""
    splits = {}
    for name, entries in subset.splits.items():
        images = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if images.shape != (len(entries), image_size, image_size, 3) or images.dtype != np.uint8:
            raise ValueError(f"{name}.npy holds {images.dtype} of shape {images.shape}")
        labels = np.array([entry.label for entry in entries], dtype=np.uint8)
        labels.flags.writeable = False
        files = tuple(entry.file for entry in entries)
        splits[name] = Split(images, labels, CLASS_NAMES, files)
    return splits


def _pixels(folder: Path, image_size: int, entry: Entry) -> npt.NDArray[np.uint8]:
    """Decode an image of a subset, if it is still the one that was put there."""
    file = folder / entry.file
    again = f"Delete the folder {folder.parent} and run this again."
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise DatasetError(f"{file} is no longer the image that was put there. {again}")
    try:
        return decoding.to_array(data, image_size)
    except decoding.BadImageError as error:  # by another libjpeg, say
        raise DatasetError(f"{file} {error}. {again}") from error


def _write_arrays(subset: Subset, image_size: int, folder: Path) -> None:
    total = sum(map(len, subset.splits.values()))
    with progress_bar(total, "Decoding", unit="image") as bar, decoding.quiet_pillow():
        for split, entries in subset.splits.items():
            # Written from start to end: a full disk is then an error that can be reported,
            # which it is not for a memory-mapped file.
            with (folder / f"{split}.npy").open("wb") as stream:
                shape = (len(entries), image_size, image_size, 3)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                pixels = partial(_pixels, subset.folder / split, image_size)
                for image in in_threads(pixels, entries):
                    stream.write(image.tobytes())
                    bar.update()


def decode(subset: Subset, image_size: int, *, cache: str | Path | None = None) -> Pets:
    """Decode the images of a subset to square uint8 arrays, once.

    Images come out as a person sees them: turned upright as their EXIF data says, gray, palette,
    CMYK and 16-bit ones as 8-bit RGB, transparent ones on white. They are squeezed to a square
    without keeping their proportions, like `target_size=(150, 150)` does in the lecture, by
    bilinear interpolation that averages over all the pixels that fall into a new one
    (antialiasing). Embedded color profiles are ignored.

    The arrays are kept on disk under a key of the images' digests, the size, and the versions of
    decoder and Pillow, complete or not at all, and are memory-mapped: 4,000 images of 150 × 150
    pixels take 270 MB of disk and next to no memory.

    Args:
        subset: What `make_subset` made.
        image_size: Height and width in pixels.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        The three splits.

    Raises:
        DatasetError: If an image of the subset was changed after it was made.
        SpaceError: If the disk has no room for the arrays.
    """
    check_image_size(image_size)
    if not isinstance(subset, Subset):
        raise DatasetError(f"subset is {subset!r}: pass what make_subset() returns.")
    versions = [_DECODER_VERSION, PIL.__version__, features.version("jpg")]
    digests = {
        split: [[entry.file, entry.label, entry.sha256] for entry in entries]
        for split, entries in subset.splits.items()
    }
    folder = cache_root(cache) / "arrays" / key_of([versions, image_size, digests])
    count = sum(map(len, subset.splits.values()))

    def splits() -> dict[str, Split]:
        made(
            folder,
            partial(_write_arrays, subset, image_size),
            needed=count * image_size * image_size * 3,
            purpose=f"decoding {count:,} images at {image_size} × {image_size} pixels",
        )
        return _splits_in(folder, subset, image_size)

    try:
        found = splits()
    except ValueError:  # a file that is not an array, or one that contains a pickle
        shutil.rmtree(folder)
        found = splits()
    train, validation, test = found.values()
    kept = subset.rejected, subset.folder, subset.source, subset.twins
    return Pets(train, validation, test, *kept)


def load_images(
    source: str | Path | None = None,
    *,
    image_size: int,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Pets:
    """Return training, validation and test images of any source as uint8 arrays.

    Finds, draws or downloads the images (`locate`), lists them (`find_images`), chooses and
    copies the subset (`make_subset`) and decodes it (`decode`). What was made before is reused.

    Args:
        source: A path, `photos`, `microsoft`, `hub` or `toypets`; see `locate`. None is `photos`.
        image_size: Height and width of the images in pixels; 150 in the lecture.
        per_class: Images of each class by split; the lecture's 1,000, 500 and 500 if None.
        seed: None takes photos by number, a number in an order of its own. Of `toypets` it is the
            seed of the drawings.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Raises:
        DatasetError: If it cannot be done; the message says why and what to do.
    """
    path = locate(source, image_size=image_size, per_class=per_class, seed=seed, cache=cache)
    # Drawings are in random order already.
    order = None if source == "toypets" else seed
    listing = find_images(path, cache=cache)
    subset = make_subset(listing, per_class=per_class, seed=order, cache=cache)
    return decode(subset, image_size, cache=cache)


def load_pets(
    profile: Profile,
    *,
    image_size: int | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Pets:
    """Return the training, validation and test images of a profile as uint8 arrays.

    Args:
        profile: What `cvlab.profiles.get` returns; its `source` and `per_class` say which images.
        image_size: Height and width in pixels; the profile's `image_size` if None.
        seed: See `load_images`.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Raises:
        DatasetError: If it cannot be done; the message says why and what to do.
    """
    if not isinstance(profile, Profile):
        instead = "profiles.get(PROFILE), or call load_images(path, ...) for images of your own"
        if isinstance(profile, str) and profile in PROFILES:
            instead = f"the profile itself, profiles.get({profile!r})"
        raise DatasetError(f"profile is {profile!r}, which is not a profile: pass {instead}.")
    return load_images(
        profile.source,
        image_size=profile.image_size if image_size is None else image_size,
        per_class=profile.per_class,
        seed=seed,
        cache=cache,
    )
