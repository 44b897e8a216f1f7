"""Zip archives from unknown sources, read in place.

Nothing is ever unpacked to a path that an archive names. An archive with a member that can
only be meant to do harm, or that no tool for photos writes, is refused as a whole; the error names
the member.
"""

import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from cvlab.cache import DatasetError, readable_bytes

MAX_MEMBERS = 200_000
MAX_MEMBER_BYTES = 100 * 2**20
MAX_NESTED_BYTES = 4 * 2**30
MAX_TOTAL_BYTES = 16 * 2**30
# Photos are compressed already: in a zip they shrink by a few percent. Deflate's best is 1,032.
MAX_RATIO = 200
_RATIO_MATTERS_FROM = 2**20

# What `zipfile` and its decompressors raise for damaged archives, depending on where the damage is;
# `bz2` also raises an `OSError` without a number.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_DRIVE = re.compile(r"^[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ArchiveError(DatasetError):
    """A zip archive is damaged, no zip archive at all, or not to be trusted."""


def _fault(info: zipfile.ZipInfo) -> str:
    """Return why a member is not to be trusted; empty if it is."""
    # `filename` is what zipfile makes of the name; `orig_filename` is what the archive says.
    name, method = info.orig_filename, info.compress_type
    size, packed = info.file_size, info.compress_size
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
    limit = MAX_NESTED_BYTES if name.lower().endswith(".zip") else MAX_MEMBER_BYTES
    most = max(_RATIO_MATTERS_FROM, MAX_RATIO * packed)
    grown = f"{readable_bytes(packed)} to {readable_bytes(size)}"
    faults: dict[str, object] = {
        "it has no name": not name,
        "its name holds control characters": _CONTROL.search(name),
        "its name holds a backslash": "\\" in name,
        "its name is an absolute path": name.startswith("/") or _DRIVE.match(name),
        "its name leads out of the archive ('..')": ".." in name.split("/"),
        "it is a link": kind == stat.S_IFLNK,
        "it is neither a file nor a folder": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "it lies before the start of the archive": info.header_offset < 0,
        "it is encrypted": info.flag_bits & 0x1,
        f"its compression method {method} is unknown": method not in _METHODS,
        f"it claims {readable_bytes(size)}, more than {readable_bytes(limit)}": size > limit,
        f"it would grow from {grown}, more than {MAX_RATIO} times": size > most,
    }
    return next((fault for fault, found in faults.items() if found), "")


def _faults(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield why an archive is not to be trusted; nothing if it is."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        yield f"it has {len(members):,} members, more than {MAX_MEMBERS:,}"
    seen: set[str] = set()
    for info in members:
        fault = _fault(info)
        if fault or info.filename in seen:
            yield f"{info.orig_filename!r}: {fault or 'a second member has the same name'}"
        seen.add(info.filename)
    total = sum(info.file_size for info in members)
    if total > MAX_TOTAL_BYTES:
        limit = readable_bytes(MAX_TOTAL_BYTES)
        yield f"its members claim {readable_bytes(total)} together, more than {limit}"


def _not_a_zip(path: Path, called: str, error: Exception) -> ArchiveError:
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(512)
    if size == 0:
        what = "is empty (0 bytes)"
    elif start.startswith(b"PK\x03\x04"):
        what = (
            f"is a damaged zip archive, most likely cut short: it ends after "
            f"{readable_bytes(size)} without a readable table of contents ({error})"
        )
    elif b"<html" in start.lower() or b"<!doctype" in start.lower():
        what = "is a web page, not a zip archive: the download needed a login or a confirmation"
    else:
        what = f"is not a zip archive: it starts with the bytes {start[:8]!r}"
    return ArchiveError(
        f"{called} {what}. Pass a whole zip archive of cats and dogs, such as Kaggle's or "
        "Microsoft's, or a folder of images."
    )


def open_archive(path: Path, *, called: str | None = None) -> zipfile.ZipFile:
    """Open a zip archive for reading after a look at every member's name, kind and size.

    Args:
        path: The archive.
        called: What error messages call it, if not by its path.

    Returns:
        The open archive; the caller closes it. What is read from it is at most what the checked
        sizes say, and `zipfile` checks each member's CRC-32.

    Raises:
        ArchiveError: If the file is no zip archive, is damaged, or has a member with an absolute
            path, `..`, a backslash, a drive letter, control characters or nothing in its name, a
            link or another special file, an encrypted member, one of impossible offset, size or
            compression, or two members of the same name.
    """
    called = called or str(path)
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise _not_a_zip(path, called, error) from error
    if fault := next(_faults(archive), ""):
        archive.close()
        raise ArchiveError(
            f"{called} is refused: {fault}. Nothing was unpacked. Get the archive again from where "
            "it is published, or pass a folder of images instead."
        )
    return archive
