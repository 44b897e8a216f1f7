"""Keys: short names for content, so that nothing kept under a key can be stale."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvlab.cache.threads import in_threads


def key_of(content: object) -> str:
    """Return a key of 24 hexadecimal digits for something JSON can write."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:24]


def sha256_of(file: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digests_of_array(array: NDArray[Any], batch: int) -> list[object]:
    """Describe the content of an array: dtype, shape and the SHA-256 digest of every batch.

    Args:
        array: Shape (n, ...), in memory or memory-mapped.
        batch: Rows per digest; this many are in memory at once.

    Returns:
        What JSON can write, for `key_of`.
    """

    def digest(start: int) -> str:
        return hashlib.sha256(np.ascontiguousarray(array[start : start + batch]).data).hexdigest()

    return [str(array.dtype), array.shape, *in_threads(digest, range(0, len(array), batch))]
