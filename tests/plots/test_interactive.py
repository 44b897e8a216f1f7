"""The frame of interactive figures: what reaches the page, and that nothing breaks out of it."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from cvlab import plots
from cvlab.plots.interactive import Interactive
from cvlab.plots.interactive import base as interactive_base

SCRIPT = "kernel.js"  # any of the scripts will do


class Page(HTMLParser):
    """The elements of a page: tag, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, "".join(text)) for name, attributes, text in self.found if name == tag]


def shown(data: dict[str, Any], alt: str = "a line", *, photographic: bool = False) -> Interactive:
    still, _ = plots.figure(alt=alt)
    still.photographic = photographic
    return Interactive(SCRIPT, data, still)


NASTY = 'a</script><!--<script>"quoted" & \u2028 <img onerror=x>'


def test_data_arrive_as_they_were_and_do_not_end_their_element() -> None:
    html = shown({"text": NASTY, "numbers": [[1, -2.5], []]})._repr_html_()
    (attributes, text), code = Page(html).all("script")
    assert attributes == {"type": "application/json"}
    assert json.loads(text) == {"text": NASTY, "numbers": [[1, -2.5], []]}
    assert "<" not in text
    assert code[0] == {}
    assert len(Page(html).all("img")) == 1


def test_the_words_are_escaped_and_complete() -> None:
    alt = 'less < more & "quoted"'
    figure = shown({}, alt)
    ((image, _),) = Page(figure._repr_html_()).all("img")
    assert image["alt"] == alt
    assert figure._repr_mimebundle_()["text/plain"] == f"[Interactive figure: {alt}]"


@pytest.mark.parametrize(("photographic", "kind"), [(False, "png"), (True, "jpeg")])
def test_a_still_image_is_there_before_any_script(photographic: bool, kind: str) -> None:
    html = shown({}, photographic=photographic)._repr_mimebundle_()["text/html"]
    ((image, _),) = Page(html).all("img")
    start, _, content = (image["src"] or "").partition(",")
    assert start == f"data:image/{kind};base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as still:
        assert still.format == kind.upper()
        assert still.width >= 720


def test_the_page_asks_nothing_of_the_network() -> None:
    html = shown({})._repr_html_()
    assert not re.search(r"https?:|//[a-z]+\.|@import|\burl\(|fetch\(|XMLHttp", html)
    for _, attributes, _ in Page(html).found:
        assert not attributes.keys() & {"href", "srcset", "background"}
        assert (attributes.get("src") or "data:").startswith("data:")


def test_the_script_is_the_one_that_is_named() -> None:
    html = shown({})._repr_html_()
    ((frame, _),) = [one for one in Page(html).all("div") if one[0].get("data-figure")]
    assert frame == {"class": "cvlab-interactive", "data-figure": "kernel"}
    assert 'begin("kernel",' in html
    with pytest.raises(ValueError, match=r"there is no script 'lost\.js' in cvlab/plots/interact"):
        Interactive("lost.js", {}, plots.figure(alt="x")[0])


def test_every_script_begins_the_figure_of_its_own_name() -> None:
    folder = interactive_base._FOLDER
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.js")}
    assert scripts.keys() > {"common"}
    for name, script in scripts.items():
        assert len(script.splitlines()) <= 150, name
        assert "</script" not in script
        assert name == "common" or f'begin("{name}",' in script


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_data_that_json_cannot_hold_are_refused_early(value: object) -> None:
    with pytest.raises(ValueError, match=r"the data for kernel\.js cannot be written as JSON"):
        shown({"value": value})


def test_the_same_figure_is_the_same_text() -> None:
    assert shown({"a": 1})._repr_html_() == shown({"a": 1})._repr_html_()
