"""Folders that are whole or not there.

Notebooks share one cache folder, may ask for the same thing at once, may be killed at any moment
and may run out of disk space. So `made` writes a folder beside its place, seals it and moves it
there when it is complete, and one lock per folder makes the second caller wait for the first.

The seal notes size and time of every file. A reader compares them, which costs a look at each file
but not at its content. A file that was damaged or replaced afterwards has another time; the folder
is then made again.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import filelock

from cvlab.cache.disk import enough_space
from cvlab.cache.errors import DatasetError, SpaceError
from cvlab.cache.keys import key_of

Record: TypeAlias = dict[str, Any]

_SEAL: Final = "seal.json"


def made(
    folder: Path,
    write: Callable[[Path], Record | None],
    *,
    needed: int,
    purpose: str,
    resumes: bool = False,
) -> Record:
    """Make a folder unless it is there and whole; return the record that was kept with it.

    Nothing is written where the folder is whole, so a cache that a class shares may be read-only.

    Args:
        folder: Where it belongs. Its name is a key of everything that its content depends on.
        write: Fills a folder and returns what JSON can write about it, or None for nothing.
        needed: Bytes that it will write.
        purpose: What is made, the subject of an error message.
        resumes: Whether `write` can go on from what a killed or interrupted call left. It then gets
            the folder of that call with whatever is in it, otherwise an empty one.

    Returns:
        What `write` returned, now or when the folder was made; empty for None.

    Raises:
        SpaceError: If the disk has no room for it.
        DatasetError: If the folder was changed while it was made.
    """
    record = record_of(folder)
    if record is None:
        with locked(folder):
            record = record_of(folder)
            if record is None:
                with _unfinished(folder, needed, purpose, resumes=resumes) as unfinished:
                    _seal(unfinished, write(unfinished) or {})
                record = record_of(folder)
    if record is None:
        raise DatasetError(f"{folder} was changed while it was made ({purpose}). Run this again.")
    return record


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of `target`, a file or folder that only one process at a time may make.

    The operating system drops the lock of a process that dies. The lock file itself stays.

    Raises:
        DatasetError: If the folder around `target` cannot be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise DatasetError(
            f"The cache folder {target.parent} cannot be written to ({error.strerror or error}). "
            "Set the environment variable CVLAB_CACHE to a folder that you may write to, on a disk "
            "that has room."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _unfinished(target: Path, needed: int, purpose: str, *, resumes: bool) -> Iterator[Path]:
    """Yield a folder that becomes `target` if the block ends well. The caller holds the lock."""
    part = target.with_name(f".{target.name}.unfinished")
    if not resumes:
        shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    elif part.exists():
        needed = max(needed - sum(file.stat().st_size for _, file in files_in(part)), 0)
    try:
        with enough_space(target.parent, needed, purpose):
            part.mkdir(exist_ok=True)
            yield part
            _replace(target, part)
    except SpaceError:
        # On a full disk what was begun takes room that others need.
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        if not resumes and part.exists():
            shutil.rmtree(part)


def _replace(target: Path, part: Path) -> None:
    """Move `part` to `target`; a folder can only be renamed onto an empty one."""
    aside = target.with_name(f".{target.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        target.rename(aside)
    part.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def files_in(folder: Path | str, inside: str = "") -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    """Yield the files in a folder and in those below it, several times as fast as `Path.rglob`.

    Args:
        folder: Where to look.
        inside: Put in front of the names.

    Yields:
        The path of a file inside the folder, with forward slashes, and the file.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from files_in(entry.path, f"{inside}{entry.name}/")
            else:
                yield f"{inside}{entry.name}", entry


def _sealed_files(folder: Path) -> dict[str, "os.DirEntry[str]"]:
    """The files by name, without the seal and hidden ones, such as those a file browser leaves."""
    return {
        name: file
        for name, file in files_in(folder)
        if name != _SEAL and not file.name.startswith(".")
    }


def _seal(folder: Path, record: Record) -> None:
    files = {}
    for name, file in _sealed_files(folder).items():
        # A whole, even second is kept as it is by every file system and every archive, and a file
        # that is written later has another time, even within the same second.
        seconds = int(file.stat().st_mtime) // 2 * 2
        os.utime(file, (seconds, seconds))
        files[name] = [file.stat().st_size, seconds * 10**9]
    content = {"record": record, "files": files}
    seal = {"digest": key_of(content), **content}
    (folder / _SEAL).write_text(json.dumps(seal), encoding="utf-8")


def record_of(folder: Path) -> Record | None:
    """Return the record that `made` kept with a folder; None if it is not there as it was made."""
    try:
        seal = json.loads((folder / _SEAL).read_text(encoding="utf-8"))
        if not isinstance(seal, dict) or seal.pop("digest") != key_of(seal):
            return None
        now = {
            name: [file.stat().st_size, file.stat().st_mtime_ns]
            for name, file in _sealed_files(folder).items()
        }
        record: Record = seal["record"]
        return record if now == seal["files"] else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return None
