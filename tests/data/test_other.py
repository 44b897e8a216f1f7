"""Another source: found by the environment, balanced, decoded as the course does it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvlab.cache import DatasetError
from cvlab.data import decoding, load_other


def folder_of(path: Path, cats: int, dogs: int) -> Path:
    rng = np.random.default_rng(0)
    for name, count in (("cats", cats), ("dogs", dogs)):
        (path / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


def test_there_is_none_unless_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CVLAB_OTHER", raising=False)
    assert load_other(32) is None
    monkeypatch.setenv("CVLAB_OTHER", "")
    assert load_other(32) is None
    monkeypatch.setenv("CVLAB_OTHER", str(folder_of(tmp_path / "mine", 2, 2)))
    assert len(load_other(32) or ()) == 4


def test_it_has_as_many_cats_as_dogs(tmp_path: Path) -> None:
    found = load_other(32, source=folder_of(tmp_path / "mine", 5, 3))
    assert found is not None
    assert found.labels.tolist() == [0, 1] * 3
    assert found.file_names[:2] == ("cats/0.png", "dogs/0.png")
    expected = decoding.to_array((tmp_path / "mine/dogs/1.png").read_bytes(), 32)
    assert np.array_equal(found.images[3], expected)
    fewer = load_other(32, source=tmp_path / "mine", most=1)
    assert fewer is not None
    assert fewer.images.shape == (2, 32, 32, 3)


def test_what_is_wrong_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CVLAB_OTHER", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"There is nothing at .*nowhere.*OTHER="):
        load_other(32)
    with pytest.raises(DatasetError, match="none of dogs"):
        load_other(32, source=folder_of(tmp_path / "cats_only", 2, 0))
    mine = folder_of(tmp_path / "mine", 1, 1)
    (mine / "dogs/0.png").write_bytes(b"a letter")
    with pytest.raises(DatasetError, match=r"dogs/0\.png in .*not an image.*Take it out"):
        load_other(32, source=mine)
