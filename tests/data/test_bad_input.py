"""Images and archives that are damaged, odd, or meant to do harm.

The long form is `tests/knocks/fuzz.py` (`make knocks`); some hundred cases of it run here. What is
written by name in `test_archives.py`, `test_splitting.py` and `test_decoding.py` is not repeated.
"""

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvlab.cache import DatasetError
from cvlab.data import decoding, splitting
from cvlab.data.archives import ArchiveError, open_archive
from cvlab.data.listing import find_images
from cvlab.data.splitting import make_subset
from tests.knocks.fuzz import MAX_MEMORY, Watch
from tests.small_photos import encode, zip_of

TINY = {"train": 2, "validation": 1, "test": 1}


@pytest.mark.knocks
def test_some_hundred_cases_in_a_process_of_their_own(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.knocks.fuzz", "--cases=300", "--seed=11", "--json"],
        cwd=tmp_path,
        env={**os.environ, "TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(result.stdout.splitlines()[-1])
    for kind, (used, refused, lost) in found["kinds"].items():
        assert lost == [], kind
        if kind in ("images", "archives"):
            assert used > 50
            assert refused > 50
    assert found["memory"] < MAX_MEMORY
    assert list(tmp_path.iterdir()) == []


def test_the_watch_sees_what_is_written_elsewhere(tmp_path: Path) -> None:
    watch = Watch()
    watch.inside = str(tmp_path / "cache")
    watch("open", (str(tmp_path / "cache/x"), "w", os.O_WRONLY | os.O_CREAT))
    watch("open", (str(tmp_path / "elsewhere"), "r", os.O_RDONLY))
    watch("os.mkdir", (str(tmp_path / "cache/new"), 0o777, -1))
    assert watch.seen == []
    watch("open", (str(tmp_path / "cache/../elsewhere"), "w", os.O_WRONLY | os.O_CREAT))
    watch("os.rename", (str(tmp_path / "cache/x"), str(tmp_path / "y"), -1, -1))
    watch("os.remove", (str(tmp_path / "photos.zip"), -1))
    watch("os.system", (b"true",))
    assert len(watch.seen) == 4


# --- What the fuzzing found ----------------------------------------------------------------------


def _photo(seed: int) -> bytes:
    rough = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return encode(Image.fromarray(rough).resize((24, 18)), "PNG")


def _archive(path: Path, method: int = zipfile.ZIP_STORED, spare: int = 1) -> Path:
    files = {
        f"train/{kind}.{number}.png": _photo(100 * label + number)
        for label, kind in enumerate(("cat", "dog"))
        for number in range(4 + spare)
    }
    return zip_of(path, files, method)


def test_member_without_a_name(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"x")
    with pytest.raises(ArchiveError, match="it has no name"):
        open_archive(path)


def test_member_before_the_start(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\x05\x06")
    # The table of contents claims to begin later than it does: all members move to the left.
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    data[end + 16 : end + 20] = (start + 5000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="before the start of the archive"):
        open_archive(path)


def test_member_whose_own_name_is_no_text_is_passed_over(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[6:8] = b"\x00\x08"  # the header in front of the member says that its name is UTF-8 ...
    data[30:32] = b"\xff\xfe"  # ... which this is not
    path.write_bytes(data)
    subset = make_subset(find_images(path), per_class=TINY, cache=tmp_path / "cache")
    assert [one.name for one in subset.rejected] == ["train/cat.0.png"]
    assert "damaged in its archive" in subset.rejected[0].reason


def test_member_of_a_future_version(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02") + 6
    data[at : at + 2] = b"\xff\x00"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="damaged"):
        open_archive(path)


def test_damaged_bzip2_in_an_archive_in_an_archive(tmp_path: Path) -> None:
    inner = _archive(tmp_path / "train.zip")
    outer = tmp_path / "dogs-vs-cats.zip"
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("train.zip", inner.read_bytes())
    data = bytearray(outer.read_bytes())
    data[200:300] = bytes(100)
    outer.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"train\.zip in .* is damaged"):
        find_images(outer, cache=tmp_path / "cache")


def test_large_files_are_read_again_when_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = find_images(_archive(tmp_path / "a.zip"))
    kept = make_subset(listing, per_class=TINY, cache=tmp_path / "kept")
    monkeypatch.setattr(splitting, "_FEW_BYTES", 10)
    again = make_subset(listing, per_class=TINY, cache=tmp_path / "again")
    assert again.splits == kept.splits
    for split, entries in again.splits.items():
        for entry in entries:
            copies = [one.folder / split / entry.file for one in (kept, again)]
            assert copies[0].read_bytes() == copies[1].read_bytes()


def test_files_that_change_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    with zipfile.ZipFile(_archive(tmp_path / "a.zip", spare=0)) as archive:
        archive.extractall(folder)
    monkeypatch.setattr(splitting, "_FEW_BYTES", 10)
    looked_at = splitting._checked

    def changed(*arguments: object) -> object:
        found = looked_at(*arguments)  # type: ignore[arg-type]
        (folder / found.image.name).write_bytes(_photo(999))
        return found

    monkeypatch.setattr(splitting, "_checked", changed)
    with pytest.raises(DatasetError, match=r"cat\.0\.png was changed while it was read"):
        make_subset(find_images(folder), per_class=TINY, cache=tmp_path / "cache")


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_LARGE_PIXELS", 100)
    inside, most = 0, 0
    first = threading.Event()

    def decode(number: int) -> None:
        nonlocal inside, most
        with decoding.open_rgb(_photo(number)):
            inside += 1
            most = max(most, inside)
            first.wait(0.02)
            inside -= 1

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    # An error inside gives the turn back.
    with pytest.raises(ZeroDivisionError), decoding.open_rgb(_photo(0)):
        _ = 1 / 0
    assert decoding._LARGE.acquire(timeout=1)
    decoding._LARGE.release()
