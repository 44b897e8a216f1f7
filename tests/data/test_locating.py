"""Where images come from: a path, the environment, the network, drawings."""

import functools
import inspect
import pkgutil
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cvlab import drawing
from cvlab.cache import DatasetError, DownloadError, sha256_of
from cvlab.data import locating
from cvlab.data.loading import load_images
from cvlab.data.locating import locate
from cvlab.drawing import toypets
from tests.small_photos import (
    TINY,
    kaggle,
    microsoft,
    tiny,
    zip_of,
)

pytestmark = pytest.mark.usefixtures("cache")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_toypets() -> None:
    pets = load_images("toypets", image_size=64, per_class=TINY)
    assert pets.train.images.shape == (6, 64, 64, 3)
    assert pets.train.images.std() > 20  # drawings, not one gray level
    assert pets.source == "toypets"
    assert pets.rejected == ()
    other = load_images("toypets", image_size=64, per_class=TINY, seed=1)
    assert not np.array_equal(pets.train.images, other.train.images)
    again = load_images("toypets", image_size=64, per_class=TINY, seed=0)
    assert np.array_equal(pets.train.images, again.train.images)


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
    monkeypatch.setattr(locating, "MICROSOFT_BYTES", path.stat().st_size)
    monkeypatch.setattr(locating, "MICROSOFT_SHA256", sha256_of(path))
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/pets.zip"
        monkeypatch.setattr(locating, "MICROSOFT_URL", url)
        first = load_images("microsoft", image_size=8, per_class=TINY)
        server.shutdown()
        thread.join()
    assert (cache / "downloads" / "kagglecatsanddogs_5340.zip").read_bytes() == path.read_bytes()
    # The server is gone; both words find what is there.
    for source in ("microsoft", "photos"):
        again = load_images(source, image_size=8, per_class=TINY)
        assert again.folder == first.folder


def test_no_network_says_how_to_get_the_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating, "MICROSOFT_URL", "http://127.0.0.1:9/pets.zip")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for source in ("photos", "microsoft"):
        with pytest.raises(DownloadError) as caught:
            load_images(source, image_size=8)
        message = str(caught.value)
        assert "Is there a network" in message
        assert "kagglecatsanddogs_5340.zip" in message
        assert str(cache / "downloads") in message
        assert "CVLAB_PHOTOS" in message


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"There is no file or folder .*missing\.zip"):
        tiny(tmp_path / "missing.zip")


def test_drawings_have_a_smallest_size() -> None:
    with pytest.raises(DatasetError, match=r"image_size is 8.*at least 16"):
        load_images("toypets", image_size=8, per_class=TINY)
    with pytest.raises(ValueError, match=r"size is 8.*at least 16"):
        toypets.draw_many("cat", range(500), size=8)


@pytest.mark.parametrize("changed", [one.name for one in pkgutil.iter_modules(drawing.__path__)])
def test_images_are_drawn_anew_when_the_drawing_code_changes(
    cache: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    first = locate("toypets", image_size=32, per_class={"train": 1, "validation": 1, "test": 1})
    source = inspect.getsource
    monkeypatch.setattr(
        inspect, "getsource", lambda m: source(m) + "#" * (m.__name__.split(".")[-1] == changed)
    )
    second = locate("toypets", image_size=32, per_class={"train": 1, "validation": 1, "test": 1})
    assert first != second
