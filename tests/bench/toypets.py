"""Speed of the drawn pets: images per second, at two sizes, in one process and in two.

    python -m tests.bench.toypets

Times vary with the machine; the goal is 400 images per second at 64 x 64 in two processes on two
idle cores.
"""

import time

from cvlab.drawing import toypets
from tests.bench import bench

GOAL = 400


def rate(count: int, size: int, workers: int) -> float:
    """Return the images per second, the start of the workers included."""
    start = time.perf_counter()
    for species in toypets.CLASSES:
        toypets.draw_many(species, range(count // 2), size=size, workers=workers, progress=False)
    return count / (time.perf_counter() - start)


def main() -> None:
    rate(20, 64, 1)
    found = []
    for size, count in ((64, 2000), (150, 600)):
        one, two = rate(count, size, 1), rate(count, size, 2)
        name = f"drawing pets, {size} x {size}, two processes"
        found.append(bench.compared(name, "one process", [two], [one], unit="images/s"))
        if size == 64:
            limit = f"at least {GOAL} per second"
            found.append(bench.compared(name, limit, [two], [GOAL], unit="images/s", goal=1))
    bench.rows(found)


if __name__ == "__main__":
    main()
