"""Things arrive in the cache whole or not at all.

Notebooks share one cache folder, may ask for the same thing at once, may be killed at any moment
and may run out of disk. So a folder is written beside its place and moved there when it is
complete, a download keeps its unfinished part apart until its digest is checked, and one lock a
thing makes the second caller wait for the first.
"""

import errno
import hashlib
import http.client
import json
import os
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
from tqdm import tqdm

# Left free on the disk on top of what is written: manifests, directory entries, other programs.
SPARE_BYTES = 16 * 2**20

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NETWORK = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
_CHUNK = 2**20
_BAR_DELAY = 1.0  # seconds; what takes less shows no progress bar


class DatasetError(RuntimeError):
    """What was asked of the data cannot be done; the message says why and what to do next."""


class SpaceError(DatasetError):
    """The disk of the cache is full."""


class DownloadError(DatasetError):
    """A file could not be fetched, or is not the file it should be."""


def cache_root(cache: str | Path | None = None) -> Path:
    """Return the folder that holds everything cvlab can make again.

    Args:
        cache: The folder. If None, the environment variable `CVLAB_CACHE`, else `cvlab` in
            `XDG_CACHE_HOME`, else `~/.cache/cvlab`.
    """
    if cache is None:
        cache = os.environ.get("CVLAB_CACHE") or None
    if cache is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvlab"
    return Path(cache).expanduser().absolute()


def readable_bytes(count: int) -> str:
    """Write a number of bytes for people: `39.9 MB`, in powers of 1,000."""
    if count < 1000:
        return f"{count} bytes"
    for unit, size in (("kB", 1e3), ("MB", 1e6)):
        if count < 1000 * size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e9:.1f} GB"


def progress_bar(total: int, what: str, *, unit: str, done: int = 0) -> "tqdm[object]":
    """Return a progress bar that shows only if the work takes longer than a second.

    Args:
        total: Pictures or bytes to come.
        what: Shown in front of the bar.
        unit: `B` counts bytes in powers of 1,000.
        done: How many of `total` are there already.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        unit_scale=unit == "B",
        leave=False,
        delay=_BAR_DELAY,
        file=sys.stdout,  # notebooks show stderr on a red ground, as if something had failed
    )


def _no_space(folder: Path, needed: int, purpose: str, *, resumes: bool = False) -> SpaceError:
    free = shutil.disk_usage(folder).free
    left = "Nothing half-written was left behind."
    if resumes:
        left = "What there is of it is kept, and the next try goes on from there."
    return SpaceError(
        f"No space left on the disk of {folder}: {purpose} needs about "
        f"{readable_bytes(needed)} and {readable_bytes(SPARE_BYTES)} to spare; "
        f"{readable_bytes(free)} are free. {left} Free some space, or set the environment "
        "variable CVLAB_CACHE to a folder on a disk that has room."
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"The cache folder {folder} cannot be made ({error.strerror or error}). Set the "
            "environment variable CVLAB_CACHE to a folder that you may write to."
        ) from error


@contextmanager
def enough_space(
    folder: Path, needed: int, purpose: str, *, resumes: bool = False
) -> Iterator[None]:
    """Check that `folder` has room before the work, and name what is missing if it runs out.

    Args:
        folder: An existing folder on the disk that will be written to.
        needed: Bytes that the work will write.
        purpose: What is written, the subject of the error message.
        resumes: Whether what has been written by then stays and is gone on from.

    Raises:
        SpaceError: If less than `needed` plus `SPARE_BYTES` is free, or the disk fills up.
    """
    if shutil.disk_usage(folder).free < needed + SPARE_BYTES:
        raise _no_space(folder, needed, purpose, resumes=resumes)
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _no_space(folder, needed, purpose, resumes=resumes) from error
        raise


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of `target`, a file or folder that only one process at a time may make.

    The operating system drops the lock of a process that dies. The lock file itself stays.
    """
    _make_folder(target.parent)
    try:
        lock = filelock.FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _no_space(target.parent, 0, f"the lock of {target.name}") from error
        raise DatasetError(
            f"The cache folder {target.parent} cannot be written to ({error.strerror}). Set the "
            "environment variable CVLAB_CACHE to a folder that you may write to."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole_folder(target: Path, needed: int, purpose: str) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` if the block ends well, and vanishes if not.

    The caller holds `locked(target)`. A folder already at `target` is replaced. What killed runs
    left of earlier attempts is swept away.

    Args:
        target: Where the finished folder appears, all at once.
        needed: Bytes that the block will write.
        purpose: What is written, the subject of an error message.

    Raises:
        SpaceError: If the disk has no room for it.
    """
    _make_folder(target.parent)
    for leftover in target.parent.glob(f".{target.name}.*.unfinished"):
        shutil.rmtree(leftover)
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with enough_space(target.parent, needed, purpose):
            _make_folder(unfinished)
            yield unfinished
            if target.exists():
                # A folder can only be renamed onto an empty one.
                aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.unfinished")
                target.rename(aside)
                unfinished.rename(target)
                shutil.rmtree(aside)
            else:
                unfinished.rename(target)
    finally:
        if unfinished.exists():
            shutil.rmtree(unfinished)


def key_of(content: object) -> str:
    """Return a key of 24 hexadecimal digits for something JSON can write."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:24]


def write_sealed(file: Path, content: dict[str, Any]) -> None:
    """Write JSON that can tell later whether it is still as it was written.

    Args:
        file: Where to; in a folder that becomes visible only when it is whole.
        content: What JSON can write, without the key `digest`, which is added.
    """
    file.write_text(json.dumps({"digest": key_of(content), **content}), encoding="utf-8")


def read_sealed(file: Path) -> dict[str, Any] | None:
    """Read what `write_sealed` wrote; None if it is not there or not as it was written."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(content, dict) or "digest" not in content:
        return None
    digest = content.pop("digest")
    return content if digest == key_of(content) else None


def crc32_of(file: Path) -> int:
    """Return the CRC-32 of a file: several times as fast as a digest, and enough for accidents."""
    checksum = 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def sha256_of(file: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _TryAgainError(Exception):
    """The connection failed in a way that may pass."""


def _fetch_rest(url: str, part: Path, size: int, timeout: float) -> None:
    """Append to `part` what it lacks of the `size` bytes at `url`, as far as the server sends."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "cvlab"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            resumed = response.status == 206 and str(
                response.headers.get("Content-Range", "")
            ).startswith(f"bytes {have}-")
            if not resumed:
                have = 0  # the server ignores ranges and sends the file from its start
            length = response.headers.get("Content-Length")
            if length is not None and have + int(length) != size:
                raise DownloadError(
                    f"{url} now holds a file of {have + int(length):,} bytes, not the expected "
                    f"{size:,}: it has been replaced."
                )
            with (
                part.open("ab" if resumed else "wb") as stream,
                progress_bar(size, f"Downloading {part.stem}", unit="B", done=have) as bar,
            ):
                while have < size and (chunk := response.read(min(_CHUNK, size - have))):
                    stream.write(chunk)
                    have += len(chunk)
                    bar.update(len(chunk))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part does not fit the file on the server
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code not in (408, 429):
            raise DownloadError(f"{url} answers {error.code} {error.reason}.") from error
        raise _TryAgainError(f"the server answers {error.code} {error.reason}") from error
    except _NETWORK as error:  # not OSError: a disk's errors are no reason to try again
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _TryAgainError(str(reason) or type(reason).__name__) from error
    if have < size:
        raise _TryAgainError(f"the connection ended after {have:,} of {size:,} bytes")


def _fetch(url: str, part: Path, *, size: int, retries: int, pause: float, timeout: float) -> None:
    """Complete `part`, again and again from where it stands, until `retries` in a row fail."""
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        if have > size:
            part.unlink()
        elif have == size:
            return
        try:
            _fetch_rest(url, part, size, timeout)
        except _TryAgainError as error:
            now = part.stat().st_size if part.exists() else 0
            failures = 1 if now > have else failures + 1
            if failures > retries:
                kept = (
                    f" {readable_bytes(now)} are kept; the next try goes on there." if now else ""
                )
                raise DownloadError(
                    f"{url} could not be read ({error}). Is there a network?{kept}"
                ) from error
            time.sleep(pause * 2 ** (failures - 1))


def download(
    url: str,
    target: Path,
    *,
    size: int,
    sha256: str,
    retries: int = 3,
    pause: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Fetch a file of known size and digest; go on where an earlier try stopped.

    The unfinished file is `target` with `.part` at its end; a file called `target` is a complete
    and verified one, or one that the reader put there.

    Args:
        url: Where the file is.
        target: Where it goes.
        size: Its size in bytes.
        sha256: Its SHA-256 digest, in hexadecimal.
        retries: Failures in a row, without a byte between them, that are forgiven.
        pause: Seconds before the first retry; doubled for each further one.
        timeout: Seconds of silence after which a connection counts as failed.

    Returns:
        `target`.

    Raises:
        DownloadError: If there is no network, or what arrives is not the expected file.
        SpaceError: If the disk has no room for it.
    """
    with locked(target):
        if target.exists():
            return target
        part = target.with_name(target.name + ".part")
        resumed = part.exists()
        missing = size - (part.stat().st_size if resumed else 0)
        purpose = f"the download of {target.name}"
        with enough_space(target.parent, max(missing, 0), purpose, resumes=True):
            _fetch(url, part, size=size, retries=retries, pause=pause, timeout=timeout)
            if resumed and sha256_of(part) != sha256:
                # The old part may be of another file: start once more from nothing.
                part.unlink()
                _fetch(url, part, size=size, retries=retries, pause=pause, timeout=timeout)
        digest = sha256_of(part)
        if digest != sha256:
            part.unlink()
            raise DownloadError(
                f"What {url} sent has the SHA-256 digest {digest}, not the expected {sha256}: "
                "the file was replaced or damaged on its way, and has been deleted."
            )
        part.replace(target)
    return target
