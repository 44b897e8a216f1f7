"""Which images of cats and dogs a folder or zip archive holds; none of them is opened.

Kaggle's and Microsoft's archives are read as they come, without unpacking them.
"""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cvlab.cache import DatasetError, cache_root, files_in, key_of, made, record_of
from cvlab.data.archives import DAMAGE, ArchiveError, open_archive
from cvlab.data.decoding import IMAGE_SUFFIXES

CLASS_NAMES: Final = ("cat", "dog")
# Microsoft's archive, and Kaggle's two, by the names under which they are published.
ARCHIVE_NAMES: Final = ("kagglecatsanddogs_5340.zip", "dogs-vs-cats.zip", "train.zip")
_INNER: Final = "train.zip"  # in dogs-vs-cats.zip


@dataclass(frozen=True)
class ImageFile:
    """A file that claims to be an image; it has not been opened yet.

    Attributes:
        name: Path inside the source, with forward slashes.
        size: Size of the file in bytes.
        version: Tells this content from another under the same name: the CRC-32 of an archive, the
            key of what the course drew, or the times of a file.
    """

    name: str
    size: int
    version: str


@dataclass(frozen=True)
class Listing:
    """The images of a source by class. Nothing has been unpacked.

    Attributes:
        source: What the reader passed: a folder or a zip archive.
        container: The folder or archive that holds the images; differs from `source` only
            where an archive lies in another archive.
        images: For `cat` and `dog` the images, by the last number in their names.
        others: Names of files that are not images or belong to neither class; never read.
    """

    source: Path
    container: Path
    images: Mapping[str, tuple[ImageFile, ...]]
    others: tuple[str, ...]

    def __str__(self) -> str:
        """Return the counts on one line."""
        counts = ", ".join(f"{len(self.images[name]):,} images of {name}s" for name in CLASS_NAMES)
        return f"{self.source.name}: {counts}, {len(self.others):,} other files"

    @contextmanager
    def reader(self) -> Iterator[Callable[[ImageFile], bytes]]:
        """Yield a function that returns the bytes of an image; threads may share it."""
        if self.container.is_dir():
            yield lambda image: (self.container / image.name).read_bytes()
        else:
            with open_archive(self.container, called=str(self.source)) as archive:
                yield lambda image: archive.read(image.name)


_CLASS_OF_FOLDER = {f"{name}{plural}": name for name in CLASS_NAMES for plural in ("", "s")}
_CLASS_OF_FILE = re.compile(r"^(cat|dog)s?(?![a-z])")


def _class_of(path: PurePosixPath) -> str | None:
    for folder in reversed(path.parts[:-1]):
        if folder.lower() in _CLASS_OF_FOLDER:
            return _CLASS_OF_FOLDER[folder.lower()]
    found = _CLASS_OF_FILE.match(path.name.lower())
    return found[1] if found else None


def _by_number(image: ImageFile) -> tuple[bool, int, str, str]:
    """Sort `cat.9.jpg` before `cat.10.jpg`, and names without a number last."""
    numbers = re.findall(r"[0-9]+", PurePosixPath(image.name).stem)
    digits = numbers[-1].lstrip("0") if numbers else ""
    return not numbers, len(digits), digits, image.name


def _listed(source: Path, container: Path, files: Iterable[ImageFile]) -> Listing:
    images: dict[str, list[ImageFile]] = {name: [] for name in CLASS_NAMES}
    others = []
    for file in files:
        path = PurePosixPath(file.name)
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        kind = _class_of(path)
        if hidden or kind is None or path.suffix.lower() not in IMAGE_SUFFIXES:
            others.append(file.name)
        else:
            images[kind].append(file)
    ordered = {name: tuple(sorted(images[name], key=_by_number)) for name in CLASS_NAMES}
    return Listing(source, container, ordered, tuple(sorted(others)))


def _files_of_folder(folder: Path) -> Iterator[ImageFile]:
    # What the course has drawn is known by its key wherever and whenever it was drawn.
    key = (record_of(folder) or {}).get("key")
    for name, file in files_in(folder):
        if file.is_file():
            found = file.stat()
            # Nothing can set the second time, by which a file is noticed that was exchanged and
            # then given the old time of modification.
            times = f"{found.st_size}, {found.st_mtime_ns}, {found.st_ctime_ns}"
            yield ImageFile(name, found.st_size, str(key or times))


def _files_of_archive(archive: zipfile.ZipFile) -> list[ImageFile]:
    return [
        ImageFile(info.filename, info.file_size, f"{info.file_size}, {info.CRC}")
        for info in archive.infolist()
        if not info.is_dir()
    ]


def _taken_out(archive: zipfile.ZipFile, inner: ImageFile, cache: Path) -> Path:
    """Return a copy in the cache of an archive that lies inside an archive.

    Inside, a compressed archive can only be read from its start to its end, again for every
    image. The copy is the one thing that is unpacked; `zipfile` checks its CRC-32.
    """
    folder = cache / "archives" / key_of([inner.name, inner.version])

    def unpack(unfinished: Path) -> None:
        try:
            with archive.open(inner.name) as packed, (unfinished / _INNER).open("wb") as stream:
                shutil.copyfileobj(packed, stream, 2**20)
        except (*DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the archive's
            raise ArchiveError(
                f"{inner.name} in {archive.filename} is damaged ({error}). Pass another copy of "
                "the archive, from where it is published."
            ) from error

    purpose = f"the copy of {inner.name} out of {Path(archive.filename or '').name}"
    made(folder, unpack, needed=inner.size, purpose=purpose)
    return folder / _INNER


def _in_archive(source: Path, cache: Path) -> Listing:
    with open_archive(source) as archive:
        files = _files_of_archive(archive)
        listing = _listed(source, source, files)
        inner = [file for file in files if PurePosixPath(file.name).name == _INNER]
        if any(listing.images.values()) or len(inner) != 1:
            return listing
        container = _taken_out(archive, inner[0], cache)
    with open_archive(container, called=f"{inner[0].name} in {source}") as train:
        return _listed(source, container, _files_of_archive(train))


def _check_classes(listing: Listing) -> None:
    if all(listing.images.values()):
        return
    found = [name for name in CLASS_NAMES if listing.images[name]]
    if found:
        missing = next(name for name in CLASS_NAMES if name not in found)
        count = f"{len(listing.images[found[0]]):,}"
        what = f"has {count} images of {found[0]}s and none of {missing}s; both are needed"
    else:
        shown = ", ".join(listing.others[:5]) + (", …" if len(listing.others) > 5 else "")
        files = f"among its {len(listing.others):,} files: {shown}" if shown else "it is empty"
        what = f"has no image that is named or filed as a cat or a dog ({files})"
    raise DatasetError(
        f"{listing.source} {what}. Pass Kaggle's train.zip or dogs-vs-cats.zip, Microsoft's "
        f"{ARCHIVE_NAMES[0]}, or a zip or folder with the sub-folders cat and dog or with files "
        "named cat.*.jpg and dog.*.jpg."
    )


def find_images(source: str | Path, *, cache: str | Path | None = None) -> Listing:
    """List the images of cats and dogs in a zip archive or folder; open none of them.

    The class of an image is the nearest folder around it called `cat`, `cats`, `dog` or `dogs`
    (in any case), else the start of its file name. Archives are read in place; only Kaggle's
    archive in an archive (`train.zip` in `dogs-vs-cats.zip`) is copied out of it, to the cache.

    Args:
        source: Path of a zip archive or of a folder.
        cache: Folder for the copy of an inner archive; see `cvlab.cache.cache_root`.

    Returns:
        The images by class, in the order of their numbers.

    Raises:
        DatasetError: If there is nothing at `source`, or not both cats and dogs.
        ArchiveError: If the archive is damaged or not to be trusted.
        SpaceError: If the disk has no room for the copy.
    """
    if not isinstance(source, str | Path):
        raise DatasetError(
            f"source is {source!r}: pass the path of a zip archive or folder of cats and dogs."
        )
    source = Path(source).expanduser()
    if source.is_dir():
        listing = _listed(source, source, _files_of_folder(source))
    elif source.is_file():
        root = cache_root(cache)
        try:
            listing = _in_archive(source, root)
        except ArchiveError as error:
            if source.parent != root / "downloads":
                raise
            raise ArchiveError(
                f"{error} Or delete {source.name}: it lies in the course's own folder of "
                "downloads, and the photos are then downloaded again."
            ) from error
    else:
        raise DatasetError(
            f"There is no file or folder {source.absolute()}. Pass the path of a zip archive of "
            "cats and dogs or of a folder with the sub-folders cat and dog."
        )
    _check_classes(listing)
    return listing
