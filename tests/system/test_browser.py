"""The pages in a real browser: without network, light and dark, on a phone, by keyboard.

Needs Chromium and its driver (Debian: `apt install chromium chromium-driver`); skipped without.
"""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from cvlab.course import statements
from cvlab.course.findings import Finding
from cvlab.course.statements import HOLDS
from cvlab.publish import pages, report, results
from cvlab.publish.outcomes import Record
from cvlab.publish.student import student_copy

LECTURES = Path(__file__).parents[2] / "lectures"
pytestmark = pytest.mark.knocks
PHONE, DESK = (375, 812), (1280, 800)


class Browser:
    """A headless Chromium, driven by the WebDriver protocol, that can reach nothing but files.

    With `but` it can reach that host too, and `requests` tells what its pages asked for.
    """

    def __init__(self, driver: str, binary: str, but: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.process = subprocess.Popen(
            [driver, f"--port={self.address.rpartition(':')[2]}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        flags.append(f"--host-resolver-rules=MAP * ~NOTFOUND{but and f' , EXCLUDE {but}'}")
        wanted = {
            "goog:chromeOptions": {"args": flags, "binary": binary},
            "goog:loggingPrefs": {"performance": "ALL" if but else "OFF"},
        }
        deadline = time.monotonic() + 60
        while True:
            try:
                self.call("GET", "/status")
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, "the driver did not start"
                time.sleep(0.2)
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]

    def cdp(self, command: str, **parameters: Any) -> Any:
        body = {"cmd": command, "params": parameters}
        return self.call("POST", f"{self.session}/goog/cdp/execute", body)

    def open(self, file: Path | str, size: tuple[int, int], scheme: str = "light") -> None:
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.cdp("Emulation.setEmulatedMedia", features=[feature])
        # A headless window may lack the focus, and a key pressed then goes nowhere.
        self.cdp("Emulation.setFocusEmulationEnabled", enabled=True)
        url = file.as_uri() if isinstance(file, Path) else file
        self.call("POST", f"{self.session}/url", {"url": url})
        # Loaded is not yet drawn: until its first frames a page may miss what is pressed.
        drawn = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        self.call("POST", f"{self.session}/execute/async", {"script": drawn, "args": []})

    def run(self, script: str) -> Any:
        body = {"script": f"return {script}", "args": []}
        return self.call("POST", f"{self.session}/execute/sync", body)

    def press(self, key: str) -> None:
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]}
        self.call("POST", f"{self.session}/actions", body)

    def screenshot(self, target: Path) -> None:
        picture = self.call("GET", f"{self.session}/screenshot")
        target.write_bytes(base64.b64decode(picture))

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call."""
        entries = self.call("POST", f"{self.session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            one["params"]["request"]["url"]
            for one in messages
            if one["method"] == "Network.requestWillBeSent"
        ]

    def drop(self, file: Path, selector: str) -> None:
        """Drop a file from outside the browser on an element."""
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.cdp("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def close(self) -> None:
        try:
            self.call("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if not driver or not binary:
        pytest.skip("no Chromium with chromedriver on this machine")
    found = Browser(driver, binary)
    yield found
    found.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a made-up run of the committed notebooks, their pages, slides, a student's."""
    folder = tmp_path_factory.mktemp("site")
    notebooks = sorted(LECTURES.glob("[0-9]*.ipynb"))
    titles = {path.stem: pages.title_of(nbformat.read(path, as_version=4)) for path in notebooks}
    records = {name: Record(name, "quick", 12.3, "passed") for name in titles}
    for path in notebooks:
        shutil.copy(path, folder)
    findings = {
        name: Finding(name, HOLDS, 0.8, 0.75, 0.85)
        for name, claim in statements.CLAIMS.items()
        if claim.percent
    }
    run = results.Run(folder, "quick", records, findings, {"Cores": "2"})
    (folder / "index.html").write_text(report.report(run, titles), encoding="utf-8")
    for path in notebooks:
        html = pages.notebook_page(nbformat.read(path, as_version=4))
        (folder / f"{path.stem}.html").write_text(html, encoding="utf-8")
    report.make_slides(folder / "slides", notebooks[1:2])
    copy = student_copy(nbformat.read(notebooks[2], as_version=4))
    (folder / "student.html").write_text(pages.notebook_page(copy), encoding="utf-8")
    return folder


PAGES = ["index", *sorted(path.stem for path in LECTURES.glob("[0-9]*.ipynb")), "student"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_fits_a_phone(browser: Browser, site: Path, name: str) -> None:
    browser.open(site / f"{name}.html", PHONE)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth || !i.alt).length"
    assert browser.run(broken) == 0
    fetched = "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:'))"
    assert browser.run(f"{fetched}.map(e => e.name)") == []
    # A formula that the browser does not lay out has no size.
    flat = "[...document.querySelectorAll('math')].filter(m => !m.getBoundingClientRect().width)"
    assert browser.run(f"{flat}.filter(m => !m.closest('details')).length") == 0
    assert browser.run("document.documentElement.lang") == "en"
    headings = "[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])"
    levels = browser.run(headings)
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "02_building_blocks"])
def test_text_is_legible_on_light_and_on_dark(
    browser: Browser, site: Path, name: str, scheme: str
) -> None:
    browser.open(site / f"{name}.html", DESK, scheme)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) > 0.5) == (scheme == "light")
    colors = browser.run(
        """[...new Set([...document.querySelectorAll('main *, nav *')].filter(e =>
        [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
          let behind = e;
          while (behind && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)')
            behind = behind.parentElement;
          return getComputedStyle(e).color + '|' + getComputedStyle(behind).backgroundColor;
        }))]"""
    )
    assert len(colors) > 3
    for pair in colors:
        light, dark = sorted(map(luminance, pair.split("|")), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, pair


def test_the_report_can_be_walked_by_keyboard(browser: Browser, site: Path) -> None:
    browser.open(site / "index.html", DESK)
    deadline = time.monotonic() + 30
    while browser.run("document.activeElement === document.body"):
        assert time.monotonic() < deadline, "Tab reaches nothing"
        browser.press("\ue004")  # Tab
    assert browser.run("document.activeElement.textContent") == "Skip to the content"
    assert browser.run("document.activeElement.getBoundingClientRect().left") >= 0
    seen = []
    for _ in range(4):
        browser.press("\ue004")
        seen.append(browser.run("document.activeElement.getAttribute('href')"))
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert seen[0] is None  # the figure, which can be scrolled
    assert all(link.endswith(".html") for link in seen[1:])


def test_the_reports_tables_are_tables_for_screen_readers(browser: Browser, site: Path) -> None:
    for size in (DESK, PHONE):
        browser.open(site / "index.html", size)
        tree = browser.cdp("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in tree if not node["ignored"]]
        assert roles.count("table") == 3
        assert roles.count("rowheader") >= len(statements.CLAIMS)
        assert "columnheader" in roles
        pictures = [n["name"]["value"] for n in tree if n["role"]["value"] == "image"]
        assert len(pictures) == 1
        assert pictures[0].startswith("The ladder. quick: drawings: ")


def test_a_kernel_moves_and_changes_by_keyboard(browser: Browser, site: Path) -> None:
    browser.open(site / "02_building_blocks.html", DESK)
    figure = "document.querySelector('[data-figure=kernel]')"
    assert browser.run(f"{figure}.querySelectorAll('canvas').length") == 2
    assert browser.run(f"{figure}.querySelectorAll('img').length") == 0  # replaced by the canvases
    said = [browser.run(f"{figure}.querySelector('output').textContent")]
    for element, key in (("canvas", "\ue014"), ("input", "9")):  # an arrow key, a weight
        browser.run(f"{figure}.querySelector('{element}').focus()")
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
        browser.press(key)
        said.append(browser.run(f"{figure}.querySelector('output').textContent"))
    assert len(set(said)) == 3, said
    assert browser.run(f"{figure}.querySelector('select').value") == "your own"


def test_slides_turn(browser: Browser, site: Path) -> None:
    name = PAGES[2]
    browser.open(site / f"slides/{name}.html", DESK)
    assert browser.run("Reveal.isReady()")
    assert browser.run("Reveal.getTotalSlides()") > 10
    browser.press("\ue014")  # right
    assert browser.run("Reveal.getIndices().h") == 1
    browser.press("\ue015")  # down
    assert browser.run("Reveal.getIndices().v") == 1
    assert browser.run("performance.getEntriesByType('resource').length") == 0


def test_screenshots(browser: Browser, site: Path) -> None:
    """Kept where `CVLAB_SCREENSHOTS` says, to be looked at."""
    wanted = os.environ.get("CVLAB_SCREENSHOTS")
    if not wanted:
        pytest.skip("CVLAB_SCREENSHOTS names no folder for screenshots")
    folder = Path(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    for size, device in ((DESK, "desk"), (PHONE, "phone")):
        for scheme in ("light", "dark"):
            for name, heading in (
                ("index", "The ladder"),
                ("index", "Every claim"),
                ("student", "Exercises"),
            ):
                browser.open(site / f"{name}.html", size, scheme)
                found = (
                    f"[...document.querySelectorAll('h2')].find(h => h.innerText == '{heading}')"
                )
                browser.run(f"{found}.scrollIntoView()")
                place = heading.lower().replace(" ", "-")
                target = folder / f"{name}-{place}-{device}-{scheme}.png"
                browser.screenshot(target)
                assert target.stat().st_size > 10_000
