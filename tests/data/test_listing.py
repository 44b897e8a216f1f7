"""Which images a source holds: every layout a reader may have, and sources that hold none."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvlab.cache import DatasetError
from cvlab.data.archives import ArchiveError
from cvlab.data.listing import find_images
from tests.small_photos import (
    EACH,
    finished,
    folder_of,
    kaggle,
    microsoft,
    names,
    photo,
    tiny,
    zip_of,
)

pytestmark = pytest.mark.usefixtures("cache")


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
    listing = find_images(zip_of(tmp_path / "kagglecatsanddogs_5340.zip", microsoft()))
    assert {name: len(images) for name, images in listing.images.items()} == {
        "cat": 12,
        "dog": 12,
    }
    assert "PetImages/Cat/Thumbs.db" in listing.others
    pets = tiny(listing.source)
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
    listing = find_images(folder_of(tmp_path / "photos", files))
    assert "dog/cat.100.jpg" in [one.name for one in listing.images["dog"]]


def test_what_is_no_image_is_left_alone(tmp_path: Path) -> None:
    junk = {"cat/.DS_Store": b"", "__MACOSX/train/._cat.1.jpg": b"", "cat/notes.txt": b"",
            "catalog.jpg": b"", "dogma/1.jpg": b"", ".hidden/cat.1.jpg": b""}  # fmt: skip
    listing = find_images(folder_of(tmp_path / "photos", kaggle() | junk))
    assert set(listing.others) == set(junk)


def test_same_file_name_twice_in_a_class(tmp_path: Path) -> None:
    files = {f"{part}/{k}/{i}.jpg": photo(3 * i + 50 * p, label)
             for p, part in enumerate(("a", "b")) for label, k in enumerate(("cat", "dog"))
             for i in range(3)}  # fmt: skip
    pets = tiny(folder_of(tmp_path / "photos", files))
    every = names(pets.train) + names(pets.validation) + names(pets.test)
    assert len(set(every)) == 2 * EACH
    assert sorted(pets.train.images[::2, 4, 4, 0].tolist()) == pytest.approx([0, 3, 50], abs=1)


def test_one_class_only(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "photos", kaggle(cats=7, dogs=0))
    with pytest.raises(DatasetError, match="has 7 images of cats and none of dogs"):
        tiny(source)


@pytest.mark.parametrize(
    ("files", "says"),
    [({}, "it is empty"), ({"a.txt": b"", "train.zip": b""}, "its 2 files: a.txt, train.zip")],
)
def test_no_class(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError, match=says):
        tiny(folder_of(tmp_path / "photos", files))


def test_only_a_download_of_the_course_is_named_for_deletion(tmp_path: Path, cache: Path) -> None:
    mine = tmp_path / "holiday.zip"
    mine.write_bytes(b"\x89PNG")
    with pytest.raises(ArchiveError, match=r"holiday\.zip is not a zip archive.*Pass a ") as caught:
        find_images(mine)
    assert "elete" not in str(caught.value)
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads/train.zip").write_bytes(b"<html>Sign in</html>")
    with pytest.raises(ArchiveError, match=r"is a web page.*Or delete train\.zip"):
        find_images(cache / "downloads/train.zip")


def test_truncated_zip(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "train.zip", kaggle())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArchiveError, match="cut short"):
        tiny(path)


@pytest.mark.parametrize(
    ("count", "shown"), [(5, "1.txt, 2.txt, 3.txt, 4.txt, 5.txt)"), (6, "4.txt, 5.txt, …)")]
)
def test_a_source_without_images_shows_its_first_five_files(
    tmp_path: Path, count: int, shown: str
) -> None:
    for number in range(1, count + 1):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(DatasetError) as caught:
        find_images(tmp_path)
    assert f"among its {count} files: 1.txt" in str(caught.value)
    assert shown in str(caught.value)
