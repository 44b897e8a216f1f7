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
import inspect
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import PIL
from PIL import features

from cvlab import duplicates, pictures, sketch, storage, toypets
from cvlab.archives import DAMAGE, MAX_MEMBER_BYTES
from cvlab.catalogue import ARCHIVE_NAMES, CLASS_NAMES, Catalogue, Picture, find_pictures
from cvlab.storage import DatasetError, DownloadError

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

# Written into every key; to be raised when the same input shall give another result.
_SUBSET_VERSION = 2
_DECODER_VERSION = 2
_MANIFEST = "manifest.json"
_DRAWN = "toypets"
# Of a picture's file; larger ones are not kept in memory while they wait to be taken.
_FEW_BYTES = 2**20
_WORKERS = min(8, os.cpu_count() or 1)

_T = TypeVar("_T")
_R = TypeVar("_R")


# --- What comes out ----------------------------------------------------------------------------


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


@dataclass(frozen=True, order=True)
class Twins:
    """Two pictures of a split that are nearly the same (`cvlab.duplicates`).

    Attributes:
        name: Name in the source of the later one.
        twin: Name in the source of the earlier one.
        split: The split that holds both.
    """

    name: str
    twin: str
    split: str

    def __str__(self) -> str:
        """Return both names and the split on one line."""
        return f"{self.name}: nearly the same as {self.twin}, both in {self.split}"


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
        twins: Pictures that are nearly the same, kept because both are in one split.
    """

    folder: Path
    source: str
    splits: Mapping[str, tuple[Entry, ...]]
    rejected: tuple[Rejected, ...]
    twins: tuple[Twins, ...] = ()

    def __str__(self) -> str:
        """Return a table of counts and the rejected pictures."""
        counts = {
            split: [sum(entry.label == label for entry in entries) for label in (0, 1)]
            for split, entries in self.splits.items()
        }
        return _table(f"cats and dogs from {self.source}", counts, self.rejected, self.twins)


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
        return _table(
            f"cats and dogs from {self.source}, {size} pixels",
            {
                name: np.bincount(split.labels, minlength=2).tolist()
                for name, split in splits.items()
            },
            self.rejected,
            self.twins,
        )


def _table(
    title: str,
    counts: Mapping[str, list[int]],
    rejected: tuple[Rejected, ...],
    twins: tuple[Twins, ...],
) -> str:
    lines = [title, f"{'':<12}{'cats':>8}{'dogs':>8}{'both':>8}"]
    for split, (cats, dogs) in counts.items():
        lines.append(f"{split:<12}{cats:>8,}{dogs:>8,}{cats + dogs:>8,}")
    lines.append(f"{len(rejected):,} rejected" + (":" if rejected else ""))
    lines += [f"  {one}" for one in rejected]
    if twins:
        lines.append(f"{len(twins):,} nearly the same as another one:")
        lines += [f"  {one}" for one in twins]
    return "\n".join(lines)


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


def _check_seed(seed: int | None) -> None:
    if seed is not None and (not isinstance(seed, int) or seed < 0):
        raise DatasetError(f"seed is {seed!r}. It is None or a whole number, 0 or more.")


def _fingerprints(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return name and content of every picture: its archive's CRC-32, or its SHA-256."""
    found = [picture for name in CLASS_NAMES for picture in catalogue.pictures[name]]

    def sha256(picture: Picture) -> str:
        try:
            return storage.sha256_of(catalogue.container / picture.name)
        except OSError as error:
            return f"unreadable, {error.errno}"  # `_checked` will reject it by name

    if catalogue.container.is_dir():
        contents = list(_in_threads(sha256, found))
    else:
        contents = [f"{picture.size}, {picture.checksum}" for picture in found]
    return [(one.name, content) for one, content in zip(found, contents, strict=True)]


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
    """A candidate after a look at it: what there is to say about it, or the reason why not.

    Attributes:
        picture: The candidate.
        data: Its bytes; None where they are many, and where there is a reason.
        size: Their number.
        sha256: Their digest.
        fingerprint: What it looks like, see `cvlab.duplicates`; zeros where there is a reason.
        reason: Why it cannot be used; None if it can.
    """

    picture: Picture
    data: bytes | None
    size: int
    sha256: str
    fingerprint: npt.NDArray[np.uint64]
    reason: str | None


def _checked(read: Callable[[Picture], bytes], picture: Picture) -> _Checked:
    data, reason = b"", None
    looks = np.zeros((2, 4), np.uint64)
    try:
        if picture.size > MAX_MEMBER_BYTES:
            raise pictures.BadPictureError(
                f"{storage.readable_bytes(picture.size)} are more than the "
                f"{storage.readable_bytes(MAX_MEMBER_BYTES)} allowed"
            )
        data = read(picture)
        with pictures.open_rgb(data) as image:
            looks = duplicates.fingerprint(image)
    except pictures.BadPictureError as error:
        reason = str(error)
    except DAMAGE as error:
        reason = f"damaged in its archive: {error}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    kept = data if reason is None and len(data) <= _FEW_BYTES else None
    return _Checked(picture, kept, len(data), hashlib.sha256(data).hexdigest(), looks, reason)


@dataclass(frozen=True)
class _Place:
    """Where a chosen picture went."""

    name: str
    kind: str
    split: str


class _Choice:
    """Decides which candidates are taken, and into which split.

    Attributes:
        taken: Class name to what was taken of it, in the order of `places`.
        twins: Pairs that stay together in one split.
    """

    def __init__(self, folder: Path, places: list[str], read: Callable[[Picture], bytes]) -> None:
        self.taken: dict[str, list[tuple[str, Entry]]] = {name: [] for name in CLASS_NAMES}
        self._rejected: list[Rejected] = []
        self.twins: list[Twins] = []
        self._folder = folder
        self._places = places
        self._read = read
        self._sources: dict[str, str] = {}
        self._looks: duplicates.Index[_Place] = duplicates.Index()
        self._aside: list[tuple[_Checked, str]] = []
        self._turned_away: dict[str, tuple[str, str]] = {}  # name to class and name of its twin

    def missing(self, kind: str) -> int:
        """How many pictures of a class are still wanted."""
        return len(self._places) - len(self.taken[kind])

    def consider(self, one: _Checked, kind: str, file: str) -> bool:
        """Take a candidate, or note why not.

        Args:
            one: The candidate.
            kind: Its class.
            file: Its path inside the folder of its split.
        """
        name = one.picture.name
        reason = one.reason
        if reason is None and one.sha256 in self._sources:
            reason = f"the same bytes as {self._sources[one.sha256]}"
        if reason is not None:
            self._rejected.append(Rejected(name, reason))
            return False
        self._sources[one.sha256] = name
        split = self._places[len(self.taken[kind])]
        near = self._looks.near(one.fingerprint)
        apart = [twin for twin in near if (twin.kind, twin.split) != (kind, split)]
        if apart:
            self._turned_away[name] = (kind, apart[0].name)
            self._aside.append((one, file))
            return False
        self._take(one, kind, file, split, near)
        self.taken[kind].append((split, self._entry(one, kind, file)))
        return True

    def fill(self, kind: str) -> Iterator[None]:
        """Where too few were found, take what was set aside, into the split of its twin.

        The last picture of that split that has no twin itself makes room: it moves to the place
        that is empty.
        """
        aside, self._aside = self._aside, []
        for one, file in aside:
            near = self._looks.near(one.fingerprint)
            homes = {(twin.kind, twin.split) for twin in near}
            if not self.missing(kind) or len(homes) != 1 or homes.pop()[0] != kind:
                continue
            split = near[0].split
            coupled = {name for pair in self.twins for name in (pair.name, pair.twin)}
            coupled |= {twin.name for twin in near}
            movable = [
                place
                for place, (home, entry) in enumerate(self.taken[kind])
                if home == split and entry.source not in coupled
            ]
            if not movable:
                continue
            mover = self.taken[kind][movable[-1]][1]
            goal = self._places[len(self.taken[kind])]
            (self._folder / split / mover.file).rename(self._folder / goal / mover.file)
            self._looks.replace(_Place(mover.source, kind, split), _Place(mover.source, kind, goal))
            self._take(one, kind, file, split, near)
            self.taken[kind][movable[-1]] = (split, self._entry(one, kind, file))
            self.taken[kind].append((goal, mover))
            del self._turned_away[one.picture.name]
            yield

    def all_rejected(self) -> list[Rejected]:
        """What was passed over, in order, with the reason as it is when all have their place."""
        home = {
            entry.source: (name, split)
            for name, chosen in self.taken.items()
            for split, entry in chosen
        }
        near = []
        for rejected, (kind, twin) in self._turned_away.items():
            name, split = home[twin]
            where = split + ("" if name == kind else f", as a {name}")
            reason = f"nearly the same picture as {twin}, which is in {where}"
            near.append(Rejected(rejected, reason))
        return sorted([*self._rejected, *near])

    def _take(self, one: _Checked, kind: str, file: str, split: str, near: list[_Place]) -> None:
        data = self._read(one.picture) if one.data is None else one.data
        if one.data is None and hashlib.sha256(data).hexdigest() != one.sha256:
            raise DatasetError(f"{one.picture.name} was changed while it was read. Run this again.")
        (self._folder / split / file).write_bytes(data)
        self._looks.add(one.fingerprint, _Place(one.picture.name, kind, split))
        self.twins += [Twins(one.picture.name, twin.name, split) for twin in near]

    def _entry(self, one: _Checked, kind: str, file: str) -> Entry:
        label = CLASS_NAMES.index(kind)
        return Entry(file, label, one.picture.name, one.size, one.sha256)


def _write_subset(
    catalogue: Catalogue, wanted: Mapping[str, int], seed: int | None, folder: Path
) -> dict[str, Any]:
    """Copy the chosen pictures into `folder`; return what the manifest says about them."""
    places = [split for split in SPLITS for _ in range(wanted[split])]
    total = len(CLASS_NAMES) * len(places)
    bar = storage.progress_bar(total, "Choosing pictures", unit="picture")
    with catalogue.reader() as read, bar, pictures.quiet_pillow():
        choice = _Choice(folder, places, read)
        for kind in CLASS_NAMES:
            files = _file_names(catalogue.pictures[kind])
            for split in SPLITS:
                (folder / split / kind).mkdir(parents=True)
            rest = iter(_in_order(catalogue.pictures[kind], seed))
            # As many as are still wanted at a time: nothing is looked at that is not needed.
            while batch := list(islice(rest, choice.missing(kind))):
                for one in _in_threads(lambda picture: _checked(read, picture), batch):
                    if choice.consider(one, kind, f"{kind}/{files[one.picture.name]}"):
                        bar.update()
            for _ in choice.fill(kind):
                bar.update()
    if any(choice.missing(kind) for kind in CLASS_NAMES):
        counts = {kind: len(choice.taken[kind]) for kind in CLASS_NAMES}
        raise _too_few(catalogue, wanted, counts, choice.all_rejected())
    return {
        "seed": seed,
        "splits": {
            split: [
                vars(entry)
                for pair in zip(*choice.taken.values(), strict=True)
                for place, entry in pair
                if place == split
            ]
            for split in SPLITS
        },
        "rejected": [vars(one) for one in choice.all_rejected()],
        "twins": [vars(one) for one in sorted(choice.twins)],
    }


def _too_few(
    catalogue: Catalogue,
    wanted: Mapping[str, int],
    good: Mapping[str, int],
    rejected: Sequence[Rejected],
) -> DatasetError:
    total = sum(wanted.values())
    counts = []
    for name in CLASS_NAMES:
        listed = len(catalogue.pictures[name])
        # The search stops when there are enough.
        number = f"{good[name]:,}" if good[name] < total else f"at least {total:,}"
        counts.append(f"{number} good pictures of {name}s (of {listed:,} files)")
    parts = " + ".join(f"{count:,} {split}" for split, count in wanted.items())
    lines = [
        f"Too few pictures: {catalogue.source} has {' and '.join(counts)}, but {total:,} of each "
        f"are needed ({parts}). Add pictures, or ask for fewer with per_class."
    ]
    if rejected:
        lines.append(f"{len(rejected):,} rejected:")
        lines += [f"  {one}" for one in rejected[:20]] + ["  …"] * (len(rejected) > 20)
    return DatasetError("\n".join(lines))


def _subset_in(folder: Path, source: str) -> Subset | None:
    """Return the subset in `folder` if it is there with every file, else None."""
    manifest = storage.read_sealed(folder / _MANIFEST)
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
    twins = tuple(Twins(**one) for one in manifest["twins"])
    return Subset(folder, source, splits, rejected, twins)


def make_subset(
    catalogue: Catalogue,
    *,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Subset:
    """Copy the first good pictures of each class into train, validation and test folders.

    The lecture's split: the first 1,000 of each class train, the next 500 validate, the next 500
    test. A picture that cannot be decoded, or has the same bytes as an earlier one, or looks nearly
    like one in another split (`cvlab.duplicates`), is passed over and named in `rejected`, and the
    next one takes its place; the source is never changed. Where that leaves too few, pictures that
    look nearly like another one are taken after all, into the same split as that one. So no picture
    is in two splits, not even as a smaller or brighter copy of itself.

    The result depends on names, content, `per_class` and `seed` alone; made once, it is only looked
    up. It appears on disk complete or not at all, and callers that want the same one at once wait
    for the first.

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
    _check_seed(seed)
    if not isinstance(catalogue, Catalogue):
        raise DatasetError(
            f"catalogue is {catalogue!r}: pass what find_pictures() returns, or call load_pets()."
        )
    total = sum(wanted.values())
    key = storage.key_of([_SUBSET_VERSION, wanted, seed, _fingerprints(catalogue)])
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
            storage.write_sealed(unfinished / _MANIFEST, manifest)
    subset = _subset_in(folder, catalogue.source.name)
    if subset is None:
        raise DatasetError(f"The subset in {folder} was changed while it was made. Run this again.")
    return subset


# --- Decode ------------------------------------------------------------------------------------


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


def _check_image_size(image_size: int) -> None:
    if not isinstance(image_size, int) or not 0 < image_size <= 4096:
        raise DatasetError(
            f"image_size is {image_size!r}. It is the height and width of the pictures in pixels, "
            "a whole number from 1 to 4,096; the lecture takes 150."
        )


def _write_arrays(subset: Subset, image_size: int, folder: Path) -> None:
    total = sum(map(len, subset.splits.values()))
    with storage.progress_bar(total, "Decoding", unit="picture") as bar, pictures.quiet_pillow():
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
                    return pictures.to_array(data, image_size)
                except pictures.BadPictureError as error:  # by another version of Pillow, say
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
                for image in _in_threads(pixels, entries):
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
        cache: Cache folder; see `cvlab.storage.cache_root`.

    Returns:
        The three splits.

    Raises:
        DatasetError: If a picture of the subset was changed after it was made.
        SpaceError: If the disk has no room for the arrays.
    """
    _check_image_size(image_size)
    if not isinstance(subset, Subset):
        raise DatasetError(f"subset is {subset!r}: pass what make_subset() returns.")
    versions = [_DECODER_VERSION, PIL.__version__, features.version("jpg")]
    digests = {
        split: [[entry.file, entry.label, entry.sha256] for entry in entries]
        for split, entries in subset.splits.items()
    }
    folder = storage.cache_root(cache) / "arrays" / storage.key_of([versions, image_size, digests])
    arrays = _arrays_in(folder, subset, image_size)
    if arrays is None:
        with storage.locked(folder):
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
    code = [inspect.getsource(module) for module in (sketch, toypets)]
    key = storage.key_of([code, np.__version__, PIL.__version__, count, image_size, seed])
    place = cache / "drawn" / key
    if not _drawn_whole(place):
        with storage.locked(place):
            if not _drawn_whole(place):
                # A JPEG file of a drawing takes less than a byte a pixel, and a block of the disk.
                needed = len(CLASS_NAMES) * count * (4096 + image_size * image_size)
                purpose = f"drawing {2 * count:,} pictures"
                with storage.whole_folder(place, needed, purpose) as unfinished:
                    toypets.write_pictures(unfinished / _DRAWN, count, size=image_size, seed=seed)
                    digests = _digests_of_files(unfinished / _DRAWN)
                    storage.write_sealed(unfinished / _MANIFEST, digests)
    return place / _DRAWN


def _drawn_whole(place: Path) -> bool:
    """Whether all drawn pictures are there as they were written, and nothing else."""
    digests = storage.read_sealed(place / _MANIFEST)
    return digests is not None and digests == _digests_of_files(place / _DRAWN)


def _digests_of_files(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = _in_threads(storage.sha256_of, files)
    return {
        path.relative_to(folder).as_posix(): digest
        for path, digest in zip(files, digests, strict=True)
    }


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
    # Before anything is drawn or downloaded.
    if not isinstance(source, str | Path | None):
        raise DatasetError(
            f"source is {source!r}: pass a path, 'photos', 'microsoft' or 'toypets'."
        )
    _check_image_size(image_size)
    _checked_per_class(per_class)
    _check_seed(seed)
    root = storage.cache_root(cache)
    downloads = root / "downloads"
    if source == "toypets":
        if image_size < toypets.SMALLEST:
            raise DatasetError(
                f"image_size is {image_size}, and drawn pictures need at least {toypets.SMALLEST} "
                "pixels a side."
            )
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
