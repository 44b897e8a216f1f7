"""A model card from measured figures, in the form of the Hugging Face hub.

The hub reads the YAML between the two lines `---` at the top of a model's `README.md`: license,
tags, data sets, and the results under `model-index`. People read the text below it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Final

import jinja2

from cvlab.evaluation.measure import Interval

_TEMPLATE: Final = Path(__file__).with_name("model_card.md.j2")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a user has to know about a model, each figure with its uncertainty.

    Attributes:
        name: Of the model, as it will be called on the hub.
        summary: One or two sentences: what goes in, what comes out.
        license: Identifier of the hub, such as `apache-2.0`, `cc-by-4.0` or `other`.
        data: What it was trained, validated and tested on: source, number of images, split.
        data_name: Short name of the test data, for the table of results.
        data_id: Identifier of the data on the hub, such as `microsoft/cats_vs_dogs`; empty if they
            are not there.
        image_size: Height and width in pixels of the images that the model takes.
        tested: Number of test images.
        accuracy: On the test images, with its interval.
        calibration_error: Expected calibration error on the test images by what was done, such as
            `{"before": ..., "after temperature scaling": ...}`; the last one is that of the model.
        temperature: The temperature that is part of the model; 1 for none.
        intended_use: What the model is for.
        out_of_scope: What it must not be used for.
        failures: Known failures, a sentence each, with numbers where they were measured.
        sources: License of each thing the model is made of, by name: weights, data, code.
        versions: What it was trained with, such as `Keras 3.15.1, TensorFlow 2.21.0`.
    """

    name: str
    summary: str
    license: str
    data: str
    data_name: str
    data_id: str = ""
    image_size: int
    tested: int
    accuracy: Interval
    calibration_error: Mapping[str, Interval] = field(default_factory=dict)
    temperature: float = 1.0
    intended_use: str
    out_of_scope: str
    failures: Sequence[str]
    sources: Mapping[str, str]
    versions: str = ""

    def __post_init__(self) -> None:
        """Refuse a card that leaves out what a user needs most."""
        needed = ("name", "summary", "license", "data", "data_name", "intended_use", "out_of_scope")
        empty = [name for name in (*needed, "failures", "sources") if not getattr(self, name)]
        if empty:
            raise ValueError(f"the model card has no {', '.join(empty)}: state each of them")
        for name, share in {"accuracy": self.accuracy, **self.calibration_error}.items():
            if not all(isfinite(x) and 0 <= x <= 1 for x in (share.value, share.low, share.high)):
                raise ValueError(f"{name} is {share}: pass shares from 0 to 1, not percent")

    def __str__(self) -> str:
        """Return the card as the text of a `README.md`."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        return template.render(card=self) + "\n"

    def write(self, file: str | Path) -> None:
        """Write the card; on the hub its name is `README.md`, in the folder of the model."""
        Path(file).write_text(str(self), encoding="utf-8")
