"""The split: which images of a source train, validate and test, copied byte for byte.

No image is in two splits, not even as a copy that only looks the same (`cvlab.data.duplicates`). An
image that cannot be used is passed over and named; the source is never changed.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL

from cvlab.cache import (
    DatasetError,
    cache_root,
    in_threads,
    key_of,
    made,
    progress_bar,
    readable_bytes,
)
from cvlab.data import decoding, duplicates
from cvlab.data.archives import DAMAGE, MAX_MEMBER_BYTES
from cvlab.data.checks import SPLITS, check_seed, checked_per_class
from cvlab.data.listing import CLASS_NAMES, ImageFile, Listing

# Part of the key; raise it when the same input is to give another result.
_SUBSET_VERSION: Final = 2
# Larger image files are not kept in memory while they wait to be taken.
_FEW_BYTES: Final = 2**20

_Read: TypeAlias = Callable[[ImageFile], bytes]


@dataclass(frozen=True, order=True)
class Rejected:
    """An image that was passed over.

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
    """Two images of a split that are nearly the same (`cvlab.data.duplicates`).

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
    """One image of a subset.

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
    """Images chosen and copied, byte for byte, to `folder/<split>/<class>/`.

    Attributes:
        folder: Where they are.
        source: File or folder name of the source.
        splits: Split name to its images; cats and dogs alternate.
        rejected: Images that were looked at and passed over.
        twins: Images that are nearly the same, kept because both are in one split.
    """

    folder: Path
    source: str
    splits: Mapping[str, tuple[Entry, ...]]
    rejected: tuple[Rejected, ...]
    twins: tuple[Twins, ...] = ()

    def __str__(self) -> str:
        """Return a table of counts and the rejected images."""
        labels = {split: [one.label for one in entries] for split, entries in self.splits.items()}
        return table(f"cats and dogs from {self.source}", labels, self.rejected, self.twins)


def table(
    title: str,
    labels: Mapping[str, Sequence[int] | npt.NDArray[np.uint8]],
    rejected: tuple[Rejected, ...],
    twins: tuple[Twins, ...],
) -> str:
    """Return as text the counts of each split and the images that were passed over.

    Args:
        title: First line.
        labels: Split name to the labels of its images.
        rejected: Listed with their reasons.
        twins: Listed if there are any.
    """
    lines = [title, f"{'':<12}{'cats':>8}{'dogs':>8}{'both':>8}"]
    for split, numbers in labels.items():
        cats, dogs = np.bincount(numbers, minlength=2)
        lines.append(f"{split:<12}{cats:>8,}{dogs:>8,}{cats + dogs:>8,}")
    lines.append(f"{len(rejected):,} rejected" + (":" if rejected else ""))
    lines += [f"  {one}" for one in rejected]
    if twins:
        lines.append(f"{len(twins):,} nearly the same as another one:")
        lines += [f"  {one}" for one in twins]
    return "\n".join(lines)


def _in_order(images: tuple[ImageFile, ...], seed: int | None) -> list[ImageFile]:
    """Return the images by number or, with a seed, in a random order of their names.

    Digests, not a random generator: the order is the same with every version of everything.
    """
    if seed is None:
        return list(images)
    return sorted(images, key=lambda one: hashlib.sha256(f"{seed}/{one.name}".encode()).digest())


def _file_names(images: tuple[ImageFile, ...]) -> dict[str, str]:
    """Return for each image a file name that is safe everywhere and unique in its class."""
    plain = {
        image.name: re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(image.name).name)[-100:]
        for image in images
    }
    times = Counter(name.lower() for name in plain.values())
    for source, name in plain.items():
        if times[name.lower()] > 1:
            mark = hashlib.sha256(source.encode()).hexdigest()[:12]
            plain[source] = f"{PurePosixPath(name).stem}-{mark}{PurePosixPath(name).suffix}"
    return plain


@dataclass(eq=False)
class _Candidate:
    """An image that was checked, and the decision about it.

    Attributes:
        image: The file in its source.
        kind: Its class.
        file: Its path inside the folder of its split.
        data: Its bytes; None where they are many, where there is a reason, and once it is copied.
        size: Their number.
        sha256: Their digest.
        looks: Its fingerprint, see `cvlab.data.duplicates`; zeros where there is a reason.
        reason: Why it cannot be used; empty if it can.
        split: Where it was put; empty before.
    """

    image: ImageFile
    kind: str
    file: str
    data: bytes | None
    size: int
    sha256: str
    looks: npt.NDArray[np.uint64]
    reason: str
    split: str = ""


def _checked(read: _Read, kind: str, files: Mapping[str, str], image: ImageFile) -> _Candidate:
    """Read and decode an image, and compute its fingerprint; note why it cannot be used."""
    data, reason = b"", ""
    looks = np.zeros((2, 4), np.uint64)
    try:
        if image.size > MAX_MEMBER_BYTES:
            raise decoding.BadImageError(
                f"{readable_bytes(image.size)} are more than the "
                f"{readable_bytes(MAX_MEMBER_BYTES)} allowed"
            )
        data = read(image)
        with decoding.open_rgb(data) as upright:
            looks = duplicates.fingerprint(upright)
    except decoding.BadImageError as error:
        reason = str(error)
    except DAMAGE as error:
        reason = f"damaged in its archive: {error}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    kept = data if not reason and len(data) <= _FEW_BYTES else None
    digest = hashlib.sha256(data).hexdigest()
    file = f"{kind}/{files[image.name]}"
    return _Candidate(image, kind, file, kept, len(data), digest, looks, reason)


class _Choice:
    """Decides which candidates are taken and into which split, and copies them.

    Attributes:
        taken: Class name to what was taken of it, in the order of the places in the splits.
        twins: Pairs that stay together in one split.
    """

    def __init__(self, folder: Path, wanted: Mapping[str, int], read: _Read) -> None:
        self.taken: dict[str, list[_Candidate]] = {name: [] for name in CLASS_NAMES}
        self.twins: list[Twins] = []
        self._rejected: list[Rejected] = []
        self._folder = folder
        self._places = [split for split, count in wanted.items() for _ in range(count)]
        self._read = read
        self._sources: dict[str, str] = {}  # digest to name
        self._seen: duplicates.Index[_Candidate] = duplicates.Index()
        # Nearly the same as one in another split or class, and that one.
        self._aside: list[tuple[_Candidate, _Candidate]] = []

    def missing(self, kind: str) -> int:
        """Return how many images of a class are still missing."""
        return len(self._places) - len(self.taken[kind])

    def consider(self, one: _Candidate) -> bool:
        """Take a candidate, or note why not; return whether it was taken."""
        name = one.image.name
        if not one.reason and one.sha256 in self._sources:
            one.reason = f"the same bytes as {self._sources[one.sha256]}"
        if one.reason:
            self._rejected.append(Rejected(name, one.reason))
            return False
        self._sources[one.sha256] = name
        split = self._places[len(self.taken[one.kind])]
        near = self._seen.near(one.looks)
        apart = [twin for twin in near if (twin.kind, twin.split) != (one.kind, split)]
        if apart:
            self._aside.append((one, apart[0]))
            return False
        self._copy(one, split, near)
        self.taken[one.kind].append(one)
        return True

    def fill(self, kind: str) -> Iterator[None]:
        """If too few images were found, take near duplicates after all, into the split of the twin.

        To make room, the last image of that split that has no twin moves to the split in which an
        image is missing.
        """
        taken = self.taken[kind]
        for one, twin in [pair for pair in self._aside if pair[0].kind == kind]:
            near = self._seen.near(one.looks)
            homes = {(other.kind, other.split) for other in near}
            if not self.missing(kind) or len(homes) != 1 or near[0].kind != kind:
                continue
            split = near[0].split
            coupled = {name for pair in self.twins for name in (pair.name, pair.twin)}
            coupled |= {other.image.name for other in near}
            movable = [
                place
                for place, other in enumerate(taken)
                if other.split == split and other.image.name not in coupled
            ]
            if not movable:
                continue
            mover, goal = taken[movable[-1]], self._places[len(taken)]
            (self._folder / split / mover.file).rename(self._folder / goal / mover.file)
            mover.split = goal
            self._copy(one, split, near)
            taken[movable[-1]] = one
            taken.append(mover)
            self._aside.remove((one, twin))
            yield

    def rejected(self) -> list[Rejected]:
        """Return the images that were passed over, by name, with the final reason."""
        near = []
        for one, twin in self._aside:
            where = twin.split + ("" if one.kind == twin.kind else f", as a {twin.kind}")
            reason = f"nearly the same image as {twin.image.name}, which is in {where}"
            near.append(Rejected(one.image.name, reason))
        return sorted([*self._rejected, *near])

    def entries(self, split: str) -> list[Entry]:
        """Return the images of a split; cats and dogs alternate."""
        return [
            Entry(one.file, CLASS_NAMES.index(one.kind), one.image.name, one.size, one.sha256)
            for pair in zip(*self.taken.values(), strict=True)
            for one in pair
            if one.split == split
        ]

    def _copy(self, one: _Candidate, split: str, near: list[_Candidate]) -> None:
        name = one.image.name
        data = self._read(one.image) if one.data is None else one.data
        if one.data is None and hashlib.sha256(data).hexdigest() != one.sha256:
            raise DatasetError(f"{name} was changed while it was read. Run this again.")
        (self._folder / split / one.file).write_bytes(data)
        one.data, one.split = None, split
        self._seen.add(one.looks, one)
        self.twins += [Twins(name, twin.image.name, split) for twin in near]


def _write_subset(
    listing: Listing, wanted: Mapping[str, int], seed: int | None, folder: Path
) -> dict[str, Any]:
    """Copy the chosen images into `folder`; return what is to be kept about them."""
    total = len(CLASS_NAMES) * sum(wanted.values())
    bar = progress_bar(total, "Choosing images", unit="image")
    with listing.reader() as read, bar, decoding.quiet_pillow():
        choice = _Choice(folder, wanted, read)
        for kind in CLASS_NAMES:
            files = _file_names(listing.images[kind])
            for split in SPLITS:
                (folder / split / kind).mkdir(parents=True)
            look = partial(_checked, read, kind, files)
            rest = iter(_in_order(listing.images[kind], seed))
            # As many as are still wanted at a time: nothing is looked at that is not needed.
            while batch := list(islice(rest, choice.missing(kind))):
                for one in in_threads(look, batch):
                    bar.update(choice.consider(one))
            for _ in choice.fill(kind):
                bar.update()
    if any(choice.missing(kind) for kind in CLASS_NAMES):
        raise _too_few(listing, wanted, choice)
    return {
        "seed": seed,
        "splits": {split: [vars(one) for one in choice.entries(split)] for split in SPLITS},
        "rejected": [vars(one) for one in choice.rejected()],
        "twins": [vars(one) for one in sorted(choice.twins)],
    }


def _too_few(listing: Listing, wanted: Mapping[str, int], choice: _Choice) -> DatasetError:
    total = sum(wanted.values())
    counts = []
    for name in CLASS_NAMES:
        # The search stops when there are enough.
        good = f"{len(choice.taken[name]):,}" if choice.missing(name) else f"at least {total:,}"
        counts.append(f"{good} good images of {name}s (of {len(listing.images[name]):,} files)")
    parts = " + ".join(f"{count:,} {split}" for split, count in wanted.items())
    lines = [
        f"Too few images: {listing.source} has {' and '.join(counts)}, but {total:,} of each "
        f"are needed ({parts}). Add images, or ask for fewer with per_class."
    ]
    if rejected := choice.rejected():
        lines.append(f"{len(rejected):,} rejected:")
        lines += [f"  {one}" for one in rejected[:20]] + ["  …"] * (len(rejected) > 20)
    return DatasetError("\n".join(lines))


def make_subset(
    listing: Listing,
    *,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Subset:
    """Copy the first good images of each class into train, validation and test folders.

    The lecture's split: the first 1,000 of each class train, the next 500 validate, the next 500
    test. An image that cannot be decoded, or has the same bytes as an earlier one, or looks nearly
    like one in another split (`cvlab.data.duplicates`), is passed over and named in `rejected`, and
    the next one takes its place; the source is never changed. Where that leaves too few, images
    that look nearly like another one are taken after all, into the same split as that one. So no
    image is in two splits, not even as a smaller or brighter copy of itself.

    The result depends on names, content, `per_class`, `seed` and Pillow alone; made once, it is
    only looked up. It appears on disk complete or not at all, and callers that want the same one at
    once wait for the first.

    Args:
        listing: What `find_images` found.
        per_class: Images of each class by split; the lecture's 1,000, 500 and 500 if None.
        seed: None takes the images by number; a number takes them in an order of its own.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Returns:
        The subset, in `<cache>/subsets/<key>`.

    Raises:
        DatasetError: If there are too few good images, with the count of each class.
        SpaceError: If the disk has no room for the copies.
    """
    wanted = checked_per_class(per_class)
    check_seed(seed)
    if not isinstance(listing, Listing):
        raise DatasetError(
            f"listing is {listing!r}: pass what find_images() returns, or call load_pets()."
        )
    total = sum(wanted.values())
    # Which images are good, and which are nearly the same, depends on Pillow.
    versions = [_SUBSET_VERSION, PIL.__version__]
    names = [[one.name, one.version] for kind in CLASS_NAMES for one in listing.images[kind]]
    folder = cache_root(cache) / "subsets" / key_of([versions, wanted, seed, names])
    chosen = (one for kind in CLASS_NAMES for one in _in_order(listing.images[kind], seed)[:total])
    record = made(
        folder,
        lambda unfinished: _write_subset(listing, wanted, seed, unfinished),
        # Disks give out space in blocks, of 4,096 bytes as a rule.
        needed=sum(one.size + 4096 for one in chosen),
        purpose=f"the subset of {len(CLASS_NAMES) * total:,} images",
    )
    return Subset(
        folder,
        listing.source.name,
        {split: tuple(Entry(**one) for one in record["splits"][split]) for split in SPLITS},
        tuple(Rejected(**one) for one in record["rejected"]),
        tuple(Twins(**one) for one in record["twins"]),
    )
