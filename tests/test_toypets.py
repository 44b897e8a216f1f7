"""The toy pets: same bytes, safe files, no giveaway."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvlab import toypets


def test_zoo_holds_no_pet() -> None:
    assert len(set(toypets.ZOO)) >= 10
    assert not set(toypets.ZOO) & set(toypets.CLASSES)


@pytest.mark.parametrize("species", [*toypets.CLASSES, *toypets.ZOO])
def test_draw_is_a_pure_function(species: str) -> None:
    once = toypets.draw(species, 3, size=32, seed=7)
    assert once.shape == (32, 32, 3) and once.dtype == np.uint8
    np.testing.assert_array_equal(once, toypets.draw(species, 3, size=32, seed=7))
    assert not np.array_equal(once, toypets.draw(species, 4, size=32, seed=7))
    assert not np.array_equal(once, toypets.draw(species, 3, size=32, seed=8))
    assert toypets.attributes(species, 3, seed=7) == toypets.attributes(species, 3, seed=7)


def test_draw_many_agrees_with_draw_in_any_number_of_workers() -> None:
    numbers = [5, 0, 9, 2, 2]
    one_by_one = np.stack([toypets.draw("dog", n, size=24, seed=1) for n in numbers])
    for workers in (1, 2):
        many = toypets.draw_many("dog", numbers, size=24, seed=1, workers=workers, progress=False)
        np.testing.assert_array_equal(many, one_by_one)
    assert toypets.draw_many("dog", [], size=24).shape == (0, 24, 24, 3)


def test_a_worker_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeError, match="drawing worker stopped after 0 of"):
        toypets.draw_many("cat", range(4), size=16, workers=2, progress=False)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="unknown species 'wolf'"):
        toypets.draw("wolf", 0)
    with pytest.raises(ValueError, match="negative"):
        toypets.attributes("cat", -1)
    with pytest.raises(ValueError, match="at least 16"):
        toypets.draw("cat", 0, size=8)
    with pytest.raises(ValueError, match="workers is 0"):
        toypets.draw_many("cat", [0], workers=0)


def test_write_pictures_lays_out_class_folders(tmp_path: Path) -> None:
    folder = toypets.write_pictures(tmp_path / "deep" / "pets", 3, size=32, seed=2, progress=False)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg"))
    assert names == [f"{s}/{s}.{n}.jpg" for s in ("cat", "dog") for n in (1, 2, 3)]
    with Image.open(folder / "dog" / "dog.2.jpg") as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (32, 32), "RGB")
        read = np.asarray(picture).astype(int)
    # JPEG loses detail, not the picture.
    assert np.abs(read - toypets.draw("dog", 2, size=32, seed=2)).mean() < 8
    assert [p.name for p in folder.parent.iterdir()] == ["pets"]


def test_write_pictures_again_does_nothing_and_never_mixes(tmp_path: Path) -> None:
    folder = toypets.write_pictures(tmp_path / "pets", 2, size=16, progress=False)
    stamp = (folder / "cat" / "cat.1.jpg").stat().st_mtime_ns
    assert toypets.write_pictures(folder, 2, size=16, progress=False) == folder
    assert (folder / "cat" / "cat.1.jpg").stat().st_mtime_ns == stamp
    with pytest.raises(FileExistsError, match="choose another folder"):
        toypets.write_pictures(folder, 3, size=16, progress=False)
    record = json.loads((folder / "toypets.json").read_text())
    assert record["version"] == toypets.VERSION


def test_write_pictures_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        toypets.write_pictures(tmp_path / "pets", 2, size=16, progress=False)
    assert list(tmp_path.iterdir()) == []
