"""From every source that a reader may have to arrays; bad input by name and reason."""

import errno
import functools
import hashlib
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw

from cvlab import datasets, pictures, sketch, storage, toypets
from cvlab.archives import ArchiveError
from cvlab.catalogue import find_pictures
from cvlab.datasets import decode, load_pets, locate, make_subset
from cvlab.storage import DatasetError, DownloadError, SpaceError

TINY = {"train": 3, "validation": 2, "test": 1}
EACH = 6  # pictures of each class that TINY takes


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CVLAB_PHOTOS", raising=False)
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encode(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def photo(number: int, label: int = 0) -> bytes:
    """A small picture of one gray level: its number, and for dogs 128 more."""
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


def tiny(source: Path, **options: Any) -> datasets.Pets:
    return load_pets(source, image_size=8, per_class=TINY, **options)


def names(split: datasets.Split) -> list[str]:
    return list(split.file_names)


def finished(folder: Path) -> list[str]:
    """What lies in a folder of the cache, apart from locks."""
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


# --- Sources -----------------------------------------------------------------------------------


def microsoft() -> dict[str, bytes]:
    files = {f"PetImages/Cat/{i}.jpg": photo(i, 0) for i in range(12)}
    files |= {f"PetImages/Dog/{i}.jpg": photo(i, 1) for i in range(12)}
    files |= {"PetImages/Cat/Thumbs.db": b"\xd0\xcf", "PetImages/Dog/Thumbs.db": b"\xd0\xcf"}
    files |= {"PetImages/Cat/2.jpg": b"", "PetImages/Dog/4.jpg": b"GIF89a and no more"}
    return files | {"readme[1].txt": b"text", "MSR-LA - 3467.docx": b"PK"}


def test_kaggle_train_zip(tmp_path: Path) -> None:
    pets = tiny(zip_of(tmp_path / "train.zip", kaggle(cats=12, dogs=12)))
    # By number, not by the alphabet, where 10 comes before 2; a cat, a dog, a cat, a dog.
    assert names(pets.train) == [f"{k}/{k}.{i}.jpg" for i in (0, 1, 2) for k in ("cat", "dog")]
    assert names(pets.validation) == [f"{k}/{k}.{i}.jpg" for i in (3, 4) for k in ("cat", "dog")]
    assert names(pets.test) == ["cat/cat.5.jpg", "dog/dog.5.jpg"]
    assert pets.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert pets.train.class_names == ("cat", "dog")
    assert pets.train.images.shape == (6, 8, 8, 3)
    for split in (pets.train, pets.validation, pets.test):
        assert split.images.dtype == split.labels.dtype == np.uint8
        assert isinstance(split.images, np.memmap)
        numbers = [int(name.split(".")[1]) for name in split.file_names]
        expected = np.array(numbers) + 128 * split.labels.astype(int)
        assert np.abs(split.images.astype(int) - expected[:, None, None, None]).max() <= 1
    assert pets.rejected == ()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_kaggle_archive_in_an_archive(tmp_path: Path, method: int) -> None:
    train = zip_of(tmp_path / "inner.zip", kaggle())
    test1 = zip_of(tmp_path / "test1.zip", {f"test1/{i}.jpg": photo(i) for i in range(1, 9)})
    outer = zip_of(
        tmp_path / "dogs-vs-cats.zip",
        {
            "test1.zip": test1.read_bytes(),
            "train.zip": train.read_bytes(),
            "sampleSubmission.csv": b"id,label\n",
        },
        method,
    )
    nested, plain = tiny(outer), tiny(train)
    assert (nested.source, plain.source) == ("dogs-vs-cats.zip", "inner.zip")
    assert names(nested.train) == names(plain.train)
    assert nested.folder == plain.folder  # the same content is kept once


def test_damaged_archive_in_an_archive(tmp_path: Path, cache: Path) -> None:
    train = zip_of(tmp_path / "inner.zip", kaggle()).read_bytes()
    outer = zip_of(tmp_path / "dogs-vs-cats.zip", {"train.zip": train})
    data = bytearray(outer.read_bytes())
    data[500] ^= 255
    outer.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"train\.zip in .*dogs-vs-cats\.zip is damaged"):
        tiny(outer)
    assert finished(cache / "archives") == []


def test_hostile_archive_in_an_archive(tmp_path: Path) -> None:
    train = zip_of(tmp_path / "inner.zip", kaggle() | {"../x.jpg": b""}).read_bytes()
    outer = zip_of(tmp_path / "dogs-vs-cats.zip", {"train.zip": train})
    with pytest.raises(ArchiveError, match=r"train\.zip in .*dogs-vs-cats\.zip is refused"):
        tiny(outer)


def test_microsoft_layout_names_its_broken_files(tmp_path: Path) -> None:
    catalogue = find_pictures(zip_of(tmp_path / "kagglecatsanddogs_5340.zip", microsoft()))
    assert {name: len(pictures) for name, pictures in catalogue.pictures.items()} == {
        "cat": 12,
        "dog": 12,
    }
    assert "PetImages/Cat/Thumbs.db" in catalogue.others
    pets = tiny(catalogue.source)
    assert names(pets.train)[::2] == ["cat/0.jpg", "cat/1.jpg", "cat/3.jpg"]
    assert names(pets.validation)[1::2] == ["dog/3.jpg", "dog/5.jpg"]
    assert [one.name for one in pets.rejected] == ["PetImages/Cat/2.jpg", "PetImages/Dog/4.jpg"]
    assert pets.rejected[0].reason == "the file is empty (0 bytes)"
    assert "PetImages/Cat/2.jpg: the file is empty" in str(pets)


@pytest.mark.parametrize(
    "rename",
    [
        lambda k, i: f"{k}/{i}.jpg",
        lambda k, i: f"{k.title()}s/{i}.JPG",
        lambda k, i: f"deep/down/{k.upper()}/pic{i}.jpeg",
        lambda k, i: f"{k}.{i}.jpg",
        lambda k, i: f"train/{k}.{i}.jpg",
        lambda k, i: f"{k.title()}_{i}.jpg",
        lambda k, i: f"{'train' if i % 2 else 'test'}/{k}s/{i}.jpg",
    ],
)
def test_folder_layouts(tmp_path: Path, rename: Callable[[str, int], str]) -> None:
    files = {rename(k, i): photo(i, label) for label, k in enumerate(("cat", "dog"))
             for i in range(EACH)}  # fmt: skip
    pets = tiny(folder_of(tmp_path / "cat" / "photos", files))
    levels = [split.images[:, 4, 4, 0].tolist() for split in (pets.train, pets.validation)]
    expected = [[0, 128, 1, 129, 2, 130], [3, 131, 4, 132]]
    assert np.abs(np.array(levels[0]) - expected[0]).max() <= 1
    assert np.abs(np.array(levels[1]) - expected[1]).max() <= 1


def test_folder_of_class_wins_over_file_name(tmp_path: Path) -> None:
    files = kaggle() | {"dog/cat.100.jpg": photo(100, 0)}
    catalogue = find_pictures(folder_of(tmp_path / "photos", files))
    assert "dog/cat.100.jpg" in [one.name for one in catalogue.pictures["dog"]]


def test_what_is_no_picture_is_left_alone(tmp_path: Path) -> None:
    junk = {"cat/.DS_Store": b"", "__MACOSX/train/._cat.1.jpg": b"", "cat/notes.txt": b"",
            "catalog.jpg": b"", "dogma/1.jpg": b"", ".hidden/cat.1.jpg": b""}  # fmt: skip
    catalogue = find_pictures(folder_of(tmp_path / "photos", kaggle() | junk))
    assert set(catalogue.others) == set(junk)


def test_same_file_name_twice_in_a_class(tmp_path: Path) -> None:
    files = {f"{part}/{k}/{i}.jpg": photo(3 * i + 50 * p, label)
             for p, part in enumerate(("a", "b")) for label, k in enumerate(("cat", "dog"))
             for i in range(3)}  # fmt: skip
    pets = tiny(folder_of(tmp_path / "photos", files))
    every = names(pets.train) + names(pets.validation) + names(pets.test)
    assert len(set(every)) == 2 * EACH
    assert sorted(pets.train.images[::2, 4, 4, 0].tolist()) == pytest.approx([0, 3, 50], abs=1)


def test_toypets() -> None:
    pets = load_pets("toypets", image_size=64, per_class=TINY)
    assert pets.train.images.shape == (6, 64, 64, 3)
    assert pets.train.images.std() > 20  # drawings, not one gray level
    assert pets.source == "toypets"
    assert pets.rejected == ()
    other = load_pets("toypets", image_size=64, per_class=TINY, seed=1)
    assert not np.array_equal(pets.train.images, other.train.images)
    again = load_pets("toypets", image_size=64, per_class=TINY, seed=0)
    assert np.array_equal(pets.train.images, again.train.images)


# --- locate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [None, "photos"])
def test_photos_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None
) -> None:
    path = zip_of(tmp_path / "train.zip", kaggle())
    monkeypatch.setenv("CVLAB_PHOTOS", str(path))
    assert locate(source, image_size=8) == path
    monkeypatch.setenv("CVLAB_PHOTOS", str(tmp_path / "nowhere.zip"))
    with pytest.raises(DatasetError, match=r"CVLAB_PHOTOS names .*nowhere\.zip"):
        locate(source, image_size=8)


def test_photos_put_into_the_cache_by_hand(cache: Path) -> None:
    (cache / "downloads").mkdir(parents=True)
    path = zip_of(cache / "downloads" / "dogs-vs-cats.zip", kaggle())
    assert locate("photos", image_size=8) == path


def test_microsoft_is_downloaded_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_of(tmp_path / "pets.zip", microsoft())
    monkeypatch.setattr(datasets, "MICROSOFT_BYTES", path.stat().st_size)
    monkeypatch.setattr(datasets, "MICROSOFT_SHA256", storage.sha256_of(path))
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/pets.zip"
        monkeypatch.setattr(datasets, "MICROSOFT_URL", url)
        first = load_pets("microsoft", image_size=8, per_class=TINY)
        server.shutdown()
        thread.join()
    assert (cache / "downloads" / "kagglecatsanddogs_5340.zip").read_bytes() == path.read_bytes()
    # The server is gone; both words find what is there.
    for source in ("microsoft", "photos"):
        again = load_pets(source, image_size=8, per_class=TINY)
        assert again.folder == first.folder


def test_no_network_says_how_to_get_the_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MICROSOFT_URL", "http://127.0.0.1:9/pets.zip")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for source in ("photos", "microsoft"):
        with pytest.raises(DownloadError) as caught:
            load_pets(source, image_size=8)
        message = str(caught.value)
        assert "Is there a network" in message
        assert "kagglecatsanddogs_5340.zip" in message
        assert str(cache / "downloads") in message
        assert "CVLAB_PHOTOS" in message


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"There is no file or folder .*missing\.zip"):
        tiny(tmp_path / "missing.zip")


# --- Bad sources -------------------------------------------------------------------------------


def test_one_class_only(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "photos", kaggle(cats=7, dogs=0))
    with pytest.raises(DatasetError, match="has 7 pictures of cats and none of dogs"):
        tiny(source)


@pytest.mark.parametrize(
    ("files", "says"),
    [({}, "it is empty"), ({"a.txt": b"", "train.zip": b""}, "its 2 files: a.txt, train.zip")],
)
def test_no_class(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError, match=says):
        tiny(folder_of(tmp_path / "photos", files))


def test_truncated_zip(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "train.zip", kaggle())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArchiveError, match="cut short"):
        tiny(path)


def test_too_few_says_how_many_there_are(tmp_path: Path, cache: Path) -> None:
    files = kaggle(cats=6, dogs=9) | {"train/cat.3.jpg": b"", "train/dog.4.jpg": b"no picture"}
    source = zip_of(tmp_path / "train.zip", files)
    with pytest.raises(DatasetError) as caught:
        tiny(source)
    message = str(caught.value)
    assert "5 good pictures of cats (of 6 files)" in message
    assert "at least 6 good pictures of dogs (of 9 files)" in message
    assert "6 of each are needed (3 train + 2 validation + 1 test)" in message
    assert "train/cat.3.jpg: the file is empty" in message
    assert finished(cache / "subsets") == []


def test_source_is_never_changed(tmp_path: Path) -> None:
    files = kaggle() | {"train/cat.3.jpg": b""}
    source = folder_of(tmp_path / "photos", files)
    tiny(source)
    after = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file()
    }
    assert after == files


@pytest.mark.parametrize(
    "per_class",
    [{}, {"train": 1, "validation": 1}, TINY | {"more": 1}, TINY | {"test": 0},
     TINY | {"train": 1.5}],
)  # fmt: skip
def test_bad_per_class(tmp_path: Path, per_class: dict[str, int]) -> None:
    catalogue = find_pictures(folder_of(tmp_path / "photos", kaggle()))
    with pytest.raises(DatasetError, match="per_class is"):
        make_subset(catalogue, per_class=per_class)


@pytest.mark.parametrize("image_size", [0, -1, 4097, 1.5])
def test_bad_image_size(tmp_path: Path, image_size: int) -> None:
    subset = make_subset(find_pictures(folder_of(tmp_path / "p", kaggle())), per_class=TINY)
    with pytest.raises(DatasetError, match="image_size is"):
        decode(subset, image_size)


# --- Bad pictures ------------------------------------------------------------------------------


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> npt.NDArray[np.uint8]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def bomb(size: int) -> bytes:
    return encode(Image.new("1", (size, size)), "PNG")


BAD_PICTURES = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, I am a text file", "no picture in a known format; .*hello"),
    "truncated JPEG": (encode(Image.fromarray(noise(90, 120)))[:2000], "cannot be decoded"),
    "truncated PNG": (encode(Image.fromarray(noise(90, 120)), "PNG")[:2000], "cannot be decoded"),
    "only a header": (photo(1)[:20], "no picture in a known format|cannot be decoded"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
    "bomb": (bomb(20_000), "more than 89,478,485 pixels"),
    "small bomb": (bomb(10_000), "10,000 × 10,000 pixels are more than"),
    "floating point": (
        encode(Image.fromarray(np.ones((5, 5), np.float32)), "TIFF"), "floating-point",
    ),
    "32 bits": (encode(Image.fromarray(np.full((5, 5), 70_000, np.int32)), "TIFF"), "32-bit"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_PICTURES)
def test_bad_picture_is_named_and_replaced(tmp_path: Path, bad: str) -> None:
    data, reason = BAD_PICTURES[bad]
    source = zip_of(tmp_path / "train.zip", kaggle(7, 6) | {"train/cat.1.jpg": data})
    pets = tiny(source)
    assert names(pets.train)[::2] == ["cat/cat.0.jpg", "cat/cat.2.jpg", "cat/cat.3.jpg"]
    [rejected] = pets.rejected
    assert rejected.name == "train/cat.1.jpg"
    assert re.search(reason, rejected.reason)


def test_damaged_member_of_an_archive(tmp_path: Path) -> None:
    files = kaggle(7, 6)
    source = zip_of(tmp_path / "train.zip", files)
    data = bytearray(source.read_bytes())
    data[data.index(files["train/cat.1.jpg"]) + 300] ^= 255
    source.write_bytes(data)
    [rejected] = tiny(source).rejected
    assert rejected.name == "train/cat.1.jpg"
    assert "damaged in its archive: Bad CRC-32" in rejected.reason


def test_enormous_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path / "photos", kaggle(7, 6))
    monkeypatch.setattr(datasets, "MAX_MEMBER_BYTES", 10_000)
    (source / "train" / "cat.1.jpg").write_bytes(bytes(10_001))
    [rejected] = tiny(source).rejected
    assert rejected.reason == "10.0 kB are more than the 10.0 kB allowed"


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "photos", kaggle(7, 6))
    catalogue = find_pictures(source)
    (source / "train" / "cat.1.jpg").unlink()
    [rejected] = make_subset(catalogue, per_class=TINY).rejected
    assert str(rejected) == "train/cat.1.jpg: cannot be read: No such file or directory"


def test_copies_of_a_picture(tmp_path: Path) -> None:
    """The later one is passed over, also where it is filed under the other class."""
    files = kaggle(8, 8) | {"train/cat.4.jpg": photo(1, 0), "train/dog.0.jpg": photo(2, 0)}
    pets = tiny(zip_of(tmp_path / "train.zip", files))
    assert [str(one) for one in pets.rejected] == [
        "train/cat.4.jpg: the same bytes as train/cat.1.jpg",
        "train/dog.0.jpg: the same bytes as train/cat.2.jpg",
    ]


# --- Subset ------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.permutations(range(9)),
    st.sets(st.integers(0, 17), max_size=3),
    st.none() | st.integers(0, 3),
    st.booleans(),
)
def test_subset_is_deterministic_disjoint_and_complete(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[int],
    broken: set[int],
    seed: int | None,
    as_folder: bool,
) -> None:
    """Whatever the order on disk, the kind of source, and which pictures are broken."""
    base = tmp_path_factory.mktemp("subset")
    files = {}
    for i in order:
        files[f"cat.{i}.jpg"] = b"broken" if i in broken else photo(i, 0)
        files[f"dog.{i}.jpg"] = b"broken" if i + 9 in broken else photo(i, 1)
    source = folder_of(base / "p", files) if as_folder else zip_of(base / "p.zip", files)
    tidy = zip_of(base / "tidy.zip", dict(sorted(files.items())))
    subset, again = (
        make_subset(find_pictures(one), per_class=TINY, seed=seed, cache=base / cache)
        for one, cache in ((source, "one"), (tidy, "two"))
    )
    assert subset.splits == again.splits
    assert subset.rejected == again.rejected
    every = [entry for entries in subset.splits.values() for entry in entries]
    assert len({entry.source for entry in every}) == len({entry.sha256 for entry in every}) == 12
    for split, count in TINY.items():
        assert [entry.label for entry in subset.splits[split]] == [0, 1] * count
        folder = subset.folder / split
        on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
        assert on_disk == {entry.file for entry in subset.splits[split]}
    for entry in every:
        assert hashlib.sha256(files[entry.source]).hexdigest() == entry.sha256
        assert entry.source[:3] == ("cat", "dog")[entry.label]
    bad = {f"{'cat' if i < 9 else 'dog'}.{i % 9}.jpg" for i in broken}
    assert {one.name for one in subset.rejected} <= bad
    assert not {entry.source for entry in every} & bad
    if seed is None:  # the first good ones, by number
        good = [i for i in range(9) if i not in broken]
        chosen = [e.source for s in TINY for e in subset.splits[s] if e.label == 0]
        assert chosen == [f"cat.{i}.jpg" for i in good[:6]]


def test_seeds_differ(tmp_path: Path) -> None:
    catalogue = find_pictures(zip_of(tmp_path / "train.zip", kaggle(30, 30)))
    chosen = {
        tuple(e.source for e in make_subset(catalogue, per_class=TINY, seed=s).splits["train"])
        for s in (None, 0, 1, 2)
    }
    assert len(chosen) == 4


def modification_times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_second_call_makes_nothing(tmp_path: Path, cache: Path) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    first = tiny(source)
    before = modification_times(first.folder) | modification_times(cache / "arrays")
    second = tiny(source)
    assert modification_times(first.folder) | modification_times(cache / "arrays") == before
    assert np.array_equal(first.train.images, second.train.images)
    assert str(first) == str(second)


def test_cache_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    tiny(source)

    def no_lock(_: Path) -> None:
        raise AssertionError("a lock needs a cache that can be written to")

    monkeypatch.setattr(storage, "locked", no_lock)
    tiny(source)


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_changed_source_is_noticed(tmp_path: Path, kind: str) -> None:
    """Also where name, size and time of the changed file stay the same."""
    files = kaggle()
    changed = files | {"train/cat.1.jpg": encode(Image.new("RGB", (12, 9), (90,) * 3), quality=95)}
    assert len(changed["train/cat.1.jpg"]) == len(files["train/cat.1.jpg"])

    def make(files: Mapping[str, bytes]) -> Path:
        return zip_of(tmp_path / "p", files) if kind == "zip" else folder_of(tmp_path / "p", files)

    source = make(files)
    assert tiny(source).train.images[2, 4, 4, 0] == pytest.approx(1, abs=1)
    file = source if kind == "zip" else source / "train" / "cat.1.jpg"
    times = file.stat()
    make(changed)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert tiny(source).train.images[2, 4, 4, 0] == pytest.approx(90, abs=1)


@pytest.mark.parametrize("damage", ["remove", "shorten", "manifest", "no manifest"])
def test_damaged_subset_is_made_again(tmp_path: Path, damage: str) -> None:
    catalogue = find_pictures(zip_of(tmp_path / "train.zip", kaggle()))
    subset = make_subset(catalogue, per_class=TINY)
    picture, manifest = subset.folder / "train/cat/cat.1.jpg", subset.folder / "manifest.json"
    match damage:
        case "remove":
            picture.unlink()
        case "shorten":
            picture.write_bytes(b"x")
        case "manifest":
            manifest.write_text(manifest.read_text()[:100])
        case "no manifest":
            manifest.unlink()
    assert make_subset(catalogue, per_class=TINY) == subset
    assert picture.read_bytes() == photo(1, 0)


def test_picture_that_another_pillow_cannot_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subset = make_subset(find_pictures(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)

    def refuse(data: bytes, image_size: int) -> None:
        raise pictures.BadPictureError("cannot be decoded: broken file")

    monkeypatch.setattr(pictures, "to_array", refuse)
    with pytest.raises(DatasetError, match=r"cat\.\d\.jpg cannot be decoded.*Delete the folder"):
        decode(subset, 8)


def test_drawn_pictures_have_a_smallest_size() -> None:
    with pytest.raises(DatasetError, match=r"image_size is 8.*at least 16"):
        load_pets("toypets", image_size=8, per_class=TINY)
    with pytest.raises(ValueError, match=r"size is 8.*at least 16"):
        toypets.draw_many("cat", range(500), size=8)


def test_exchanged_picture_in_the_subset_is_not_decoded(tmp_path: Path) -> None:
    subset = make_subset(find_pictures(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)
    picture = subset.folder / "train/cat/cat.1.jpg"
    data = bytearray(picture.read_bytes())
    data[-10] ^= 1
    picture.write_bytes(data)
    with pytest.raises(DatasetError, match=r"cat\.1\.jpg is no longer the picture"):
        decode(subset, 8)


@pytest.mark.parametrize("damage", ["remove", "shorten"])
def test_damaged_arrays_are_made_again(tmp_path: Path, cache: Path, damage: str) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    expected = np.array(tiny(source).train.images)
    [array] = (cache / "arrays").rglob("train.npy")
    match damage:
        case "remove":
            array.unlink()
        case "shorten":
            array.write_bytes(array.read_bytes()[:-1])
    assert np.array_equal(tiny(source).train.images, expected)


def test_sizes_have_their_own_arrays(tmp_path: Path, cache: Path) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    for size in (8, 5, 8):
        pets = load_pets(source, image_size=size, per_class=TINY)
        assert pets.train.images.shape == (6, size, size, 3)
    assert len(finished(cache / "arrays")) == 2


@pytest.mark.parametrize("changed", [sketch, toypets])
def test_pictures_are_drawn_anew_when_the_drawing_code_changes(
    cache: Path, monkeypatch: pytest.MonkeyPatch, changed: ModuleType
) -> None:
    first = locate("toypets", image_size=32, per_class={"train": 1, "validation": 1, "test": 1})
    source = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda m: source(m) + "#" * (m is changed))
    second = locate("toypets", image_size=32, per_class={"train": 1, "validation": 1, "test": 1})
    assert first != second


# --- Killed, crowded, full ---------------------------------------------------------------------

RUN = """
import hashlib, sys
from cvlab.datasets import load_pets
pets = load_pets(sys.argv[1], image_size=64, per_class={"train": 100, "validation": 50, "test": 50})
print(hashlib.sha256(pets.train.images.tobytes() + pets.test.images.tobytes()).hexdigest())
"""

KILLED = """
import os, signal, sys
from cvlab import datasets, pictures
calls, after = 0, int(sys.argv[3])
module, step = sys.argv[2].split(".")
module = {"datasets": datasets, "pictures": pictures}[module]
work = getattr(module, step)
def counted(*arguments):
    global calls
    calls += 1
    if calls == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*arguments)
setattr(module, step, counted)
counts = {"train": 100, "validation": 50, "test": 50}
datasets.load_pets(sys.argv[1], image_size=64, per_class=counts)
"""


def many(path: Path) -> Path:
    """400 different pictures."""
    files = {
        f"{name}.{i}.jpg": encode(Image.fromarray(noise(20, 30, seed=2 * i + label)))
        for label, name in enumerate(("cat", "dog"))
        for i in range(200)
    }
    return zip_of(path, files)


@pytest.mark.parametrize(
    ("step", "after", "left"),
    [("datasets._checked", 250, []), ("pictures.to_array", 250, ["subsets"])],
)
def test_killed_run(tmp_path: Path, cache: Path, step: str, after: int, left: list[str]) -> None:
    source = many(tmp_path / "p.zip")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), step, str(after)], check=False
    )
    assert done.returncode == -9
    whole = [
        kind
        for kind in ("subsets", "arrays")
        if any(not name.endswith(".unfinished") for name in finished(cache / kind))
    ]
    assert whole == left
    assert any(
        name.endswith(".unfinished")
        for kind in ("subsets", "arrays")
        for name in finished(cache / kind)
    )
    pets = load_pets(source, image_size=64, per_class={"train": 100, "validation": 50, "test": 50})
    assert len(pets.train) == 200
    for kind in ("subsets", "arrays"):
        [name] = finished(cache / kind)  # and the leavings are swept away
        assert not name.endswith(".unfinished")


def test_two_processes_at_once(tmp_path: Path, cache: Path) -> None:
    source = many(tmp_path / "p.zip")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(source)],
            env={**os.environ, "TQDM_DISABLE": "1"},  # on a slow machine there would be bars
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].strip()) == 64
    assert len(finished(cache / "subsets")) == len(finished(cache / "arrays")) == 1


@pytest.mark.parametrize(
    ("module", "step", "kind"),
    [(datasets, "_checked", "subsets"), (pictures, "to_array", "arrays")],
)
def test_disk_fills_up(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    step: str,
    kind: str,
) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    work, calls = getattr(module, step), []

    def full(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return work(*arguments)

    monkeypatch.setattr(module, step, full)
    with pytest.raises(SpaceError, match="Nothing half-written was left behind"):
        tiny(source)
    assert finished(cache / kind) == []
    monkeypatch.setattr(module, step, work)
    tiny(source)


@pytest.mark.parametrize(
    ("source", "purpose"),
    [
        ("photos.zip", "the subset of 12 pictures needs about"),
        ("nested.zip", "the copy of train.zip out of nested.zip needs about"),
        ("toypets", "drawing 12 pictures needs about"),
    ],
)
def test_full_disk_is_seen_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, purpose: str
) -> None:
    train = zip_of(tmp_path / "photos.zip", kaggle())
    zip_of(tmp_path / "nested.zip", {"train.zip": train.read_bytes()})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SpaceError, match=purpose):
        load_pets(source, image_size=16, per_class=TINY)


def test_full_disk_is_seen_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subset = make_subset(find_pictures(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(
        SpaceError, match="decoding 12 pictures at 150 × 150 pixels needs about 810"
    ):
        decode(subset, 150)


# --- Decoding ----------------------------------------------------------------------------------


def decoded(tmp_path: Path, data: bytes, suffix: str = ".jpg", size: int = 0) -> npt.NDArray[Any]:
    """Put a picture through the whole path and return it as an array of signed numbers."""
    files = {f"cat.{i}.jpg": photo(i, 0) for i in (2, 3)}
    files |= {f"dog.{i}.jpg": photo(i, 1) for i in (1, 2, 3)}
    source = zip_of(tmp_path / "one.zip", files | {f"cat.1{suffix}": data})
    counts = {"train": 1, "validation": 1, "test": 1}
    pets = load_pets(source, image_size=size or 16, per_class=counts)
    assert pets.rejected == ()
    assert pets.train.file_names[0] == f"cat/cat.1{suffix}"
    return np.array(pets.train.images[0]).astype(int)


def corners(color: tuple[int, int, int] = (255, 0, 0)) -> Image.Image:
    """A gray square with its upper left quarter colored."""
    picture = Image.new("RGB", (16, 16), (128, 128, 128))
    ImageDraw.Draw(picture).rectangle((0, 0, 7, 7), fill=color)
    return picture


# Where the upper left quarter of what is stored belongs (EXIF 2.32, tag 274), as (row, column).
ORIENTATIONS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1),
                8: (1, 0)}  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decoded(tmp_path, encode(corners(), exif=exif, quality=95, subsampling=0))
    row, column = ORIENTATIONS[orientation]
    quarters = image.reshape(2, 8, 2, 8, 3).mean(axis=(1, 3))
    redness = quarters[..., 0] - quarters[..., 1]
    assert np.unravel_index(redness.argmax(), (2, 2)) == (row, column)
    assert redness.max() > 240
    assert np.sort(redness.ravel())[-2] < 10


def test_exif_turns_the_long_side(tmp_path: Path) -> None:
    """A stripe along the long side of a lying picture stands upright after a quarter turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((20, 60), np.uint8)
    stored[:10] = 255  # the upper half, which a quarter turn clockwise brings to the right
    image = decoded(tmp_path, encode(Image.fromarray(stored), exif=exif, quality=95))
    assert image[:, 9:].min() > 240
    assert image[:, :7].max() < 15


def test_broken_exif_does_no_harm(tmp_path: Path) -> None:
    data = encode(corners(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03", quality=95)
    assert decoded(tmp_path, data)[0, 0, 0] > 240


def ink_to_rgb(cmyk: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The textbook's R = (1 - C)(1 - K), for inks from 0 to 255."""
    ink = cmyk.astype(float) / 255
    return np.round(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(int)


INKS = np.array([[0, 255, 255, 0], [255, 0, 0, 0], [0, 0, 0, 255], [40, 80, 20, 30]], np.uint8)


def without_adobe_marker(data: bytes) -> bytes:
    """Cut the APP14 segment out of a JPEG file."""
    start = data.index(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    assert data[start + 4 : start + 9] == b"Adobe"
    return data[:start] + data[start + 2 + length :]


@pytest.mark.parametrize("number", range(4))
def test_cmyk(tmp_path: Path, number: int) -> None:
    """Adobe's files hold inverted ink (and Pillow writes such), files without its marker ink."""
    flat = np.broadcast_to(INKS[number], (16, 16, 4))
    adobe = encode(Image.fromarray(np.ascontiguousarray(flat), "CMYK"), quality=100)
    inverted = encode(Image.fromarray(255 - flat, "CMYK"), quality=100)
    expected = ink_to_rgb(INKS[number])
    assert np.abs(decoded(tmp_path, adobe) - expected).max() <= 3
    assert np.abs(decoded(tmp_path, without_adobe_marker(inverted)) - expected).max() <= 3


def test_cmyk_with_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    ink = corners().convert("CMYK")
    adobe = encode(ink, exif=exif, quality=100)
    plain = without_adobe_marker(encode(ImageChops.invert(ink), exif=exif, quality=100))
    for data in (adobe, plain):
        image = decoded(tmp_path, data)
        assert image[15, 15].tolist() == pytest.approx([255, 0, 0], abs=4)
        assert image[0, 0].tolist() == pytest.approx([128, 128, 128], abs=4)


def test_gray(tmp_path: Path) -> None:
    gray = noise(16, 16, 1)
    image = decoded(tmp_path, encode(Image.fromarray(gray), "PNG"), ".png")
    assert np.array_equal(image, np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("GIF", ".gif")])
def test_palette(tmp_path: Path, kind: str, suffix: str) -> None:
    index, palette = noise(16, 16, 1, seed=1), noise(256, 3, 1, seed=2)
    picture = Image.fromarray(index, "P")
    picture.putpalette(palette.tobytes())
    assert np.array_equal(decoded(tmp_path, encode(picture, kind), suffix), palette[index])


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("GIF", ".gif")])
def test_transparent_color_of_a_palette(tmp_path: Path, kind: str, suffix: str) -> None:
    index, palette = noise(16, 16, 1, seed=1) % 4, noise(256, 3, 1, seed=2)
    picture = Image.fromarray(index, "P")
    picture.putpalette(palette.tobytes())
    palette[3] = 255  # the background
    data = encode(picture, kind, transparency=3)
    assert np.array_equal(decoded(tmp_path, data, suffix), palette[index])


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_on_white(tmp_path: Path, channels: int) -> None:
    pixels = noise(16, 16, channels)
    data = encode(Image.fromarray(pixels, "LA" if channels == 2 else "RGBA"), "PNG")
    color, alpha = pixels[..., :-1].astype(float), pixels[..., -1:] / 255
    expected = color * alpha + 255 * (1 - alpha)
    assert np.abs(decoded(tmp_path, data, ".png") - expected).max() <= 1


def test_16_bits(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (16, 16), dtype=np.uint16)
    expected = np.round(levels / 65535 * 255).astype(int)
    for kind, suffix in (("PNG", ".png"), ("TIFF", ".tif")):
        image = decoded(tmp_path, encode(Image.fromarray(levels), kind), suffix)
        assert np.array_equal(image, np.repeat(expected[..., None], 3, axis=2))


def test_black_and_white(tmp_path: Path) -> None:
    bits = noise(16, 16, 1) > 127
    image = decoded(tmp_path, encode(Image.fromarray(bits), "PNG"), ".png")
    assert np.array_equal(image, np.repeat(255 * bits[..., None].astype(int), 3, axis=2))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from([50, 90]))
def test_decoding_equals_pillow_by_hand(height: int, width: int, size: int, quality: int) -> None:
    data = encode(Image.fromarray(noise(height, width, seed=height)), quality=quality)
    by_hand = Image.open(io.BytesIO(data)).resize((size, size), Image.Resampling.BILINEAR)
    assert np.array_equal(pictures.to_array(data, size), np.asarray(by_hand))


def triangle_weights(old: int, new: int) -> npt.NDArray[np.float64]:
    """Weights (new, old) of antialiased linear interpolation: a triangle as wide as two pixels."""
    scale = old / new
    centers = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centers[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_resizing_by_hand(tmp_path: Path) -> None:
    """Squeezed to a square, every old pixel counted: the formula in NumPy."""
    pixels = noise(40, 64)
    rows, columns = triangle_weights(40, 16), triangle_weights(64, 16)
    expected = np.einsum("ih,jw,hwc->ijc", rows, columns, pixels)
    image = decoded(tmp_path, encode(Image.fromarray(pixels), "PNG"), ".png")
    assert np.abs(image - expected).max() <= 1.5  # rounded after each of two passes


# --- Showing -----------------------------------------------------------------------------------


def test_tables(tmp_path: Path) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle(9, 8) | {"train/cat.0.jpg": b""})
    catalogue = find_pictures(source)
    assert str(catalogue) == "train.zip: pictures 9 of cats, 8 of dogs; other files 0"
    pets = tiny(source)
    assert str(pets).splitlines() == [
        "cats and dogs from train.zip, 8 × 8 pixels",
        "                cats    dogs    both",
        "train              3       3       6",
        "validation         2       2       4",
        "test               1       1       2",
        "1 rejected:",
        "  train/cat.0.jpg: the file is empty (0 bytes)",
    ]
    assert (
        str(make_subset(catalogue, per_class=TINY)).splitlines()[1:] == (str(pets).splitlines()[1:])
    )
    assert repr(pets.train) == "Split(3 cats, 3 dogs, images (6, 8, 8, 3) uint8)"
    assert len(pets.train) == 6


def test_manifest_says_what_was_done(tmp_path: Path) -> None:
    subset = make_subset(find_pictures(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)
    manifest = json.loads((subset.folder / "manifest.json").read_text())
    assert manifest["seed"] is None
    assert manifest["splits"]["test"][1] == {
        "file": "dog/dog.5.jpg", "label": 1, "source": "train/dog.5.jpg",
        "size": len(photo(5, 1)), "sha256": hashlib.sha256(photo(5, 1)).hexdigest(),
    }  # fmt: skip


def test_keras_is_not_imported() -> None:
    code = "import sys, cvlab.datasets; print({'keras', 'tensorflow'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# --- Real photos -------------------------------------------------------------------------------


def test_real_photos(real_photos: Path) -> None:
    pets = load_pets(real_photos, image_size=150)
    assert [len(split) for split in (pets.train, pets.validation, pets.test)] == [2000, 1000, 1000]
    for split in (pets.train, pets.validation, pets.test):
        assert split.labels.mean() == 0.5
    assert names(pets.train) == [f"{k}/{k}.{i}.jpg" for i in range(1, 1001) for k in ("cat", "dog")]
    assert names(pets.test)[-1] == "dog/dog.5000.jpg"
    assert pets.rejected == ()
    for index in (0, 1, 999, 1999):
        file = pets.folder / "train" / pets.train.file_names[index]
        by_hand = Image.open(file).resize((150, 150), Image.Resampling.BILINEAR)
        assert np.array_equal(pets.train.images[index], np.asarray(by_hand))
