"""Which pictures of cats and dogs a folder or zip archive holds; none of them is opened.

Kaggle's and Microsoft's archives are read as they come, without unpacking them.
"""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cvlab.cache import DatasetError, cache_root, key_of, locked, storage
from cvlab.data.archives import DAMAGE, ArchiveError, open_archive
from cvlab.data.decoding import PICTURE_SUFFIXES

CLASS_NAMES = ("cat", "dog")
# Microsoft's archive, and Kaggle's two, by the names under which they are published.
ARCHIVE_NAMES = ("kagglecatsanddogs_5340.zip", "dogs-vs-cats.zip", "train.zip")


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
    key = key_of([inner.name, inner.size, inner.checksum])
    folder = cache / "archives" / key
    copy = folder / "train.zip"

    def whole() -> bool:
        """Whether the copy is as it was packed: its table of contents has no other check."""
        return (
            copy.is_file()
            and copy.stat().st_size == inner.size
            and storage.crc32_of(copy) == inner.checksum
        )

    if whole():
        return copy
    with locked(folder):
        if whole():
            return copy
        purpose = f"the copy of {inner.name} out of {Path(archive.filename or '').name}"
        with storage.whole_folder(folder, inner.size, purpose) as unfinished:
            try:
                with (
                    archive.open(inner.name) as packed,
                    (unfinished / copy.name).open("wb") as stream,
                ):
                    shutil.copyfileobj(packed, stream, 2**20)
            except (*DAMAGE, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk's, not the archive's
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
        cache: Folder for the copy of an inner archive; see `cvlab.cache.cache_root`.

    Returns:
        The pictures by class, in the order of their numbers.

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
        catalogue = _catalogue(source, source, _files_of_folder(source))
    elif source.is_file():
        with open_archive(source) as archive:
            files = _files_of_archive(archive)
            catalogue = _catalogue(source, source, files)
            inner = [file for file in files if PurePosixPath(file.name).name == "train.zip"]
            if not any(catalogue.pictures.values()) and len(inner) == 1:
                container = _taken_out(archive, inner[0], cache_root(cache))
                with open_archive(container, called=f"{inner[0].name} in {source}") as train:
                    catalogue = _catalogue(source, container, _files_of_archive(train))
    else:
        raise DatasetError(
            f"There is no file or folder {source.absolute()}. Pass the path of a zip archive of "
            "cats and dogs or of a folder with the sub-folders cat and dog."
        )
    _complain_about_classes(catalogue)
    return catalogue
