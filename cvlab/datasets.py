"""Cats and dogs, from wherever they come to arrays that Keras can train on.

`load_pets` does it all; the steps it takes are public, for those who want to watch them:

    path = locate("photos", image_size=150)          # find, draw or download
    catalogue = find_pictures(path)                  # which pictures are there, of which class
    subset = make_subset(catalogue)                  # 1,000 + 500 + 500 of each class, on disk
    pets = decode(subset, image_size=150)            # uint8 arrays, decoded once

Everything made is kept in a cache folder (`cvlab.storage.cache_root`) under a key of its content,
so that nothing is made twice and nothing old is taken for new.
"""

import hashlib
import io
import json
import os
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError, features

from cvlab import storage, toypets
from cvlab.archives import MAX_MEMBER_BYTES, ArchiveError, open_archive
from cvlab.storage import DatasetError, DownloadError

CLASS_NAMES = ("cat", "dog")
SPLITS = ("train", "validation", "test")
# The lecture's: 2,000 pictures to train on, 1,000 to validate, 1,000 to test.
LECTURE_PER_CLASS = {"train": 1000, "validation": 500, "test": 500}

# Microsoft's copy of the pictures of Kaggle's competition "Dogs vs. Cats" (the Asirra set).
MICROSOFT_URL = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip"
)
MICROSOFT_PAGE = "https://www.microsoft.com/en-us/download/details.aspx?id=54765"
MICROSOFT_BYTES = 824_887_076
MICROSOFT_SHA256 = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
KAGGLE_PAGE = "https://www.kaggle.com/c/dogs-vs-cats/data"
ARCHIVE_NAMES = (MICROSOFT_URL.rsplit("/", 1)[1], "dogs-vs-cats.zip", "train.zip")

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
# No others: Pillow knows formats that start other programs (EPS) or are rarely tested.
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
BACKGROUND = (255, 255, 255)
MAX_PIXELS = 89_478_485  # Pillow's own limit for decompression bombs

# Written into every key; to be raised when the same input shall give another result.
_SUBSET_VERSION = 1
_DECODER_VERSION = 1
_MANIFEST = "manifest.json"
_WORKERS = min(8, os.cpu_count() or 1)

_T = TypeVar("_T")
_R = TypeVar("_R")


# --- What there is -----------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Rejected:
    """A picture that was passed over.

    Attributes:
        name: Its name in the source.
        reason: Why.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        """Return name and reason on one line."""
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Picture:
    """A file that claims to be a picture; it has not been opened yet.

    Attributes:
        name: Path inside the source, with forward slashes.
        size: Size of the file in bytes.
        checksum: CRC-32 that its archive gives for it; None for a file in a folder.
    """

    name: str
    size: int
    checksum: int | None


@dataclass(frozen=True)
class Catalogue:
    """The pictures of a source by class. Nothing has been unpacked.

    Attributes:
        source: What the reader passed: a folder or a zip archive.
        container: The folder or archive that holds the pictures; differs from `source` only
            where an archive lies in another archive.
        pictures: For `cat` and `dog` the pictures, by the last number in their names.
        others: Names of files that are no pictures or belong to no class; never read.
    """

    source: Path
    container: Path
    pictures: Mapping[str, tuple[Picture, ...]]
    others: tuple[str, ...]

    def __str__(self) -> str:
        """Return the counts on one line."""
        counts = ", ".join(f"{len(self.pictures[name]):,} of {name}s" for name in CLASS_NAMES)
        return f"{self.source.name}: pictures {counts}; other files {len(self.others):,}"

    @contextmanager
    def reader(self) -> Iterator[Callable[[Picture], bytes]]:
        """Yield a function that returns the bytes of a picture; threads may share it."""
        if self.container.is_dir():
            yield lambda picture: (self.container / picture.name).read_bytes()
        else:
            with open_archive(self.container, called=str(self.source)) as archive:
                yield lambda picture: archive.read(picture.name)


@dataclass(frozen=True)
class Entry:
    """One picture of a subset.

    Attributes:
        file: Path inside its split's folder: `cat/cat.1.jpg`.
        label: 0 for a cat, 1 for a dog.
        source: Name in the source it came from.
        size: Bytes.
        sha256: Digest of the bytes, in hexadecimal.
    """

    file: str
    label: int
    source: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Subset:
    """Pictures chosen and copied, byte for byte, to `folder/<split>/<class>/`.

    Attributes:
        folder: Where they are.
        source: File or folder name of the source.
        splits: Split name to its pictures: a cat, a dog, a cat, a dog, ...
        rejected: Pictures that were looked at and passed over.
    """

    folder: Path
    source: str
    splits: Mapping[str, tuple[Entry, ...]]
    rejected: tuple[Rejected, ...]

    def __str__(self) -> str:
        """Return a table of counts and the rejected pictures."""
        counts = {
            split: [sum(entry.label == label for entry in entries) for label in (0, 1)]
            for split, entries in self.splits.items()
        }
        return _table(f"cats and dogs from {self.source}", counts, self.rejected)


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
    """

    train: Split
    validation: Split
    test: Split
    rejected: tuple[Rejected, ...]
    folder: Path
    source: str

    def __repr__(self) -> str:
        """Return a table of counts and the rejected pictures."""
        splits = {name: getattr(self, name) for name in SPLITS}
        size = " × ".join(map(str, self.train.images.shape[1:3]))
        return _table(
            f"cats and dogs from {self.source}, {size} pixels",
            {
                name: np.bincount(split.labels, minlength=2).tolist()
                for name, split in splits.items()
            },
            self.rejected,
        )


def _table(title: str, counts: Mapping[str, list[int]], rejected: tuple[Rejected, ...]) -> str:
    lines = [title, f"{'':<12}{'cats':>8}{'dogs':>8}{'both':>8}"]
    for split, (cats, dogs) in counts.items():
        lines.append(f"{split:<12}{cats:>8,}{dogs:>8,}{cats + dogs:>8,}")
    lines.append(f"{len(rejected):,} rejected" + (":" if rejected else ""))
    lines += [f"  {one}" for one in rejected]
    return "\n".join(lines)


# --- Find --------------------------------------------------------------------------------------

_CLASS_OF_FOLDER = {f"{name}{plural}": name for name in CLASS_NAMES for plural in ("", "s")}
_CLASS_OF_FILE = re.compile(r"^(cat|dog)s?(?![a-z])")


def _class_of(path: PurePosixPath) -> str | None:
    for folder in reversed(path.parts[:-1]):
        if folder.lower() in _CLASS_OF_FOLDER:
            return _CLASS_OF_FOLDER[folder.lower()]
    found = _CLASS_OF_FILE.match(path.name.lower())
    return found[1] if found else None


def _by_number(picture: Picture) -> tuple[bool, int, str, str]:
    """Sort `cat.9.jpg` before `cat.10.jpg`, and names without a number last."""
    numbers = re.findall(r"[0-9]+", PurePosixPath(picture.name).stem)
    digits = numbers[-1].lstrip("0") if numbers else ""
    return not numbers, len(digits), digits, picture.name


def _catalogue(source: Path, container: Path, files: Iterable[Picture]) -> Catalogue:
    pictures: dict[str, list[Picture]] = {name: [] for name in CLASS_NAMES}
    others = []
    for file in files:
        path = PurePosixPath(file.name)
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        kind = _class_of(path)
        if hidden or kind is None or path.suffix.lower() not in PICTURE_SUFFIXES:
            others.append(file.name)
        else:
            pictures[kind].append(file)
    return Catalogue(
        source,
        container,
        {name: tuple(sorted(pictures[name], key=_by_number)) for name in CLASS_NAMES},
        tuple(sorted(others)),
    )


def _files_of_folder(folder: Path) -> Iterator[Picture]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield Picture(path.relative_to(folder).as_posix(), path.stat().st_size, None)


def _files_of_archive(archive: zipfile.ZipFile) -> list[Picture]:
    return [
        Picture(info.filename, info.file_size, info.CRC)
        for info in archive.infolist()
        if not info.is_dir()
    ]


def _taken_out(archive: zipfile.ZipFile, inner: Picture, cache: Path) -> Path:
    """Return a copy in the cache of an archive that lies inside an archive.

    Inside, a compressed archive can only be read from its start to its end, again for every
    picture. The copy is the one thing that is unpacked.
    """
    key = _digest([inner.name, inner.size, inner.checksum])
    folder = cache / "archives" / key
    copy = folder / "train.zip"
    if copy.exists():
        return copy
    with storage.locked(folder):
        if copy.exists():
            return copy
        purpose = f"the copy of {inner.name} out of {Path(archive.filename or '').name}"
        with storage.whole_folder(folder, inner.size, purpose) as unfinished:
            try:
                with (
                    archive.open(inner.name) as packed,
                    (unfinished / copy.name).open("wb") as stream,
                ):
                    shutil.copyfileobj(packed, stream, 2**20)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise ArchiveError(
                    f"{inner.name} in {archive.filename} is damaged ({error}). Delete the archive "
                    "and download it again."
                ) from error
    return copy


def _complain_about_classes(catalogue: Catalogue) -> None:
    counts = {name: len(catalogue.pictures[name]) for name in CLASS_NAMES}
    missing = [name for name, count in counts.items() if not count]
    if not missing:
        return
    layout = (
        "What can be read: Kaggle's train.zip or dogs-vs-cats.zip, Microsoft's "
        f"{ARCHIVE_NAMES[0]}, or a zip or folder with the sub-folders cat and dog or with files "
        "named cat.*.jpg and dog.*.jpg."
    )
    if len(missing) == 1:
        there = next(name for name in CLASS_NAMES if counts[name])
        raise DatasetError(
            f"{catalogue.source} has {counts[there]:,} pictures of {there}s and none of "
            f"{missing[0]}s; both classes are needed. {layout}"
        )
    shown = ", ".join(catalogue.others[:5]) + (", …" if len(catalogue.others) > 5 else "")
    what = f"among its {len(catalogue.others):,} files: {shown}" if shown else "it is empty"
    raise DatasetError(
        f"{catalogue.source} has no picture that is called or filed as a cat or a dog ({what}). "
        f"{layout}"
    )


def find_pictures(source: str | Path, *, cache: str | Path | None = None) -> Catalogue:
    """List the pictures of cats and dogs in a zip archive or folder; open none of them.

    The class of a picture is the nearest folder around it called `cat`, `cats`, `dog` or `dogs`
    (in any case), else the start of its file name. Archives are read in place; only Kaggle's
    archive in an archive (`train.zip` in `dogs-vs-cats.zip`) is copied out of it, to the cache.

    Args:
        source: Path of a zip archive or of a folder.
        cache: Folder for the copy of an inner archive; see `cvlab.storage.cache_root`.

    Returns:
        The pictures by class, in the order of their numbers.

    Raises:
        DatasetError: If there is nothing at `source`, or not both cats and dogs.
        ArchiveError: If the archive is damaged or not to be trusted.
        SpaceError: If the disk has no room for the copy.
    """
    source = Path(source).expanduser()
    if source.is_dir():
        catalogue = _catalogue(source, source, _files_of_folder(source))
    elif source.is_file():
        with open_archive(source) as archive:
            files = _files_of_archive(archive)
            catalogue = _catalogue(source, source, files)
            inner = [file for file in files if PurePosixPath(file.name).name == "train.zip"]
            if not any(catalogue.pictures.values()) and len(inner) == 1:
                container = _taken_out(archive, inner[0], storage.cache_root(cache))
                with open_archive(container, called=f"{inner[0].name} in {source}") as train:
                    catalogue = _catalogue(source, container, _files_of_archive(train))
    else:
        raise DatasetError(
            f"There is no file or folder {source.absolute()}. Pass the path of a zip archive of "
            "cats and dogs or of a folder with the sub-folders cat and dog."
        )
    _complain_about_classes(catalogue)
    return catalogue


# --- Decode one picture ------------------------------------------------------------------------


class _BadPictureError(Exception):
    """A picture cannot be used; the text is the reason."""


def _open_rgb(data: bytes) -> Image.Image:
    """Decode a picture as a person would see it: upright, 8-bit RGB.

    Raises:
        _BadPictureError: If it cannot be decoded, with the reason.
    """
    if not data:
        raise _BadPictureError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as picture:
            pixels = picture.width * picture.height
            if pixels > MAX_PIXELS:
                raise _BadPictureError(_too_large(picture.width, picture.height))
            picture.load()
            return _upright_rgb(picture)
    except _BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise _BadPictureError(f"more than {MAX_PIXELS:,} pixels ({error})") from error
    except UnidentifiedImageError as error:
        raise _BadPictureError(
            f"no picture in a known format; the file starts with {data[:12]!r}"
        ) from error
    # Pillow's decoders answer damaged files with any of these, depending on where they stumble.
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise _BadPictureError(f"cannot be decoded: {error}") from error


def _too_large(width: int, height: int) -> str:
    return f"{width:,} × {height:,} pixels are more than the {MAX_PIXELS:,} allowed"


def _upright_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        # Pillow takes every CMYK JPEG for one of Adobe's, which store 255 for "no ink".
        picture = ImageChops.invert(picture)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I"):
        picture = _from_16_bits(picture)
    elif picture.mode == "F":
        raise _BadPictureError("floating-point pixels, whose black and white nobody knows")
    if picture.has_transparency_data:
        drawn = picture.convert("RGBA")
        picture = Image.new("RGB", drawn.size, BACKGROUND)
        picture.paste(drawn, mask=drawn)
        return picture
    return picture.convert("RGB")


def _from_16_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise _BadPictureError("32-bit pixels, whose black and white nobody knows")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, of odd EXIF data for the most part.

    What makes a picture unusable is an error, and is reported as the reason of its rejection.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def _to_array(data: bytes, image_size: int) -> npt.NDArray[np.uint8]:
    """Decode and resize one picture; see `decode`."""
    # JPEG's draft mode would save a third of the time for photos of twice the size, once; the
    # pixels would differ by up to 25 from those of everybody else's Pillow.
    picture = _open_rgb(data)
    resized = picture.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)


# --- Work in threads ---------------------------------------------------------------------------


def _in_threads(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Map in threads, in order, with a bounded number of results waiting.

    Pillow, `zlib` and `hashlib` release the interpreter lock, so threads are enough.
    """
    waiting: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 8 * _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _digest(content: object) -> str:
    """Return a key of 24 hexadecimal digits for something JSON can write."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:24]


# --- Subset ------------------------------------------------------------------------------------


def _checked_per_class(per_class: Mapping[str, int] | None) -> dict[str, int]:
    wanted = dict(LECTURE_PER_CLASS if per_class is None else per_class)
    if set(wanted) != set(SPLITS) or not all(
        isinstance(count, int) and count > 0 for count in wanted.values()
    ):
        raise DatasetError(
            f"per_class is {wanted}. It must give the pictures of each class for each split, "
            f"positive whole numbers, like {LECTURE_PER_CLASS}."
        )
    return {split: wanted[split] for split in SPLITS}


def _fingerprints(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return name and content of every picture: its archive's CRC-32, or its SHA-256."""
    pictures = [picture for name in CLASS_NAMES for picture in catalogue.pictures[name]]

    def sha256(picture: Picture) -> str:
        try:
            return storage.sha256_of(catalogue.container / picture.name)
        except OSError as error:
            return f"unreadable, {error.errno}"  # `_checked` will reject it by name

    if catalogue.container.is_dir():
        contents = list(_in_threads(sha256, pictures))
    else:
        contents = [f"{picture.size}, {picture.checksum}" for picture in pictures]
    return [(one.name, content) for one, content in zip(pictures, contents, strict=True)]


def _in_order(pictures: tuple[Picture, ...], seed: int | None) -> list[Picture]:
    """Return the pictures by number or, with a seed, in an order drawn from their names.

    Digests, not a random generator: the order is the same with every version of everything.
    """
    if seed is None:
        return list(pictures)
    return sorted(pictures, key=lambda one: hashlib.sha256(f"{seed}/{one.name}".encode()).digest())


def _file_names(pictures: tuple[Picture, ...]) -> dict[str, str]:
    """Return for each picture a file name that is safe everywhere and unique in its class."""
    plain = {
        picture.name: re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(picture.name).name)[-100:]
        for picture in pictures
    }
    times: dict[str, int] = {}
    for name in plain.values():
        times[name.lower()] = times.get(name.lower(), 0) + 1
    unique = {}
    for source, name in plain.items():
        path = PurePosixPath(name)
        clash = times[name.lower()] > 1
        mark = "-" + hashlib.sha256(source.encode()).hexdigest()[:12] if clash else ""
        unique[source] = f"{path.stem}{mark}{path.suffix}"
    return unique


@dataclass(frozen=True)
class _Checked:
    """A candidate after a look at it: its bytes, or the reason why not."""

    picture: Picture
    data: bytes
    sha256: str
    reason: str | None


def _checked(read: Callable[[Picture], bytes], picture: Picture) -> _Checked:
    data, reason = b"", None
    try:
        if picture.size > MAX_MEMBER_BYTES:
            raise _BadPictureError(
                f"{storage.readable_bytes(picture.size)} are more than the "
                f"{storage.readable_bytes(MAX_MEMBER_BYTES)} allowed"
            )
        data = read(picture)
        _open_rgb(data)
    except _BadPictureError as error:
        reason = str(error)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        reason = f"damaged in its archive: {error}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    return _Checked(picture, data, hashlib.sha256(data).hexdigest(), reason)


def _good_ones(
    read: Callable[[Picture], bytes],
    candidates: list[Picture],
    wanted: int,
    seen: dict[str, str],
    rejected: list[Rejected],
) -> Iterator[_Checked]:
    """Yield the first `wanted` candidates that can be decoded and are no copy of an earlier one."""
    rest = iter(candidates)
    good = 0
    # As many as are still wanted at a time: nothing is looked at that is not needed.
    while good < wanted and (batch := list(islice(rest, wanted - good))):
        for one in _in_threads(lambda picture: _checked(read, picture), batch):
            reason = one.reason
            if reason is None and one.sha256 in seen:
                reason = f"the same bytes as {seen[one.sha256]}"
            if reason is not None:
                rejected.append(Rejected(one.picture.name, reason))
                continue
            seen[one.sha256] = one.picture.name
            good += 1
            yield one


def _write_subset(
    catalogue: Catalogue, wanted: Mapping[str, int], seed: int | None, folder: Path
) -> dict[str, Any]:
    """Copy the chosen pictures into `folder`; return what the manifest says about them."""
    places = [split for split in SPLITS for _ in range(wanted[split])]
    seen: dict[str, str] = {}
    rejected: list[Rejected] = []
    found: dict[str, list[tuple[str, Entry]]] = {}
    total = len(CLASS_NAMES) * len(places)
    bar = storage.progress_bar(total, "Choosing pictures", unit="picture")
    with catalogue.reader() as read, bar, _quiet_pillow():
        for label, name in enumerate(CLASS_NAMES):
            files = _file_names(catalogue.pictures[name])
            for split in SPLITS:
                (folder / split / name).mkdir(parents=True)
            found[name] = []
            candidates = _in_order(catalogue.pictures[name], seed)
            for one in _good_ones(read, candidates, len(places), seen, rejected):
                split = places[len(found[name])]
                file = f"{name}/{files[one.picture.name]}"
                (folder / split / file).write_bytes(one.data)
                entry = Entry(file, label, one.picture.name, len(one.data), one.sha256)
                found[name].append((split, entry))
                bar.update()
    counts = {name: len(found[name]) for name in CLASS_NAMES}
    if min(counts.values()) < len(places):
        raise _too_few(catalogue, wanted, counts, rejected)
    return {
        "seed": seed,
        "splits": {
            split: [
                vars(entry)
                for pair in zip(*(found[name] for name in CLASS_NAMES), strict=True)
                for place, entry in pair
                if place == split
            ]
            for split in SPLITS
        },
        "rejected": [vars(one) for one in sorted(rejected)],
    }


def _too_few(
    catalogue: Catalogue,
    wanted: Mapping[str, int],
    good: Mapping[str, int],
    rejected: Iterable[Rejected],
) -> DatasetError:
    total = sum(wanted.values())
    counts = []
    for name in CLASS_NAMES:
        listed = len(catalogue.pictures[name])
        # The search stops when there are enough.
        number = f"{good[name]:,}" if good[name] < total else f"at least {total:,}"
        counts.append(f"{number} good pictures of {name}s (of {listed:,} files)")
    parts = " + ".join(f"{count:,} {split}" for split, count in wanted.items())
    bad = sorted(rejected)
    lines = [
        f"Too few pictures: {catalogue.source} has {' and '.join(counts)}, but {total:,} of each "
        f"are needed ({parts}). Add pictures, or ask for fewer with per_class."
    ]
    if bad:
        lines.append(f"{len(bad):,} rejected:")
        lines += [f"  {one}" for one in bad[:20]] + ["  …"] * (len(bad) > 20)
    return DatasetError("\n".join(lines))


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a finished folder, or None where there is none that can be read."""
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return manifest


def _subset_in(folder: Path, source: str) -> Subset | None:
    """Return the subset in `folder` if it is there with every file, else None."""
    manifest = _read_manifest(folder)
    if manifest is None:
        return None
    splits = {}
    for split, entries in manifest["splits"].items():
        splits[split] = tuple(Entry(**entry) for entry in entries)
        there = {
            f"{name}/{file.name}": file.stat().st_size
            for name in CLASS_NAMES
            if (folder / split / name).is_dir()
            for file in os.scandir(folder / split / name)
        }
        if any(there.get(entry.file) != entry.size for entry in splits[split]):
            return None
    rejected = tuple(Rejected(**one) for one in manifest["rejected"])
    return Subset(folder, source, splits, rejected)


def make_subset(
    catalogue: Catalogue,
    *,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Subset:
    """Copy the first good pictures of each class into train, validation and test folders.

    The lecture's split: the first 1,000 of each class train, the next 500 validate, the next 500
    test. A picture that cannot be decoded, or has the same bytes as an earlier one, is passed over
    and named in `rejected`, and the next one takes its place; the source is never changed. So no
    picture is in two splits. The result depends on names, content, `per_class` and `seed` alone;
    made once, it is only looked up. It appears on disk complete or not at all, and callers that
    want the same one at once wait for the first.

    Args:
        catalogue: What `find_pictures` found.
        per_class: Pictures of each class by split; the lecture's 1,000, 500 and 500 if None.
        seed: None takes the pictures by number; a number takes them in an order of its own.
        cache: Cache folder; see `cvlab.storage.cache_root`.

    Returns:
        The subset, in `<cache>/subsets/<key>`.

    Raises:
        DatasetError: If there are too few good pictures, with the count of each class.
        SpaceError: If the disk has no room for the copies.
    """
    wanted = _checked_per_class(per_class)
    total = sum(wanted.values())
    key = _digest([_SUBSET_VERSION, wanted, seed, _fingerprints(catalogue)])
    folder = storage.cache_root(cache) / "subsets" / key
    subset = _subset_in(folder, catalogue.source.name)
    if subset is not None:
        return subset
    with storage.locked(folder):
        subset = _subset_in(folder, catalogue.source.name)
        if subset is not None:
            return subset
        chosen = (
            picture
            for name in CLASS_NAMES
            for picture in _in_order(catalogue.pictures[name], seed)[:total]
        )
        # Disks give out space in blocks, of 4,096 bytes as a rule.
        needed = sum(picture.size + 4096 for picture in chosen)
        purpose = f"the subset of {len(CLASS_NAMES) * total:,} pictures"
        with storage.whole_folder(folder, needed, purpose) as unfinished:
            manifest = _write_subset(catalogue, wanted, seed, unfinished)
            (unfinished / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    subset = _subset_in(folder, catalogue.source.name)
    if subset is None:
        raise DatasetError(f"The subset in {folder} was changed while it was made. Run this again.")
    return subset


# --- Decode ------------------------------------------------------------------------------------


def _arrays_in(folder: Path, subset: Subset, image_size: int) -> dict[str, Split] | None:
    """Return the arrays in `folder`, memory-mapped, or None if they are not there whole."""
    arrays = {}
    for split, entries in subset.splits.items():
        try:
            images = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        except (FileNotFoundError, ValueError):
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
    with storage.progress_bar(total, "Decoding", unit="picture") as bar, _quiet_pillow():
        for split, entries in subset.splits.items():

            def pixels(entry: Entry, split: str = split) -> npt.NDArray[np.uint8]:
                file = subset.folder / split / entry.file
                data = file.read_bytes()
                if hashlib.sha256(data).hexdigest() != entry.sha256:
                    raise DatasetError(
                        f"{file} is no longer the picture that was put there. Delete the folder "
                        f"{subset.folder} and run this again."
                    )
                return _to_array(data, image_size)

            # Written from start to end: a full disk is then an error that can be reported,
            # which it is not for a memory-mapped file.
            with (folder / f"{split}.npy").open("wb") as stream:
                header = {
                    "descr": "|u1",
                    "fortran_order": False,
                    "shape": (len(entries), image_size, image_size, 3),
                }
                np.lib.format.write_array_header_1_0(stream, header)
                for image in _in_threads(pixels, entries):
                    stream.write(image.tobytes())
                    bar.update()


def decode(subset: Subset, image_size: int, *, cache: str | Path | None = None) -> Pets:
    """Decode the pictures of a subset to square uint8 arrays, once.

    Pictures come out as a person sees them: turned upright as their EXIF data says, grey, palette,
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
        cache: Cache folder; see `cvlab.storage.cache_root`.

    Returns:
        The three splits.

    Raises:
        DatasetError: If a picture of the subset was changed after it was made.
        SpaceError: If the disk has no room for the arrays.
    """
    if not isinstance(image_size, int) or not 0 < image_size <= 4096:
        raise DatasetError(
            f"image_size is {image_size!r}. It is the height and width of the pictures in pixels, "
            "a whole number from 1 to 4,096; the lecture takes 150."
        )
    versions = [_DECODER_VERSION, PIL.__version__, features.version("jpg")]
    digests = {
        split: [[entry.file, entry.label, entry.sha256] for entry in entries]
        for split, entries in subset.splits.items()
    }
    folder = storage.cache_root(cache) / "arrays" / _digest([versions, image_size, digests])
    arrays = _arrays_in(folder, subset, image_size)
    if arrays is None:
        with storage.locked(folder):
            arrays = _arrays_in(folder, subset, image_size)
            if arrays is None:
                pictures = sum(map(len, subset.splits.values()))
                needed = pictures * image_size * image_size * 3
                purpose = f"decoding {pictures:,} pictures at {image_size} × {image_size} pixels"
                with storage.whole_folder(folder, needed, purpose) as unfinished:
                    _write_arrays(subset, image_size, unfinished)
                arrays = _arrays_in(folder, subset, image_size)
    if arrays is None:
        raise DatasetError(f"The arrays in {folder} were changed while they were made. Run again.")
    return Pets(**arrays, rejected=subset.rejected, folder=subset.folder, source=subset.source)


# --- Where pictures come from ------------------------------------------------------------------


def _by_hand(downloads: Path) -> str:
    return (
        f"To get the photos by hand, download {ARCHIVE_NAMES[0]} ({MICROSOFT_PAGE}, 825 MB) or "
        f"dogs-vs-cats.zip ({KAGGLE_PAGE}, needs an account) with a browser, and either put it "
        f"into the folder {downloads} or set the environment variable CVLAB_PHOTOS to its path."
    )


def _microsoft(downloads: Path) -> Path:
    target = downloads / ARCHIVE_NAMES[0]
    if target.is_file():
        return target
    try:
        return storage.download(
            MICROSOFT_URL, target, size=MICROSOFT_BYTES, sha256=MICROSOFT_SHA256
        )
    except DownloadError as error:
        raise DownloadError(f"{error}\n{_by_hand(downloads)}") from error


def _drawn(count: int, image_size: int, seed: int, cache: Path) -> Path:
    # The drawing code itself is part of the key: when it changes, so do the pictures.
    code = hashlib.sha256(Path(toypets.__file__).read_bytes()).hexdigest()
    key = _digest([code, np.__version__, PIL.__version__, count, image_size, seed])
    folder = cache / "drawn" / key / "toypets"
    if not folder.is_dir():
        with storage.locked(folder):
            # A JPEG file of a drawing takes less than a byte a pixel, and a block of the disk.
            needed = len(CLASS_NAMES) * count * (4096 + image_size * image_size)
            with storage.enough_space(folder.parent, needed, f"drawing {2 * count:,} pictures"):
                toypets.write_pictures(folder, count, size=image_size, seed=seed)
    return folder


def locate(
    source: str | Path | None = None,
    *,
    image_size: int,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Path:
    """Return the folder or archive that a source stands for; draw or download it if need be.

    Args:
        source: The path of a zip archive or folder, or one of three words. `photos`: the path in
            the environment variable `CVLAB_PHOTOS`, else an archive in the cache's folder
            `downloads` (Microsoft's or one of Kaggle's, put there by an earlier download or by
            hand), else a download of Microsoft's. `microsoft`: Microsoft's archive, downloaded
            unless it is there. `toypets`: pictures drawn by `cvlab.toypets`. None is `photos`.
        image_size: Height and width in pixels at which `toypets` draws.
        per_class: `toypets` draws as many of each class as all splits together want.
        seed: Seed of `toypets`; 0 if None.
        cache: Cache folder; see `cvlab.storage.cache_root`.

    Raises:
        DatasetError: If there is nothing at the path.
        DownloadError: If the download fails; the message says how to get the file by hand.
        SpaceError: If the disk has no room.
    """
    root = storage.cache_root(cache)
    downloads = root / "downloads"
    if source == "toypets":
        return _drawn(sum(_checked_per_class(per_class).values()), image_size, seed or 0, root)
    if source == "microsoft":
        return _microsoft(downloads)
    if source is not None and source != "photos":
        return Path(source).expanduser()
    photos = os.environ.get("CVLAB_PHOTOS")
    if photos:
        path = Path(photos).expanduser()
        if not path.exists():
            raise DatasetError(
                f"The environment variable CVLAB_PHOTOS names {photos}, and there is no such file "
                f"or folder (looked for {path.absolute()}). Correct it, or unset it to download "
                "the photos."
            )
        return path
    for name in ARCHIVE_NAMES:
        if (downloads / name).is_file():
            return downloads / name
    return _microsoft(downloads)


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
        cache: Cache folder; see `cvlab.storage.cache_root`.

    Raises:
        DatasetError: If it cannot be done; the message says why and what to do.
    """
    path = locate(source, image_size=image_size, per_class=per_class, seed=seed, cache=cache)
    catalogue = find_pictures(path, cache=cache)
    # Drawn pictures are in random order already.
    order = None if source == "toypets" else seed
    subset = make_subset(catalogue, per_class=per_class, seed=order, cache=cache)
    return decode(subset, image_size, cache=cache)
