"""Downloads that go on where they stopped, and are believed only if their digest is right.

`pooch` (1.9) opens its file anew at every try and never asks for a range: a connection that ends
after 800 of 825 MB starts again from nothing. Resuming is why this module exists.
"""

import http.client
import re
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin

from cvlab.cache.disk import enough_space, readable_bytes
from cvlab.cache.errors import DownloadError
from cvlab.cache.folders import locked
from cvlab.cache.keys import sha256_of
from cvlab.cache.progress import progress_bar

_NETWORK = (URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_CHUNK = 2**20
# Failures in a row, without a byte between them, that are forgiven; seconds before the first retry,
# doubled for each further one; seconds of silence after which a connection counts as failed.
_RETRIES, _PAUSE, _TIMEOUT = 3, 1.0, 30.0


class _TryAgainError(Exception):
    """The connection failed in a way that may pass."""


def _fetch_rest(url: str, part: Path, size: int) -> None:
    """Append to `part` what it lacks of the `size` bytes at `url`, as far as the server sends."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "cvlab"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
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
    except HTTPError as error:
        if error.code == 416:  # the part does not fit the file on the server
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code not in (408, 429):
            raise DownloadError(f"{url} answers {error.code} {error.reason}.") from error
        raise _TryAgainError(f"the server answers {error.code} {error.reason}") from error
    except _NETWORK as error:  # not OSError: a disk's errors are no reason to try again
        reason = error.reason if isinstance(error, URLError) else error
        raise _TryAgainError(str(reason) or type(reason).__name__) from error
    if have < size:
        raise _TryAgainError(f"the connection ended after {have:,} of {size:,} bytes")


def _fetch(url: str, part: Path, size: int) -> None:
    """Complete `part`, again and again from where it stands, until too many tries in a row fail."""
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        if have > size:
            part.unlink()
        elif have == size:
            return
        try:
            _fetch_rest(url, part, size)
        except _TryAgainError as error:
            now = part.stat().st_size if part.exists() else 0
            failures = 1 if now > have else failures + 1
            if failures > _RETRIES:
                kept = f" {readable_bytes(now)} are kept for the next try." if now else ""
                raise DownloadError(
                    f"{url} could not be read ({error}). Is there a network?{kept}"
                ) from error
            time.sleep(_PAUSE * 2 ** (failures - 1))


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow: what the hub says of a file stands in the answer that leads on to it."""

    def redirect_request(self, *_: Any) -> None:
        return None


def linked(url: str) -> tuple[int, str]:
    """Ask the Hugging Face hub for size and SHA-256 digest of one of its large files.

    The hub answers with the address where the file is stored, and names size and digest in the
    headers `X-Linked-Size` and `X-Linked-ETag` of that answer.

    Args:
        url: The file's address on the hub, with `/resolve/`.

    Raises:
        DownloadError: If there is no network or no such file, or the answer does not name them.
    """
    for failures in range(_RETRIES + 1):
        try:
            return _linked(url)
        except HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise DownloadError(f"{url} answers {error.code} {error.reason}.") from error
            reason: object = f"the server answers {error.code} {error.reason}"
        except _NETWORK as error:
            reason = (error.reason if isinstance(error, URLError) else error) or error
        if failures < _RETRIES:
            time.sleep(_PAUSE * 2**failures)
    raise DownloadError(f"{url} could not be read ({reason}). Is there a network?")


def _linked(url: str) -> tuple[int, str]:
    at = url
    for _ in range(5):  # a project that was renamed leads on to its new address first
        request = urllib.request.Request(at, headers={"User-Agent": "cvlab"}, method="HEAD")
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=_TIMEOUT) as response:
                headers = response.headers
        except HTTPError as error:
            if error.code not in (301, 302, 303, 307, 308):
                raise
            headers = error.headers
        size, digest = headers.get("X-Linked-Size", ""), headers.get("X-Linked-ETag", "").strip('"')
        if size.isdecimal() and re.fullmatch("[0-9a-f]{64}", digest):
            return int(size), digest
        if not headers.get("Location"):
            break
        at = urljoin(at, headers["Location"])
    raise DownloadError(f"{url} does not say which file it leads to (X-Linked-ETag is missing).")


def download(url: str, target: Path, *, size: int, sha256: str) -> Path:
    """Fetch a file of known size and digest; go on where an earlier try stopped.

    The unfinished file is `target` with `.part` at its end; a file called `target` is a complete
    and verified one, or one that the reader put there.

    Args:
        url: Where the file is.
        target: Where it goes.
        size: Its size in bytes.
        sha256: Its SHA-256 digest, in hexadecimal.

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
            _fetch(url, part, size)
            if resumed and sha256_of(part) != sha256:
                # The old part may be of another file: start once more from nothing.
                part.unlink()
                _fetch(url, part, size)
        digest = sha256_of(part)
        if digest != sha256:
            part.unlink()
            raise DownloadError(
                f"What {url} sent has the SHA-256 digest {digest}, not the expected {sha256}: "
                "the file was replaced or damaged on its way, and has been deleted."
            )
        part.replace(target)
    return target
