"""The Hugging Face hub's copy of Microsoft's photos, made into a zip archive like Microsoft's own.

The hub holds Parquet files with the bytes of each photo, its label and its file name. They are read
with pyarrow, which the course does not need otherwise (the extra `hub`).
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from cvlab.cache import DownloadError, download, enough_space, linked, locked, progress_bar

PAGE: Final = "https://huggingface.co/datasets/microsoft/cats_vs_dogs"
FOLDER_URL = f"{PAGE}/resolve/main/data"
FILES: Final = ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet")
ARCHIVE_NAME: Final = "huggingface_cats_vs_dogs.zip"

# Folders of Microsoft's archive, by the hub's label.
_FOLDERS: Final = {0: "PetImages/Cat", 1: "PetImages/Dog"}
_NUMBERED: Final = re.compile(r"(?:.*/)?([0-9]{1,5})\.jpg")
_ROWS: Final = 64  # read at a time; a photo has about 30 kB


def fetch(downloads: Path) -> Path:
    """Download the hub's Parquet files and write their photos to a zip archive, unless it is there.

    The photos keep the names that they have in Microsoft's archive, so the same photos come first.
    The hub's copy has 23,410 of Microsoft's 25,000: it lacks files that do not begin as JFIF. Where
    a subset of Microsoft's archive has one of those, a subset of this one has the next photo. If
    the hub has no file names, the photos are numbered as they come, and other photos come first.

    Args:
        downloads: The cache's folder of downloads. An interrupted download goes on from there.

    Returns:
        The archive.

    Raises:
        DownloadError: If pyarrow is not installed, there is no network, or the files are damaged
            or of another layout.
        SpaceError: If the disk has no room.
    """
    target = downloads / ARCHIVE_NAME
    if target.is_file():
        return target
    parquet = _parquet()  # before anything is downloaded
    files = []
    for name in FILES:
        size, sha256 = linked(f"{FOLDER_URL}/{name}")
        path = downloads / name
        files.append(download(f"{FOLDER_URL}/{name}", path, size=size, sha256=sha256))
    with locked(target):
        if not target.exists():
            _write(parquet, files, target)
    for file in files:
        file.unlink(missing_ok=True)
    return target


def _parquet() -> ModuleType:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DownloadError(
            f"The Hugging Face hub has the photos as well ({PAGE}), but its files are read with "
            "pyarrow, which is not installed: pip install pyarrow, and run this again."
        ) from error
    found: ModuleType = parquet
    return found


def _write(parquet: ModuleType, files: Sequence[Path], target: Path) -> None:
    """Write the photos of Parquet files to an archive that appears whole or not at all."""
    part = target.with_name(f"{target.name}.part")
    needed = sum(file.stat().st_size for file in files)
    try:
        with enough_space(target.parent, needed, f"writing {target.name}"):
            names = _names(parquet, files)
            bar = progress_bar(len(names), f"Writing {target.name}", unit="image")
            with zipfile.ZipFile(part, "w") as archive, bar:
                for name, data in zip(names, _photos(parquet, files), strict=True):
                    archive.writestr(zipfile.ZipInfo(name), data)
                    bar.update()
        part.replace(target)
    except (ValueError, KeyError, TypeError) as error:
        for file in files:
            file.unlink()
        raise DownloadError(
            f"The files of {PAGE} no longer have the layout that the course knows ({error!r})."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _photos(parquet: ModuleType, files: Sequence[Path]) -> Iterator[bytes]:
    for file in files:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(_ROWS, columns=["image.bytes"]):
                yield from (row["bytes"] for row in batch.column("image").to_pylist())


def _names(parquet: ModuleType, files: Sequence[Path]) -> list[str]:
    """The name of each photo in the archive: Microsoft's where the hub kept its number."""
    rows: list[tuple[str, str]] = []
    for file in files:
        with parquet.ParquetFile(file) as opened:
            table = opened.read(columns=["image.path", "labels"])
        paths = [(row or {}).get("path") or "" for row in table.column("image").to_pylist()]
        folders = (_FOLDERS[label] for label in table.column("labels").to_pylist())
        rows += zip(folders, paths, strict=True)
    numbers = [_NUMBERED.fullmatch(path) for _, path in rows]
    names = [f"{rows[i][0]}/{int(found[1])}.jpg" for i, found in enumerate(numbers) if found]
    if len(set(names)) == len(rows):
        return names
    return [f"{folder}/{row}.jpg" for row, (folder, _) in enumerate(rows)]
