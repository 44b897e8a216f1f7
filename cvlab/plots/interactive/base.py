"""What all interactive figures share: the frame, the data, the still image, the common script."""

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from cvlab.plots.style import Figure

_FOLDER: Final = Path(__file__).parent
_COMMON: Final = ("common.css", "common.js")


class Interactive:
    """A figure whose controls work in the browser; a still image where scripts do not run.

    Attributes:
        script: Name of the script beside this module, for example `kernel.js`.
        data: What the script gets, as JSON can hold it.
        still: The figure that is shown without scripts. Its `alt` describes both.
    """

    def __init__(self, script: str, data: Mapping[str, Any], still: Figure) -> None:
        self.script, self.data, self.still = script, data, still

    def _repr_html_(self) -> str:
        css, common = ((_FOLDER / file).read_text(encoding="utf-8") for file in _COMMON)
        script = (_FOLDER / self.script).read_text(encoding="utf-8")
        # "</" would end the element that holds the data.
        data = json.dumps(self.data, separators=(",", ":")).replace("</", "<\\/")
        kind, content = (
            ("jpeg", self.still.jpeg()) if self.still.photographic else ("png", self.still.png())
        )
        image, name = base64.b64encode(content).decode(), Path(self.script).stem
        return (
            f'<div class="cvlab-interactive" data-figure="{name}">\n<style>{css}</style>\n'
            f'<img alt="{escape(self.still.alt)}" src="data:image/{kind};base64,{image}">\n'
            f'<script type="application/json">{data}</script>\n'
            f"<script>(() => {{\n{common}\n{script}\n}})();</script>\n</div>"
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {
            "text/html": self._repr_html_(),
            "text/plain": f"[Interactive figure: {self.still.alt}]",
        }
