"""Folders of the cache: whole or not there, whoever kills, fills or damages what."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cvlab.cache.errors import DatasetError, SpaceError
from cvlab.cache.folders import locked, made

Write = Callable[[Path], dict[str, Any] | None]


def writes(text: str, record: dict[str, Any] | None = None) -> Write:
    """Fill a folder with one file."""

    def write(folder: Path) -> dict[str, Any] | None:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)
        return record

    return write


def refuse(folder: Path) -> None:
    pytest.fail(f"{folder} was made again")


def make(folder: Path, write: Write, *, needed: int = 0, resumes: bool = False) -> dict[str, Any]:
    return made(folder, write, needed=needed, purpose="a test", resumes=resumes)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_what_was_made_is_only_looked_up(tmp_path: Path) -> None:
    thing = tmp_path / "new" / "thing"
    record = {"seed": 3, "names": ["a", "b"]}
    assert make(thing, writes("whole", record)) == record
    assert (thing / "sub/file").read_text() == "whole"
    assert make(thing, refuse) == record
    assert names(thing.parent) == ["thing"]


def test_without_a_record_it_is_empty(tmp_path: Path) -> None:
    assert make(tmp_path / "thing", writes("whole")) == {}
    assert make(tmp_path / "thing", refuse) == {}


def test_nothing_is_there_before_it_is_whole(tmp_path: Path) -> None:
    thing = tmp_path / "thing"

    def write(folder: Path) -> None:
        assert folder.parent == thing.parent  # the same disk: moving it is one step
        assert not thing.exists()

    make(thing, write)
    assert thing.is_dir()


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "thing", write)
    assert names(tmp_path) == []


def flipped(thing: Path) -> None:
    file = thing / "sub/file"
    with file.open("r+b") as stream:
        stream.write(bytes([file.read_bytes()[0] ^ 1]))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit": flipped,
    "the end": lambda thing: os.truncate(thing / "sub/file", 2),
    "a file": lambda thing: (thing / "sub/file").unlink(),
    "one file too many": lambda thing: (thing / "sub/other").touch(),
    "the seal": lambda thing: (thing / "seal.json").write_text("{}"),
    "no JSON": lambda thing: (thing / "seal.json").write_text("{"),
    "a word": lambda thing: (thing / "seal.json").write_text('"digest"'),
    "a list": lambda thing: (thing / "seal.json").write_text("[]"),
    "no seal": lambda thing: (thing / "seal.json").unlink(),
    "the record": lambda thing: (thing / "seal.json").write_text(
        (thing / "seal.json").read_text().replace('"seed": 3', '"seed": 4')
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_was_damaged_is_made_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    thing = tmp_path / "thing"
    make(thing, writes("whole", {"seed": 3}))
    damage(thing)
    assert make(thing, writes("again", {"seed": 5})) == {"seed": 5}
    assert (thing / "sub/file").read_text() == "again"
    assert names(tmp_path) == ["thing"]


def test_hidden_files_of_a_file_browser_do_not_matter(tmp_path: Path) -> None:
    make(tmp_path / "thing", writes("whole"))
    (tmp_path / "thing" / ".DS_Store").touch()
    make(tmp_path / "thing", refuse)


def test_links_to_a_cache_that_cannot_be_written_to(tmp_path: Path) -> None:
    make(tmp_path / "shared/thing", writes("whole", {"seed": 3}))
    shutil.copytree(tmp_path / "shared", tmp_path / "mine", copy_function=os.symlink)
    (tmp_path / "shared/.thing.lock").unlink()
    (tmp_path / "shared").chmod(0o555)
    assert make(tmp_path / "mine/thing", refuse) == {"seed": 3}
    assert make(tmp_path / "shared/thing", refuse) == {"seed": 3}
    assert not (tmp_path / "shared/.thing.lock").exists()


def test_a_copy_that_keeps_the_times_is_whole(tmp_path: Path) -> None:
    make(tmp_path / "one", writes("whole"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")  # times as they are, in nanoseconds
    make(tmp_path / "two", refuse)


def test_full_disk_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    with pytest.raises(SpaceError, match=r"about 270\.0 MB"):
        make(tmp_path / "thing", refuse, needed=270_000_000)
    assert names(tmp_path) == []


@pytest.mark.parametrize("resumes", [False, True])
def test_disk_that_fills_up_on_the_way(tmp_path: Path, resumes: bool) -> None:
    def write(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SpaceError, match="CVLAB_CACHE"):
        make(tmp_path / "thing", write, resumes=resumes)
    assert names(tmp_path) == []


def test_interrupted_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(folder: Path) -> None:
        (folder / "file").write_text("ha")
        raise KeyboardInterrupt

    def go_on(folder: Path) -> None:
        with (folder / "file").open("a") as stream:
            stream.write("lf")

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "thing", begin, resumes=True)
    # Two of three bytes are there: one more and the reserve are enough.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=16 * 2**20 + 1))
    make(tmp_path / "thing", go_on, needed=3, resumes=True)
    assert (tmp_path / "thing/file").read_text() == "half"
    assert names(tmp_path) == ["thing"]


def test_killed_process_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    thing = tmp_path / "thing"
    code = (
        "import sys, time; from pathlib import Path; from cvlab.cache.folders import made\n"
        "def write(folder):\n"
        "    (folder / 'file').write_text('half'); print('ready', flush=True); time.sleep(60)\n"
        "made(Path(sys.argv[1]), write, needed=0, purpose='a test')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(thing)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert not thing.exists()
    make(thing, writes("whole"))
    assert names(tmp_path) == ["thing"]
    assert names(thing) == ["seal.json", "sub"]


def test_lock_lets_one_in(tmp_path: Path) -> None:
    inside, most, times = 0, 0, 0

    def write(folder: Path) -> None:
        nonlocal inside, most, times
        times += 1
        (folder / "file").touch()

    def work() -> None:
        nonlocal inside, most
        make(tmp_path / "thing", write)
        with locked(tmp_path / "other"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert times == 1
    assert most == 1


def test_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="CVLAB_CACHE"), locked(tmp_path / "file" / "x"):
        pytest.fail("a lock inside a file")
