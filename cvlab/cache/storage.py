"""What is left of the old storage: `made` replaces it where folders are made."""

import json
import shutil
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cvlab.cache.disk import enough_space, make_folder
from cvlab.cache.keys import key_of

_CHUNK = 2**20


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
    make_folder(target.parent)
    for leftover in target.parent.glob(f".{target.name}.*.unfinished"):
        shutil.rmtree(leftover)
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with enough_space(target.parent, needed, purpose):
            make_folder(unfinished)
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
