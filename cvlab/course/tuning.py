"""Recorded measurements of fine-tuning on real photos, for notebook 15.

`python -m cvlab fine-tuning` measures methods over learning rates and numbers of photos, and
`python -m cvlab probes` logistic probes on several bases and image sizes.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cvlab.course.findings import from_text

RUNS: Final = Path(__file__).with_name("runs")
FILE: Final = RUNS / "fine_tuning.json"
PROBES: Final = RUNS / "probes.json"

Rights = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Record:
    """What `python -m cvlab fine-tuning` measured.

    Attributes:
        settings: Base, image size, learning rates, epochs, seeds and all other numbers.
        place: Date, machine and versions, in one line.
        validation: Mean validation accuracy over seeds by method and learning rate, for those that
            were tried.
        tested: By method the chosen learning rate, and for each seed and test photo whether the
            prediction is right, (seeds, photos).
        curve: By way (`scratch`, `probe`, `fine-tuned`) and training photos per class the same,
            (seeds, photos).
    """

    settings: dict[str, Any]
    place: str
    validation: dict[str, dict[float, float]]
    tested: dict[str, tuple[float, Rights]] = field(repr=False)
    curve: dict[str, dict[int, Rights]] = field(repr=False)


def load(file: Path = FILE) -> Record:
    """Read the recorded measurement."""
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    scores: dict[str, dict[float, list[float]]] = {}
    for one in kept["table"]:
        scores.setdefault(one["method"], {}).setdefault(one["rate"], []).append(one["validation"])
    tested: dict[str, tuple[float, list[Rights]]] = {}
    for one in kept["tested"]:
        tested.setdefault(one["method"], (one["rate"], []))[1].append(from_text(one["right"]))
    curve: dict[str, dict[int, list[Rights]]] = {}
    for one in kept["curve"]:
        points = curve.setdefault(one["way"], {})
        points.setdefault(one["per_class"], []).append(from_text(one["right"]))
    cores = kept["machine"]["cores"]
    packages = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    return Record(
        kept["settings"],
        f"{kept['date']}, {cores} core{'s' * (cores > 1)}, {packages}",
        {
            method: {rate: float(np.mean(values)) for rate, values in sorted(by_rate.items())}
            for method, by_rate in scores.items()
        },
        {method: (rate, np.stack(rights)) for method, (rate, rights) in tested.items()},
        {
            way: {count: np.stack(rights) for count, rights in sorted(points.items())}
            for way, points in curve.items()
        },
    )


def probes(file: Path = PROBES) -> list[dict[str, Any]]:
    """Return the recorded probes of `python -m cvlab probes`, the best on validation first.

    Returns:
        For each `bases` (such as `["VGG16@224"]`), `parameters`, `multiply_adds`, `C`,
        `validation_loss`, `validation`, `test`, and `right`, (photos,) bool. Empty if there is no
        record.
    """
    if not file.exists():
        return []
    kept: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["probes"]
    ranked = sorted(kept, key=lambda one: float(one["validation_loss"]))
    return [{**one, "right": from_text(one["right"])} for one in ranked]
