"""Which images are taken: bad ones named and replaced, no copy twice, the same each time."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvlab.cache import DatasetError
from cvlab.data import splitting
from cvlab.data.listing import find_images
from cvlab.data.splitting import make_subset
from tests.small_photos import (
    TINY,
    encode,
    finished,
    folder_of,
    kaggle,
    names,
    noise,
    photo,
    tiny,
    zip_of,
)

pytestmark = pytest.mark.usefixtures("cache")


def test_too_few_says_how_many_there_are(tmp_path: Path, cache: Path) -> None:
    files = kaggle(cats=6, dogs=9) | {"train/cat.3.jpg": b"", "train/dog.4.jpg": b"no picture"}
    source = zip_of(tmp_path / "train.zip", files)
    with pytest.raises(DatasetError) as caught:
        tiny(source)
    message = str(caught.value)
    assert "5 good images of cats (of 6 files)" in message
    assert "at least 6 good images of dogs (of 9 files)" in message
    assert "6 of each are needed (3 train + 2 validation + 1 test)" in message
    assert "train/cat.3.jpg: the file is empty" in message
    assert finished(cache / "subsets") == []


@pytest.mark.parametrize(("broken", "more"), [(20, False), (21, True)])
def test_too_few_names_the_first_twenty_rejected(tmp_path: Path, broken: int, more: bool) -> None:
    empty = {f"train/cat.{number}.jpg": b"" for number in range(100, 100 + broken)}
    source = zip_of(tmp_path / "train.zip", kaggle(cats=1, dogs=6) | empty)
    with pytest.raises(DatasetError) as caught:
        tiny(source)
    lines = str(caught.value).splitlines()
    assert f"{broken} rejected:" in lines
    assert sum("the file is empty" in line for line in lines) == 20
    assert (lines[-1] == "  …") == more


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
    listing = find_images(folder_of(tmp_path / "photos", kaggle()))
    with pytest.raises(DatasetError, match="per_class is"):
        make_subset(listing, per_class=per_class)


def bomb(size: int) -> bytes:
    return encode(Image.new("1", (size, size)), "PNG")


BAD_IMAGES = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, I am a text file", "not an image in a known format; .*hello"),
    "truncated JPEG": (encode(Image.fromarray(noise(90, 120)))[:2000], "cannot be decoded"),
    "truncated PNG": (encode(Image.fromarray(noise(90, 120)), "PNG")[:2000], "cannot be decoded"),
    "only a header": (photo(1)[:20], "not an image in a known format|cannot be decoded"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
    "bomb": (bomb(20_000), "more than 89,478,485 pixels"),
    "small bomb": (bomb(10_000), "10,000 × 10,000 pixels are more than"),
    "floating point": (
        encode(Image.fromarray(np.ones((5, 5), np.float32)), "TIFF"), "floating-point",
    ),
    "32 bits": (encode(Image.fromarray(np.full((5, 5), 70_000, np.int32)), "TIFF"), "32-bit"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_IMAGES)
def test_bad_image_is_named_and_replaced(tmp_path: Path, bad: str) -> None:
    data, reason = BAD_IMAGES[bad]
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
    monkeypatch.setattr(splitting, "MAX_MEMBER_BYTES", 10_000)
    (source / "train" / "cat.1.jpg").write_bytes(bytes(10_001))
    [rejected] = tiny(source).rejected
    assert rejected.reason == "10.0 kB are more than the 10.0 kB allowed"


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "photos", kaggle(7, 6))
    listing = find_images(source)
    (source / "train" / "cat.1.jpg").unlink()
    [rejected] = make_subset(listing, per_class=TINY).rejected
    assert str(rejected) == "train/cat.1.jpg: cannot be read: No such file or directory"


def test_copies_of_an_image(tmp_path: Path) -> None:
    """The later one is passed over, also where it is filed under the other class."""
    files = kaggle(8, 8) | {"train/cat.4.jpg": photo(1, 0), "train/dog.0.jpg": photo(2, 0)}
    pets = tiny(zip_of(tmp_path / "train.zip", files))
    assert [str(one) for one in pets.rejected] == [
        "train/cat.4.jpg: the same bytes as train/cat.1.jpg",
        "train/dog.0.jpg: the same bytes as train/cat.2.jpg",
    ]


@settings(max_examples=25)
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
    """Whatever the order on disk, the kind of source, and which images are broken."""
    base = tmp_path_factory.mktemp("subset")
    files = {}
    for i in order:
        files[f"cat.{i}.jpg"] = b"broken" if i in broken else photo(i, 0)
        files[f"dog.{i}.jpg"] = b"broken" if i + 9 in broken else photo(i, 1)
    source = folder_of(base / "p", files) if as_folder else zip_of(base / "p.zip", files)
    tidy = zip_of(base / "tidy.zip", dict(sorted(files.items())))
    subset, again = (
        make_subset(find_images(one), per_class=TINY, seed=seed, cache=base / cache)
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
    listing = find_images(zip_of(tmp_path / "train.zip", kaggle(30, 30)))
    chosen = {
        tuple(e.source for e in make_subset(listing, per_class=TINY, seed=s).splits["train"])
        for s in (None, 0, 1, 2)
    }
    assert len(chosen) == 4


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


@pytest.mark.parametrize("damage", ["remove", "shorten", "seal", "no seal"])
def test_damaged_subset_is_made_again(tmp_path: Path, damage: str) -> None:
    listing = find_images(zip_of(tmp_path / "train.zip", kaggle()))
    subset = make_subset(listing, per_class=TINY)
    image, seal = subset.folder / "train/cat/cat.1.jpg", subset.folder / "seal.json"
    match damage:
        case "remove":
            image.unlink()
        case "shorten":
            image.write_bytes(b"x")
        case "seal":
            seal.write_text(seal.read_text()[:100])
        case "no seal":
            seal.unlink()
    assert make_subset(listing, per_class=TINY) == subset
    assert image.read_bytes() == photo(1, 0)
