"""The app in a real browser: a photo, a text file, a file that is too large; nothing leaves.

Needs the extra `app` and Chromium with its driver; skipped without. `CVLAB_SCREENSHOTS` names a
folder for what the browser shows, and has the embedded model trained for it.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvlab.data import load_pets
from cvlab.evaluation import predict
from cvlab.profiles import get
from tests.publish.test_app import tiny
from tests.system.test_browser import DESK, PHONE, Browser

pytestmark = [
    pytest.mark.knocks,
    pytest.mark.skipif(find_spec("gradio") is None, reason="Gradio is not installed: extra app"),
]
# `python -m cvlab app`, with a note of each address that Python connects to or looks up.
WATCHED = """
import sys
notes = open(sys.argv[1], "a", buffering=1)
def note(event, arguments):
    if event == "socket.connect":
        notes.write(f"{arguments[1]}\\n")
    elif event == "socket.getaddrinfo":
        notes.write(f"{arguments[:2]}\\n")
sys.addaudithook(note)
from cvlab.publish.command import main
sys.exit(main(["app", *sys.argv[2:]]))
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Served:
    """The app in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.port, self.notes, self.log = free_port(), folder / "notes.txt", folder / "log.txt"
        model = []
        if not os.environ.get("CVLAB_SCREENSHOTS"):
            tiny().save(folder / "pets.keras")
            model = ["--model", str(folder / "pets.keras")]
        command = [sys.executable, "-c", WATCHED, str(self.notes), "--port", str(self.port), *model]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.address = f"http://127.0.0.1:{self.port}/"
        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(self.address, timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.5)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("app"))
    yield found
    found.process.terminate()
    found.process.wait(30)


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if not driver or not binary:
        pytest.skip("no Chromium with chromedriver on this machine")
    found = Browser(driver, binary, but="127.0.0.1")
    found.open(served.address, DESK)
    wait(found, "!!document.querySelector('#photo button')")
    yield found
    found.close()


def wait(page: Browser, condition: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not page.run(condition):
        shown = page.run("document.body.innerText")
        assert time.monotonic() < deadline, f"{condition}: never, but {shown}"
        time.sleep(0.2)


def text(selector: str) -> str:
    return f"(document.querySelector('{selector}')?.innerText ?? '')"


def drop(page: Browser, file: Path) -> None:
    """Drop a file on the empty box."""
    page.run("document.querySelector('#photo button[aria-label=Clear]')?.click()")
    empty = "!!document.querySelector('#photo button[aria-dropeffect]')"
    wait(page, f"{empty} && !{text('#message')}.trim()")
    page.drop(file, "#photo button[aria-dropeffect]")


def keep(page: Browser, name: str) -> None:
    if wanted := os.environ.get("CVLAB_SCREENSHOTS"):
        Path(wanted).mkdir(parents=True, exist_ok=True)
        time.sleep(1)  # what fades in
        page.screenshot(Path(wanted) / f"app-{name}.png")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = load_pets(get("quick"), image_size=64).test.images[10]
    file = tmp_path / "drawing.jpg"
    Image.fromarray(np.asarray(image)).resize((640, 480)).save(file, quality=95)
    return file


def test_a_photo_gets_class_confidence_and_heatmap(page: Browser, photo: Path) -> None:
    drop(page, photo)
    wait(page, f"/^(cat|dog)\\s+Confidence: [0-9]+[.][0-9] %$/.test({text('#message')}.trim())")
    picture = "document.querySelector('#heatmap img')"
    wait(page, f"{picture}?.naturalWidth == 512 && {picture}.naturalHeight == 384")
    keep(page, "photo")


def test_a_text_file_gets_a_message(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk, bread, cat food")
    drop(page, tmp_path / "notes.txt")
    wait(page, f"{text('#message')}.includes('notes.txt cannot be used: not an image in a known')")
    assert page.run("document.querySelector('#heatmap img')") is None
    assert page.run(f"{text('#message')}.includes('Use a JPEG, PNG or WebP photo of at most 20')")
    keep(page, "text-file")


def test_a_file_that_is_too_large_gets_a_message(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "huge.jpg").write_bytes(bytes(predict.MAX_BYTES + 1))
    drop(page, tmp_path / "huge.jpg")
    wait(page, "/exceed the maximum allowed size of 20/.test(document.body.innerText)")
    keep(page, "large-file")


def test_it_fits_a_phone_and_offers_no_upload_elsewhere(
    page: Browser, served: Served, photo: Path
) -> None:
    page.open(served.address, PHONE)
    wait(page, "!!document.querySelector('#photo button')")
    drop(page, photo)
    wait(page, "!!document.querySelector('#heatmap img')")
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert (
        page.run("document.querySelectorAll('[aria-label*=share i], [title*=share i]').length") == 0
    )
    keep(page, "phone")


def test_no_other_host_was_asked_for_anything(page: Browser, served: Served, photo: Path) -> None:
    page.open(served.address, DESK)
    wait(page, "!!document.querySelector('#photo button')")
    drop(page, photo)
    wait(page, "!!document.querySelector('#heatmap img')")
    asked = [url for url in page.requests() if not url.startswith(("data:", "blob:"))]
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith(served.address)] == []
    noted = set(served.notes.read_text().splitlines())
    assert {line for line in noted if "127.0.0.1" not in line and "localhost" not in line} == set()


def test_it_listens_on_loopback_only(served: Served) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; the system only picks an address
        except OSError:
            pytest.skip("this machine has no other address")
        own = probe.getsockname()[0]
    with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
        caller.connect((own, served.port))


def test_a_port_in_use_is_named(served: Served, tmp_path: Path) -> None:
    tiny().save(tmp_path / "pets.keras")
    model, port = str(tmp_path / "pets.keras"), str(served.port)
    command = [sys.executable, "-m", "cvlab", "app", "--model", model, "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert f"Port {port} is in use: name another one with --port" in done.stderr
