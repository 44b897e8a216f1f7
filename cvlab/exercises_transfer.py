"""What is right in the exercises of notebooks 08 to 13, and the mistakes readers make there."""

from math import ceil, comb, sqrt
from typing import Any, Final

from numpy.typing import NDArray

from cvlab.grading import Exercise, Mistake

Array = NDArray[Any]

# 13: which difference is real -------------------------------------------------------------


def _both_tails(only_first: int, only_second: int) -> float:
    """Count all ways in which the disputed pictures could fall, and those at least as uneven."""
    disputed = only_first + only_second
    observed = abs(only_first - only_second)
    ways = [comb(disputed, k) for k in range(disputed + 1) if abs(disputed - 2 * k) >= observed]
    return float(sum(ways) / 2**disputed)


def _upper_tail(only_first: int, only_second: int) -> float:
    """Chance that one given network wins at least as many as the winner did."""
    disputed, most = only_first + only_second, max(only_first, only_second)
    return float(sum(comb(disputed, k) for k in range(most, disputed + 1)) / 2**disputed)


def _enough_pictures(accuracy: float, half_width: float) -> int:
    """By search: the first number of pictures whose interval is narrow enough."""
    low, high = 0, 1
    while 1.96 * sqrt(accuracy * (1 - accuracy) / high) > half_width:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        narrow = 1.96 * sqrt(accuracy * (1 - accuracy) / middle) <= half_width
        low, high = (low, middle) if narrow else (middle, high)
    return high


_LADDER: Final = (
    Exercise(
        number="13.1",
        truth=_both_tails,
        cases=((20, 8), (8, 20), (5, 5), (1, 0), (0, 12)),
        why="If both networks were equally good, each disputed picture would be a coin toss.",
        mistakes=(
            Mistake(
                "Only one direction is counted. Before looking, the second network could have won "
                "as well.",
                _upper_tail,
            ),
            Mistake(
                "That is the chance of exactly this split. Splits that are even more uneven count "
                "as well, in both directions.",
                lambda a, b: comb(a + b, a) / 2 ** (a + b),
            ),
            Mistake(
                "The tail was doubled, and an even split then gets more than 1: a probability "
                "cannot.",
                lambda a, b: 2 * _upper_tail(a, b),
            ),
        ),
    ),
    Exercise(
        number="13.2",
        truth=_enough_pictures,
        cases=((0.9, 0.02), (0.97, 0.01), (0.5, 0.03), (0.97, 0.005)),
        why="Half the width takes four times the pictures.",
        mistakes=(
            Mistake(
                "One standard error on each side covers two thirds of the cases; 95 % take 1.96 of "
                "them.",
                lambda p, h: ceil(p * (1 - p) / h**2),
            ),
            Mistake(
                "You took the whole width of the interval; given is how far it reaches to each "
                "side.",
                lambda p, h: ceil(4 * 1.96**2 * p * (1 - p) / h**2),
            ),
            Mistake(
                "The width falls with the square root of the number of pictures, not with the "
                "number.",
                lambda p, h: ceil(1.96 * sqrt(p * (1 - p)) / h),
            ),
            Mistake(
                "One picture too few: round up, or the interval is a hair too wide.",
                lambda p, h: int(1.96**2 * p * (1 - p) / h**2),
            ),
        ),
    ),
)

EXERCISES: Final = _LADDER
