"""Keys: short names for content, so that nothing kept under a key can be stale."""

import hashlib
import json
from collections.abc import Callable
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


def digests_of_pieces(count: int, read: Callable[[int], bytes | memoryview]) -> list[str]:
    """Compute the SHA-256 digests of pieces, a few at a time.

    Args:
        count: How many pieces there are.
        read: Returns the bytes of a piece by its number, from 0.
    """
    return list(in_threads(lambda number: hashlib.sha256(read(number)).hexdigest(), range(count)))


def digests_of_array(array: NDArray[Any], batch: int) -> list[object]:
    """Describe the content of an array: dtype, shape and the SHA-256 digest of every batch.

    Args:
        array: Shape (n, ...), in memory or memory-mapped.
        batch: Rows per digest; this many are in memory at once.

    Returns:
        What JSON can write, for `key_of`.
    """

    def rows(number: int) -> memoryview:
        return np.ascontiguousarray(array[number * batch : (number + 1) * batch]).data

    return [str(array.dtype), array.shape, *digests_of_pieces(-(-len(array) // batch), rows)]
