"""Where the cats and dogs come from: a path, an archive from the network, or drawings.

A source is the path of a zip archive or folder, or one of the words `photos`, `microsoft`, `hub`
and `toypets`; `locate` explains them.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import PIL

from cvlab.cache import DatasetError, DownloadError, cache_root, download, key_of, made
from cvlab.data import hub
from cvlab.data.checks import check_image_size, check_seed, checked_per_class
from cvlab.data.listing import ARCHIVE_NAMES, CLASS_NAMES
from cvlab.drawing import animals, canvas, colors, painting, scenery, toypets

# Microsoft's copy of the photos of Kaggle's competition "Dogs vs. Cats" (the Asirra set).
MICROSOFT_URL = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip"
)
MICROSOFT_PAGE = "https://www.microsoft.com/en-us/download/details.aspx?id=54765"
MICROSOFT_BYTES = 824_887_076
MICROSOFT_SHA256 = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
KAGGLE_PAGE = "https://www.kaggle.com/c/dogs-vs-cats/data"

# All code on which a drawing depends.
_DRAWING: Final = (animals, canvas, colors, painting, scenery, toypets)


def _microsoft(downloads: Path) -> Path:
    target = downloads / ARCHIVE_NAMES[0]
    if target.is_file():
        return target
    return download(MICROSOFT_URL, target, size=MICROSOFT_BYTES, sha256=MICROSOFT_SHA256)


def _downloaded(downloads: Path, *sources: Callable[[Path], Path]) -> Path:
    """The photos from the first source that has them."""
    failures = []
    for source in sources:
        try:
            return source(downloads)
        except DownloadError as error:
            failures.append(error)
    raise DownloadError(
        "\n".join(map(str, failures)) + f"\nTo get the photos by hand, download {ARCHIVE_NAMES[0]} "
        f"({MICROSOFT_PAGE}, 825 MB) or dogs-vs-cats.zip ({KAGGLE_PAGE}, needs an account) with a "
        f"browser, and either put it into the folder {downloads} or set the environment variable "
        "CVLAB_PHOTOS to its path."
    ) from failures[0]


# By the word for each, in the order in which they are tried.
_DOWNLOADS: Final = {"microsoft": _microsoft, "hub": hub.fetch}


def _drawn(count: int, image_size: int, seed: int, cache: Path) -> Path:
    # The drawing code itself is part of the key: when it changes, so do the drawings.
    code = [inspect.getsource(module) for module in _DRAWING]
    key = key_of([code, np.__version__, PIL.__version__, count, image_size, seed])
    folder = cache / "drawn" / key / "toypets"

    def draw(unfinished: Path) -> dict[str, str]:
        toypets.write_images(unfinished, count, size=image_size, seed=seed)
        return {"key": key}

    # A JPEG file of a drawing takes less than a byte per pixel, and a block of the disk.
    needed = len(CLASS_NAMES) * count * (4096 + image_size * image_size)
    made(folder, draw, needed=needed, purpose=f"drawing {len(CLASS_NAMES) * count:,} images")
    return folder


def locate(
    source: str | Path | None = None,
    *,
    image_size: int,
    per_class: Mapping[str, int] | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Path:
    """Return the folder or archive that a source stands for; draw or download it if need be.

    Args:
        source: The path of a zip archive or folder, or one of four words. `photos`: the path in
            the environment variable `CVLAB_PHOTOS`, else an archive in the cache's folder
            `downloads` (Microsoft's, one of Kaggle's or the hub's, put there by an earlier download
            or by hand), else a download of Microsoft's, and if that fails, of the hub's.
            `microsoft`: Microsoft's archive, downloaded unless it is there. `hub`: the copy on the
            Hugging Face hub, which lacks one photo in sixteen (`cvlab.data.hub`). `toypets`: images
            drawn by `cvlab.drawing.toypets`. None is `photos`.
        image_size: Height and width in pixels at which `toypets` draws.
        per_class: `toypets` draws as many of each class as all splits together want.
        seed: Seed of `toypets`; 0 if None.
        cache: Cache folder; see `cvlab.cache.cache_root`.

    Raises:
        DatasetError: If there is nothing at the path.
        DownloadError: If no download works; the message says how to get the file by hand.
        SpaceError: If the disk has no room.
    """
    # Before anything is drawn or downloaded.
    if not isinstance(source, str | Path | None):
        raise DatasetError(
            f"source is {source!r}: pass a path, 'photos', 'microsoft', 'hub' or 'toypets'."
        )
    check_image_size(image_size)
    wanted = checked_per_class(per_class)
    check_seed(seed)
    root = cache_root(cache)
    downloads = root / "downloads"
    if source == "toypets":
        if image_size < toypets.SMALLEST:
            raise DatasetError(
                f"image_size is {image_size}, and drawn images need at least {toypets.SMALLEST} "
                "pixels per side: pass that or more."
            )
        return _drawn(sum(wanted.values()), image_size, seed or 0, root)
    if source in _DOWNLOADS:
        return _downloaded(downloads, _DOWNLOADS[source])
    if source is not None and source != "photos":
        return Path(source).expanduser()
    if photos := os.environ.get("CVLAB_PHOTOS"):
        path = Path(photos).expanduser()
        if not path.exists():
            raise DatasetError(
                f"The environment variable CVLAB_PHOTOS names {photos}, and there is no such file "
                f"or folder (looked for {path.absolute()}). Correct it, or unset it to download "
                "the photos."
            )
        return path
    for name in (*ARCHIVE_NAMES, hub.ARCHIVE_NAME):
        if (downloads / name).is_file():
            return downloads / name
    return _downloaded(downloads, *_DOWNLOADS.values())
