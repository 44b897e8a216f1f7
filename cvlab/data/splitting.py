"""The split: which pictures of a source train, validate and test, copied byte for byte.

No picture is in two splits, nor a copy of it that only looks the same (`cvlab.data.duplicates`). What
cannot be used is passed over and named; the source is never changed.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from cvlab.cache import (
    DatasetError,
    cache_root,
    in_threads,
    key_of,
    locked,
    progress_bar,
    readable_bytes,
    sha256_of,
    storage,
)
from cvlab.data import decoding, duplicates
from cvlab.data.archives import DAMAGE, MAX_MEMBER_BYTES
from cvlab.data.listing import CLASS_NAMES, Catalogue, Picture

SPLITS = ("train", "validation", "test")
# The lecture's: 2,000 pictures to train on, 1,000 to validate, 1,000 to test.
LECTURE_PER_CLASS = {"train": 1000, "validation": 500, "test": 500}

# Written into the key; to be raised when the same input shall give another result.
_SUBSET_VERSION = 2
_MANIFEST = "manifest.json"
# Of a picture's file; larger ones are not kept in memory while they wait to be taken.
_FEW_BYTES = 2**20


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
    """Two pictures of a split that are nearly the same (`cvlab.data.duplicates`).

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
        return table(f"cats and dogs from {self.source}", counts, self.rejected, self.twins)


def table(
    title: str,
    counts: Mapping[str, list[int]],
    rejected: tuple[Rejected, ...],
    twins: tuple[Twins, ...],
) -> str:
    """Return as text what is in each split and what was passed over.

    Args:
        title: First line.
        counts: Split name to the number of cats and of dogs.
        rejected: Listed with their reasons.
        twins: Listed if there are any.
    """
    lines = [title, f"{'':<12}{'cats':>8}{'dogs':>8}{'both':>8}"]
    for split, (cats, dogs) in counts.items():
        lines.append(f"{split:<12}{cats:>8,}{dogs:>8,}{cats + dogs:>8,}")
    lines.append(f"{len(rejected):,} rejected" + (":" if rejected else ""))
    lines += [f"  {one}" for one in rejected]
    if twins:
        lines.append(f"{len(twins):,} nearly the same as another one:")
        lines += [f"  {one}" for one in twins]
    return "\n".join(lines)


def checked_per_class(per_class: Mapping[str, int] | None) -> dict[str, int]:
    """Return how many pictures of each class each split wants, the lecture's numbers if None.

    Raises:
        DatasetError: If it is not a positive whole number for each of `SPLITS`.
    """
    wanted = dict(LECTURE_PER_CLASS if per_class is None else per_class)
    if set(wanted) != set(SPLITS) or not all(
        isinstance(count, int) and count > 0 for count in wanted.values()
    ):
        raise DatasetError(
            f"per_class is {wanted}. It must give the pictures of each class for each split, "
            f"positive whole numbers, like {LECTURE_PER_CLASS}."
        )
    return {split: wanted[split] for split in SPLITS}


def check_seed(seed: int | None) -> None:
    """Raise DatasetError if `seed` is neither None nor a whole number, 0 or more."""
    if seed is not None and (not isinstance(seed, int) or seed < 0):
        raise DatasetError(f"seed is {seed!r}. It is None or a whole number, 0 or more.")


def _fingerprints(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return name and content of every picture: its archive's CRC-32, or its SHA-256."""
    found = [picture for name in CLASS_NAMES for picture in catalogue.pictures[name]]

    def sha256(picture: Picture) -> str:
        try:
            return sha256_of(catalogue.container / picture.name)
        except OSError as error:
            return f"unreadable, {error.errno}"  # `_checked` will reject it by name

    if catalogue.container.is_dir():
        contents = list(in_threads(sha256, found))
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
        fingerprint: What it looks like, see `cvlab.data.duplicates`; zeros where there is a reason.
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
            raise decoding.BadPictureError(
                f"{readable_bytes(picture.size)} are more than the "
                f"{readable_bytes(MAX_MEMBER_BYTES)} allowed"
            )
        data = read(picture)
        with decoding.open_rgb(data) as image:
            looks = duplicates.fingerprint(image)
    except decoding.BadPictureError as error:
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
    bar = progress_bar(total, "Choosing pictures", unit="picture")
    with catalogue.reader() as read, bar, decoding.quiet_pillow():
        choice = _Choice(folder, places, read)
        for kind in CLASS_NAMES:
            files = _file_names(catalogue.pictures[kind])
            for split in SPLITS:
                (folder / split / kind).mkdir(parents=True)
            rest = iter(_in_order(catalogue.pictures[kind], seed))
            # As many as are still wanted at a time: nothing is looked at that is not needed.
            while batch := list(islice(rest, choice.missing(kind))):
                for one in in_threads(lambda picture: _checked(read, picture), batch):
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
    like one in another split (`cvlab.data.duplicates`), is passed over and named in `rejected`, and the
    next one takes its place; the source is never changed. Where that leaves too few, pictures that
    look nearly like another one are taken after all, into the same split as that one. So no picture
    is in two splits, not even as a smaller or brighter copy of itself.

    The result depends on names, content, `per_class`, `seed` and Pillow alone; made once, it is
    only looked up. It appears on disk complete or not at all, and callers that want the same one at
    once wait for the first.

    Args:
        catalogue: What `find_pictures` found.
        per_class: Pictures of each class by split; the lecture's 1,000, 500 and 500 if None.
        seed: None takes the pictures by number; a number takes them in an order of its own.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        The subset, in `<cache>/subsets/<key>`.

    Raises:
        DatasetError: If there are too few good pictures, with the count of each class.
        SpaceError: If the disk has no room for the copies.
    """
    wanted = checked_per_class(per_class)
    check_seed(seed)
    if not isinstance(catalogue, Catalogue):
        raise DatasetError(
            f"catalogue is {catalogue!r}: pass what find_pictures() returns, or call load_pets()."
        )
    total = sum(wanted.values())
    # Which pictures are good, and which nearly the same, is for Pillow to say.
    versions = [_SUBSET_VERSION, PIL.__version__]
    key = key_of([versions, wanted, seed, _fingerprints(catalogue)])
    folder = cache_root(cache) / "subsets" / key
    subset = _subset_in(folder, catalogue.source.name)
    if subset is not None:
        return subset
    with locked(folder):
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
