"""Downloads, against a server on the loopback interface that misbehaves as told."""

import errno
import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from cvlab.cache import downloads as module
from cvlab.cache.downloads import download
from cvlab.cache.errors import DownloadError, SpaceError

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT and misbehaves as told; remembers the ranges that were asked for."""

    content = CONTENT
    ignores_ranges = False
    cut_after: int | None = None  # bytes of one answer, then the connection ends
    cuts = 1_000_000  # how many answers are cut
    status: int | None = None
    failures = 1_000_000  # how many answers carry `status`

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    def handle_error(self, *_: object) -> None:
        """Say nothing about clients that hang up early, which some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/pets.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if server.status and server.failures > 0:
            server.failures -= 1
            self.send_error(server.status)
            return
        start = 0
        if asked and not server.ignores_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after is not None and server.cuts > 0:
            server.cuts -= 1
            body = body[: server.cut_after]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server: Server, target: Path, retries: int = 3) -> Path:
    with mock.patch.multiple(module, _RETRIES=retries, _PAUSE=0.0):
        return download(server.url, target, size=len(CONTENT), sha256=DIGEST)


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def test_download_arrives_and_is_not_repeated(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "new" / "pets.zip"
    assert fetch(server, target) == target
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()
    fetch(server, target)
    assert server.ranges == [None]


def test_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pets.zip"
    part_of(target).write_bytes(CONTENT[:1234])
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1234-"]


def test_broken_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.cut_after = 300_000
    fetch(server, tmp_path / "pets.zip", retries=1)  # there is progress: no failure in a row
    assert (tmp_path / "pets.zip").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_server_that_ignores_ranges(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pets.zip"
    part_of(target).write_bytes(b"x" * 1234)
    server.ignores_ranges = True
    fetch(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1234, len(CONTENT), len(CONTENT) + 7])
def test_part_of_another_file_is_thrown_away(server: Server, tmp_path: Path, length: int) -> None:
    target = tmp_path / "pets.zip"
    part_of(target).write_bytes(b"x" * length)
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_wrong_digest(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    target = tmp_path / "pets.zip"
    with pytest.raises(DownloadError, match="SHA-256 digest") as caught:
        fetch(server, target)
    assert DIGEST in str(caught.value)
    assert hashlib.sha256(server.content).hexdigest() in str(caught.value)
    assert not target.exists()
    assert not part_of(target).exists()


def test_wrong_size_is_found_before_a_byte_is_read(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT + b"more"
    with pytest.raises(DownloadError, match="it has been replaced"):
        fetch(server, tmp_path / "pets.zip")
    assert len(server.ranges) == 1
    assert not (tmp_path / "pets.zip").exists()


def test_truncated_body_that_never_grows(server: Server, tmp_path: Path) -> None:
    server.cut_after = 0
    with pytest.raises(DownloadError, match="Is there a network"):
        fetch(server, tmp_path / "pets.zip", retries=2)
    assert len(server.ranges) == 3


def test_interrupted_download_keeps_what_it_has(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.cuts = 500_000, 1
    server.status, server.failures = None, 0
    target = tmp_path / "pets.zip"
    with pytest.raises(DownloadError, match=r"500\.0 kB are kept"):
        fetch(server, target, retries=0)
    assert part_of(target).read_bytes() == CONTENT[:500_000]
    fetch(server, target)
    assert server.ranges == [None, "bytes=500000-"]


def test_server_errors_are_tried_again(server: Server, tmp_path: Path) -> None:
    server.status, server.failures = 503, 2
    fetch(server, tmp_path / "pets.zip", retries=2)
    assert len(server.ranges) == 3


def test_missing_file_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match="answers 404"):
        fetch(server, tmp_path / "pets.zip")
    assert len(server.ranges) == 1


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/pets.zip"
        monkeypatch.setattr(module, "_PAUSE", 0.0)
        with pytest.raises(DownloadError, match="Is there a network") as caught:
            download(url, tmp_path / "pets.zip", size=10, sha256=DIGEST)
    assert url in str(caught.value)


def test_two_downloads_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "pets.zip"
    threads = [threading.Thread(target=fetch, args=(server, target)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_no_space_for_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(SpaceError, match=r"download of pets\.zip needs about 1\.0 MB"):
        fetch(server, tmp_path / "pets.zip")
    assert server.ranges == []


def test_disk_that_fills_up_keeps_the_part(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, part: Path, size: int) -> None:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module, "_fetch", full)
    with pytest.raises(SpaceError, match="is kept, and the next try goes on from there"):
        fetch(server, tmp_path / "pets.zip")
    assert (tmp_path / "pets.zip.part").read_bytes() == b"half"


def test_what_the_disk_refuses_is_not_blamed_on_the_network(server: Server, tmp_path: Path) -> None:
    (tmp_path / "pets.zip.part").mkdir()
    with pytest.raises(OSError, match=r"pets\.zip\.part"):
        fetch(server, tmp_path / "pets.zip")
