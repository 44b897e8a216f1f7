"""One of several kernels that read the same cache: what it maps of it, and its share of that.

    python -m tests.one_cache CACHE arrays|features IMAGES

Says "ready" once it has read everything, waits for a line, and prints as JSON the bytes that it
maps of files in the cache, its proportional share of them (Pss: a page that n processes hold
counts 1/n in each) and what of them it has copied for itself (Linux only).
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 128


def arrays(cache: str, images: str) -> list[NDArray[np.generic]]:
    """The decoded images of a folder, as every notebook gets them."""
    from cvlab.data import load_images  # noqa: PLC0415

    per_class = {"train": 40, "validation": 5, "test": 5}
    pets = load_images(images, image_size=4 * SIZE, per_class=per_class, cache=cache)
    return [pets.train.images, pets.validation.images, pets.test.images]


def features(cache: str, images: str) -> list[NDArray[np.generic]]:
    """A network's features of the images in a file, 1 MiB for each."""
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    from cvlab.transfer import features  # noqa: PLC0415

    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(16, 1)])
    return [features.extract(np.load(images, mmap_mode="r"), network, cache=cache)]


def shares(folder: Path) -> dict[str, int]:
    """Bytes mapped of files below a folder: all, this process's share, copied for itself."""
    total = {"Rss": 0, "Pss": 0, "Anonymous": 0}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = str(folder.resolve()) in line
        elif inside and (found := re.match(r"(\w+): +(\d+) kB", line)) and found[1] in total:
            total[found[1]] += 1024 * int(found[2])
    return total


def main() -> None:
    cache, what, images = sys.argv[1:]
    found = {"arrays": arrays, "features": features}[what](cache, images)
    for array in found:
        np.asarray(array).max()  # reads every page
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(shares(Path(cache))), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
