"""Where the cache lies, and what a disk without room says."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cvlab.cache.disk import cache_root, enough_space, readable_bytes
from cvlab.cache.errors import SpaceError


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CVLAB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == tmp_path / ".cache" / "cvlab"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "cvlab"
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    assert cache_root("~/other") == tmp_path / "other"


def test_full_disk_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    with (
        pytest.raises(SpaceError, match=r"about 270\.0 MB and 16\.8 MB to spare; 50\.0 MB are"),
        enough_space(tmp_path, 270_000_000, "a test"),
    ):
        pytest.fail("the work began on a full disk")


def test_exactly_enough_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000 + 16 * 2**20))
    with enough_space(tmp_path, 1000, "a test"):
        pass
    with pytest.raises(SpaceError), enough_space(tmp_path, 1001, "a test"):
        pytest.fail("one byte too many")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_that_fills_up_on_the_way(tmp_path: Path, code: int) -> None:
    with pytest.raises(SpaceError, match="CVLAB_CACHE"), enough_space(tmp_path, 1, "a test"):
        raise OSError(code, os.strerror(code))


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), enough_space(tmp_path, 0, "a test"):
        raise IsADirectoryError


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (39_913_633, "39.9 MB"),
     (824_887_076, "824.9 MB"), (3_000_000_000, "3.0 GB")],
)  # fmt: skip
def test_readable_bytes(count: int, text: str) -> None:
    assert readable_bytes(count) == text
