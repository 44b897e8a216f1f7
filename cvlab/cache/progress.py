"""Progress of long work on files."""

import sys

from tqdm import tqdm

_DELAY = 1.0  # seconds; what takes less shows no progress bar


def progress_bar(total: int, what: str, *, unit: str, done: int = 0) -> "tqdm[object]":
    """Return a progress bar that shows only if the work takes longer than a second.

    Args:
        total: Images or bytes to come.
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
        delay=_DELAY,
        file=sys.stdout,  # notebooks show stderr on a red background, like an error
    )
