"""Where the cache lies, and whether its disk has room."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvlab.cache.errors import SpaceError

# Left free on the disk on top of what is written: seals, directory entries, other programs.
SPARE_BYTES = 16 * 2**20

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def cache_root(cache: str | Path | None = None) -> Path:
    """Return the folder that holds everything cvlab can make again.

    Args:
        cache: The folder. If None, the environment variable `CVLAB_CACHE`, else `cvlab` in
            `XDG_CACHE_HOME`, else `~/.cache/cvlab`.
    """
    if cache is None:
        cache = os.environ.get("CVLAB_CACHE") or (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvlab"
        )
    return Path(cache).expanduser().absolute()


def readable_bytes(count: int) -> str:
    """Write a number of bytes for people: `39.9 MB`, in powers of 1,000."""
    if count < 1000:
        return f"{count} bytes"
    for unit, size in (("kB", 1e3), ("MB", 1e6)):
        if count < 1000 * size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e9:.1f} GB"


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
    try:
        if shutil.disk_usage(folder).free < needed + SPARE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        free = shutil.disk_usage(folder).free
        left = "Nothing half-written was left behind."
        if resumes:
            left = "What there is of it is kept, and the next try goes on from there."
        raise SpaceError(
            f"No space left on the disk of {folder}: {purpose} needs about "
            f"{readable_bytes(needed)} and {readable_bytes(SPARE_BYTES)} to spare; "
            f"{readable_bytes(free)} are free. {left} Free some space, or set the environment "
            "variable CVLAB_CACHE to a folder on a disk that has room."
        ) from error
