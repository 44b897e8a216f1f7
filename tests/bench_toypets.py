"""Speed of the toy pets: pictures a second, at two sizes, in one process and in two.

Run `python tests/bench_toypets.py`. Times drift with the machine; the figure to hold is 400
pictures a second at 64 x 64 in two processes on two free cores.
"""

import time

from cvlab import toypets


def rate(count: int, size: int, workers: int) -> float:
    """Pictures a second, starting the workers included."""
    start = time.perf_counter()
    for species in toypets.CLASSES:
        toypets.draw_many(species, range(count // 2), size=size, workers=workers, progress=False)
    return count / (time.perf_counter() - start)


def main() -> None:
    rate(20, 64, 1)
    for size, count in ((64, 2000), (150, 600)):
        for workers in (1, 2):
            print(f"{size} x {size}, workers={workers}: {rate(count, size, workers):,.0f} a second")


if __name__ == "__main__":
    main()
