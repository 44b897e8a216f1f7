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

    Raises:
        ValueError: If there is no such script, or JSON cannot hold the data.
    """

    def __init__(self, script: str, data: Mapping[str, Any], still: Figure) -> None:
        if not (_FOLDER / script).is_file():
            raise ValueError(
                f"there is no script {script!r} in cvlab/plots/interactive: write it there, and "
                "pass its file name with .js"
            )
        try:
            json.dumps(data, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the data for {script} cannot be written as JSON ({error}): pass lists from "
                "array.tolist(), and finite numbers only"
            ) from error
        self.script, self.data, self.still = script, data, still

    def _repr_html_(self) -> str:
        css, common = ((_FOLDER / file).read_text(encoding="utf-8") for file in _COMMON)
        script = (_FOLDER / self.script).read_text(encoding="utf-8")
        # A "<" in the data could end the element that holds it, or begin a comment in it.
        data = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
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
