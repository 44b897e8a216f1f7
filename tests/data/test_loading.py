"""From a source to arrays: the whole path, kept, damaged, killed, crowded and full."""

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvlab import profiles
from cvlab.cache import DatasetError, SpaceError, folders
from cvlab.data import decoding, splitting
from cvlab.data.listing import find_images
from cvlab.data.loading import decode, load_images, load_pets
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


@pytest.mark.parametrize("image_size", [0, -1, 4097, 1.5])
def test_bad_image_size(tmp_path: Path, image_size: int) -> None:
    subset = make_subset(find_images(folder_of(tmp_path / "p", kaggle())), per_class=TINY)
    with pytest.raises(DatasetError, match="image_size is"):
        decode(subset, image_size)


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


@pytest.mark.parametrize("source", ["toypets", "folder", "zip"])
def test_second_call_opens_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    if source == "folder":
        source = str(folder_of(tmp_path / "photos", kaggle()))
    elif source == "zip":
        source = str(zip_of(tmp_path / "photos.zip", kaggle()))
    opened: list[str] = []
    really = io.open

    def noted(file: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(str(file))
        return really(file, *arguments, **options)

    monkeypatch.setattr(io, "open", noted)
    for fresh in (True, False):
        opened.clear()
        load_images(source, image_size=16, per_class=TINY)
        assert any(name.endswith(".jpg") for name in opened) == fresh


def test_links_to_the_cache_of_a_class_are_enough(tmp_path: Path, cache: Path) -> None:
    """`cp -as` makes folders of one's own and links to the files of the others."""
    here = load_images("toypets", image_size=16, per_class=TINY)
    shutil.copytree(cache, tmp_path / "mine", copy_function=os.symlink)
    mine = load_images("toypets", image_size=16, per_class=TINY, cache=tmp_path / "mine")
    assert np.array_equal(mine.train.images, here.train.images)
    own = [file for file in (tmp_path / "mine").rglob("*") if file.is_file()]
    assert own and all(file.is_symlink() for file in own)


def test_profiles_name_source_size_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVLAB_PHOTOS", str(zip_of(tmp_path / "train.zip", kaggle(12, 12))))
    profile = dataclasses.replace(
        profiles.get("lecture"),
        image_size=8,
        train_per_class=3,
        validation_per_class=2,
        test_per_class=1,
    )
    pets = load_pets(profile)
    assert str(pets) == str(load_images("photos", image_size=8, per_class=TINY))
    assert pets.train.images.shape == (6, 8, 8, 3)
    assert load_pets(profile, image_size=5).train.images.shape == (6, 5, 5, 3)
    assert names(load_pets(profile, seed=1).train) != names(pets.train)


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [
        ("quick", r"pass the profile itself, profiles\.get\('quick'\)"),
        ("photos.zip", r"call load_images\(path"),
        (Path("photos"), r"call load_images\(path"),
        (None, r"call load_images\(path"),
    ],
)
def test_what_is_no_profile_is_told_what_to_pass(wrong: Any, instead: str) -> None:
    with pytest.raises(DatasetError, match=instead):
        load_pets(wrong)


def test_cache_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    tiny(source)

    def no_lock(_: Path) -> None:
        raise AssertionError("a lock needs a cache that can be written to")

    monkeypatch.setattr(folders, "locked", no_lock)
    tiny(source)


def test_image_that_another_pillow_cannot_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subset = make_subset(find_images(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)

    def refuse(data: bytes, image_size: int) -> None:
        raise decoding.BadImageError("cannot be decoded: broken file")

    monkeypatch.setattr(decoding, "to_array", refuse)
    with pytest.raises(DatasetError, match=r"cat\.\d\.jpg cannot be decoded.*Delete the folder"):
        decode(subset, 8)


def test_exchanged_image_in_the_subset_is_not_decoded(tmp_path: Path) -> None:
    subset = make_subset(find_images(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)
    image = subset.folder / "train/cat/cat.1.jpg"
    data = bytearray(image.read_bytes())
    data[-10] ^= 1
    image.write_bytes(data)
    with pytest.raises(DatasetError, match=r"cat\.1\.jpg is no longer the image"):
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
        pets = load_images(source, image_size=size, per_class=TINY)
        assert pets.train.images.shape == (6, size, size, 3)
    assert len(finished(cache / "arrays")) == 2


def test_another_pillow_chooses_and_decodes_anew(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle())
    tiny(source)
    monkeypatch.setattr("PIL.__version__", "another")
    tiny(source)
    assert len(finished(cache / "subsets")) == len(finished(cache / "arrays")) == 2


RUN = """
import hashlib, sys
from cvlab.data import load_images
counts = {"train": 100, "validation": 50, "test": 50}
pets = load_images(sys.argv[1], image_size=64, per_class=counts)
print(hashlib.sha256(pets.train.images.tobytes() + pets.test.images.tobytes()).hexdigest())
"""


KILLED = """
import os, signal, sys
from cvlab.data import decoding, load_images, splitting
calls, after = 0, int(sys.argv[3])
module, step = sys.argv[2].split(".")
module = {"decoding": decoding, "splitting": splitting}[module]
work = getattr(module, step)
def counted(*arguments):
    global calls
    calls += 1
    if calls == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*arguments)
setattr(module, step, counted)
counts = {"train": 100, "validation": 50, "test": 50}
load_images(sys.argv[1], image_size=64, per_class=counts)
"""


def many(path: Path) -> Path:
    """400 different images."""
    files = {
        f"{name}.{i}.jpg": encode(Image.fromarray(noise(20, 30, seed=2 * i + label)))
        for label, name in enumerate(("cat", "dog"))
        for i in range(200)
    }
    return zip_of(path, files)


@pytest.mark.parametrize(
    ("step", "after", "left"),
    [("splitting._checked", 250, []), ("decoding.to_array", 250, ["subsets"])],
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
    pets = load_images(
        source, image_size=64, per_class={"train": 100, "validation": 50, "test": 50}
    )
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
    [(splitting, "_checked", "subsets"), (decoding, "to_array", "arrays")],
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
        ("photos.zip", "the subset of 12 images needs about"),
        ("nested.zip", "the copy of train.zip out of nested.zip needs about"),
        ("toypets", "drawing 12 images needs about"),
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
        load_images(source, image_size=16, per_class=TINY)


def test_full_disk_is_seen_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subset = make_subset(find_images(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SpaceError, match="decoding 12 images at 150 × 150 pixels needs about 810"):
        decode(subset, 150)


def test_tables(tmp_path: Path) -> None:
    source = zip_of(tmp_path / "train.zip", kaggle(9, 8) | {"train/cat.0.jpg": b""})
    listing = find_images(source)
    assert str(listing) == "train.zip: 9 images of cats, 8 images of dogs, 0 other files"
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
        str(make_subset(listing, per_class=TINY)).splitlines()[1:] == (str(pets).splitlines()[1:])
    )
    assert repr(pets.train) == "Split(3 cats, 3 dogs, images (6, 8, 8, 3) uint8)"
    assert len(pets.train) == 6


def test_seal_says_what_was_done(tmp_path: Path) -> None:
    subset = make_subset(find_images(zip_of(tmp_path / "p.zip", kaggle())), per_class=TINY)
    record = json.loads((subset.folder / "seal.json").read_text())["record"]
    assert record["seed"] is None
    assert record["splits"]["test"][1] == {
        "file": "dog/dog.5.jpg", "label": 1, "source": "train/dog.5.jpg",
        "size": len(photo(5, 1)), "sha256": hashlib.sha256(photo(5, 1)).hexdigest(),
    }  # fmt: skip


def test_keras_is_not_imported() -> None:
    code = "import sys, cvlab.data.loading; print({'keras', 'tensorflow'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_real_photos(real_photos: Path) -> None:
    pets = load_images(real_photos, image_size=224)  # as test_photo_features: decoded once
    assert [len(split) for split in (pets.train, pets.validation, pets.test)] == [2000, 1000, 1000]
    for split in (pets.train, pets.validation, pets.test):
        assert split.labels.mean() == 0.5
    assert names(pets.train) == [f"{k}/{k}.{i}.jpg" for i in range(1, 1001) for k in ("cat", "dog")]
    assert names(pets.test)[-1] == "dog/dog.5000.jpg"
    assert pets.rejected == ()
    for index in (0, 1, 999, 1999):
        file = pets.folder / "train" / pets.train.file_names[index]
        by_hand = Image.open(file).resize((224, 224), Image.Resampling.BILINEAR)
        assert np.array_equal(pets.train.images[index], np.asarray(by_hand))
