"""The photos' second source, against a server on the loopback interface that answers as the hub."""

import hashlib
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cvlab.cache import DownloadError, downloads
from cvlab.data import hub, locating
from cvlab.data.loading import load_images
from tests.small_photos import TINY, microsoft, zip_of

pytestmark = pytest.mark.usefixtures("cache", "no_pauses")
# Of Microsoft's photos in the order of the hub, which is that of the alphabet: kind, number, bytes.
Row = tuple[int, str | None, bytes]
DAMAGED = ("Cat/2.jpg", "Dog/4.jpg")
PHOTOS = {name: data for name, data in sorted(microsoft().items()) if name.endswith(".jpg")}
ROWS: list[Row] = [
    (int("/Dog/" in name), name.rpartition("/")[2], data)
    for name, data in PHOTOS.items()
    if not name.endswith(DAMAGED)
]


def serve(server: "Hub", folder: Path, rows: Sequence[Row] = ROWS, label: str = "labels") -> None:
    """Have the server hold these photos in the hub's two files."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra hub)")
    from pyarrow import parquet  # noqa: PLC0415

    photo = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    half = len(rows) // 2
    for name, part in zip(hub.FILES, (rows[:half], rows[half:]), strict=True):
        images = pa.array([{"bytes": data, "path": path} for _, path, data in part], photo)
        labels = pa.array([kind for kind, _, _ in part], pa.int64())
        parquet.write_table(pa.table({"image": images, label: labels}), folder / name)
        server.files[name] = (folder / name).read_bytes()
        server.digests[name] = hashlib.sha256(server.files[name]).hexdigest()


class Hub(ThreadingHTTPServer):
    """Leads on from the address of a file to where it is stored, as the hub does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.digests: dict[str, str] = {}
        self.cut_after: int | None = None
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Say nothing about clients that hang up early."""


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server, name = self.server, self.path.rpartition("/")[2]
        server.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        if name not in server.files:
            self.send_error(404)
        elif self.path.startswith("/resolve/"):
            self.send_response(302)
            self.send_header("X-Linked-Size", str(len(server.files[name])))
            self.send_header("X-Linked-ETag", f'"{server.digests[name]}"')
            self.send_header("Location", f"/stored/{name}")
            self.end_headers()
        elif self.command == "HEAD":  # the address where a file is stored is good for GET alone
            self.send_error(403)
        else:
            self.send_stored(server.files[name])

    def send_stored(self, content: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut, self.server.cut_after = self.server.cut_after, None
        self.wfile.write(content[start:][:cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub is there, and Microsoft's address is not."""
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(hub, "FOLDER_URL", f"{running.url}/resolve")
        monkeypatch.setattr(locating, "MICROSOFT_URL", f"{running.url}/pets.zip")
        yield running
        running.shutdown()
        thread.join()


def tiny(source: str | Path) -> Any:
    return load_images(source, image_size=8, per_class=TINY)


def test_the_hub_stands_in_with_the_same_photos(server: Hub, tmp_path: Path, cache: Path) -> None:
    serve(server, tmp_path)
    pets = tiny("photos")
    assert pets.source == hub.ARCHIVE_NAME
    assert server.asked[0] == "GET /pets.zip", "Microsoft's is tried first"
    # The damaged photos are lacking in the hub's copy and passed over in Microsoft's.
    same = tiny(zip_of(tmp_path / "kagglecatsanddogs_5340.zip", microsoft()))
    for split in ("train", "validation", "test"):
        found, wanted = getattr(pets, split), getattr(same, split)
        assert found.file_names == wanted.file_names
        assert (found.images == wanted.images).all()
    left = sorted(path.name for path in (cache / "downloads").iterdir() if path.name[0] != ".")
    assert left == [hub.ARCHIVE_NAME], "the Parquet files have gone"
    server.asked.clear()
    assert tiny("photos").folder == tiny("hub").folder == pets.folder
    assert server.asked == []


def test_a_broken_connection_is_resumed(server: Hub, tmp_path: Path, cache: Path) -> None:
    serve(server, tmp_path)
    server.cut_after = 500
    locating.locate("hub", image_size=8)
    stored = f"GET /stored/{hub.FILES[0]}"
    assert server.asked[:5] == [
        f"HEAD /resolve/{hub.FILES[0]}",
        f"GET /resolve/{hub.FILES[0]}",
        stored,
        f"GET /resolve/{hub.FILES[0]} bytes=500-",
        f"{stored} bytes=500-",
    ]
    with zipfile.ZipFile(cache / "downloads" / hub.ARCHIVE_NAME) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: data for name, data in PHOTOS.items() if not name.endswith(DAMAGED)
        }


def test_what_has_another_digest_is_refused(server: Hub, tmp_path: Path, cache: Path) -> None:
    serve(server, tmp_path)
    server.digests[hub.FILES[1]] = "0" * 64
    with pytest.raises(DownloadError, match="SHA-256 digest"):
        locating.locate("hub", image_size=8)
    assert not (cache / "downloads" / hub.ARCHIVE_NAME).exists()


@pytest.mark.parametrize("path", [None, "photo.jpg", "0.jpg"])
def test_photos_without_names_of_their_own_are_numbered(
    server: Hub, tmp_path: Path, path: str | None
) -> None:
    serve(server, tmp_path, [(kind, path, data) for kind, _, data in ROWS])
    with zipfile.ZipFile(locating.locate("hub", image_size=8)) as archive:
        numbers = [name.rpartition("/")[2] for name in archive.namelist()]
        assert numbers == [f"{row}.jpg" for row in range(len(ROWS))]
        assert [archive.read(name) for name in archive.namelist()] == [row[2] for row in ROWS]


def test_another_layout_is_named(server: Hub, tmp_path: Path, cache: Path) -> None:
    for rows, label in (([(-1, "0.jpg", b"x"), *ROWS], "labels"), (ROWS, "kind")):
        serve(server, tmp_path, rows, label)
        with pytest.raises(DownloadError, match="no longer have the layout"):
            locating.locate("hub", image_size=8)
        left = [path.name for path in (cache / "downloads").iterdir() if path.name[0] != "."]
        assert left == []


@pytest.mark.parametrize("lacks", ["pyarrow", "files"])
def test_a_machine_that_gets_neither_is_told_both_and_the_way_by_hand(
    server: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    if lacks == "pyarrow":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra hub)")
    with pytest.raises(DownloadError) as caught:
        locating.locate("photos", image_size=8)
    message = str(caught.value)
    assert f"{server.url}/pets.zip answers 404" in message
    expected = "pip install pyarrow" if lacks == "pyarrow" else f"{hub.FILES[0]} answers 404"
    assert expected in message
    assert str(cache / "downloads") in message
    assert "CVLAB_PHOTOS" in message


def test_an_answer_that_does_not_name_the_file_is_refused(server: Hub) -> None:
    server.files, server.digests = {hub.FILES[0]: b"x"}, {hub.FILES[0]: "weak"}
    with pytest.raises(DownloadError, match="answers 403"):
        downloads.linked(f"{server.url}/resolve/{hub.FILES[0]}")
