"""Work in threads, in order, with a bounded number of results waiting."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

_WORKERS: Final = min(8, os.cpu_count() or 1)

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_threads(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Map in threads, in order.

    Pillow, `zlib` and `hashlib` release the interpreter lock, so threads are enough for images.

    Args:
        function: Called with each item; what it raises comes out in its place.
        items: Taken as they are needed: at most eight for each thread are ahead of the caller.

    Yields:
        What the function returned, in the order of the items.
    """
    waiting: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 8 * _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
