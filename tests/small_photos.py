"""Small images of cats and dogs for tests, and the archives and folders that hold them."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cvlab.data import Pets, Split, load_images

TINY = {"train": 3, "validation": 2, "test": 1}
EACH = 6  # images of each class that TINY takes


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def photo(number: int, label: int = 0) -> bytes:
    """A small image of one gray level: its number, and for dogs 128 more."""
    return encode(Image.new("RGB", (12, 9), (number + 128 * label,) * 3), quality=95)


def kaggle(cats: int = 8, dogs: int = 8, first: int = 0) -> dict[str, bytes]:
    """The files of Kaggle's train.zip, in the order in which it has them: by the alphabet."""
    files = {f"train/cat.{i}.jpg": photo(i, 0) for i in range(first, first + cats)}
    files |= {f"train/dog.{i}.jpg": photo(i, 1) for i in range(first, first + dogs)}
    return dict(sorted(files.items()))


def zip_of(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def folder_of(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def tiny(source: Path, **options: Any) -> Pets:
    return load_images(source, image_size=8, per_class=TINY, **options)


def names(split: Split) -> list[str]:
    return list(split.file_names)


def finished(folder: Path) -> list[str]:
    """What lies in a folder of the cache, apart from locks."""
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def microsoft() -> dict[str, bytes]:
    files = {f"PetImages/Cat/{i}.jpg": photo(i, 0) for i in range(12)}
    files |= {f"PetImages/Dog/{i}.jpg": photo(i, 1) for i in range(12)}
    files |= {"PetImages/Cat/Thumbs.db": b"\xd0\xcf", "PetImages/Dog/Thumbs.db": b"\xd0\xcf"}
    files |= {"PetImages/Cat/2.jpg": b"", "PetImages/Dog/4.jpg": b"GIF89a and no more"}
    return files | {"readme[1].txt": b"text", "MSR-LA - 3467.docx": b"PK"}


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> npt.NDArray[np.uint8]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
