"""Recorded calibration and robustness on real photos, over seeds of the classifier head.

`python -m cvlab trust` measures them: a frozen base, heads trained on clean photos, and the same
test photos clean and corrupted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cvlab.course.findings import from_text
from cvlab.evaluation import measure

FILE: Final = Path(__file__).with_name("runs") / "trust.json"
# Names of the image sets that are not the test photos.
DRAWN: Final = "drawings"
OTHER: Final = "another source"


@dataclass(frozen=True, eq=False)
class Trial:
    """One head, trained with one seed and tested once.

    Attributes:
        head: How it was trained.
        seed: Of its initial weights and of the order of the photos.
        seconds: Of its training.
        temperature: Fitted on the validation photos.
        logits: Of class dog for the clean test photos, float64 of shape (N,).
        right: Whether each prediction is right, (N,) bool, by the name of the image set: `test`,
            `blur 1` and so on for the corrupted test photos, `drawings`, `another source`.
    """

    head: str
    seed: int
    seconds: float
    temperature: float
    logits: NDArray[np.float64] = field(repr=False)
    right: Mapping[str, NDArray[np.bool_]] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Trust:
    """The record.

    Attributes:
        date: Day of the measurement.
        machine: System, cores and GPUs.
        versions: Of Python and packages.
        settings: Base, image size, heads, corruptions.
        files: Names of the test photos, in the order of `Trial.logits`.
        labels: Their classes, 0 for a cat and 1 for a dog, uint8 of shape (N,).
        trials: One for each head and seed.
    """

    date: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    files: tuple[str, ...]
    labels: NDArray[np.uint8]
    trials: tuple[Trial, ...]

    def of(self, head: str) -> list[Trial]:
        """Return the trials of one head, by seed.

        Raises:
            ValueError: If there are none.
        """
        found = [trial for trial in self.trials if trial.head == head]
        if not found:
            known = dict.fromkeys(trial.head for trial in self.trials)
            raise ValueError(f"there is no head {head!r}: name one of {', '.join(known)}")
        return found

    def accuracy(self, head: str, images: str = "test") -> measure.Interval:
        """Return the mean accuracy over seeds with its interval over the images.

        Each image counts with its mean over the seeds, so the interval covers the choice of the
        images.

        Args:
            head: As for `of`.
            images: Name of the image set, as in `Trial.right`.
        """
        hits = np.mean([trial.right[images] for trial in self.of(head)], axis=0)
        return _share(hits)

    def change(self, head: str, images: str) -> measure.Interval:
        """Return the gain in accuracy over the clean test photos, paired photo by photo.

        Args:
            head: As for `of`.
            images: Name of a corrupted test set, such as `blur 1`.
        """
        trials = self.of(head)
        gains = [trial.right[images].astype(float) - trial.right["test"] for trial in trials]
        return measure.mean_interval(np.mean(gains, axis=0).tolist())

    def corruptions(self) -> list[str]:
        """Return the names of the corruptions."""
        return list(self.settings["corruptions"])

    @property
    def place(self) -> str:
        """Base, image size and machine in few words."""
        cores = self.machine["cores"]
        gpus = self.machine.get("gpus") or [f"{cores} core{'s' * (cores > 1)}"]
        size = self.settings["image_size"]
        return f"{self.settings['base']} at {size} pixels, {gpus[0]}, {self.date}"


def _share(hits: NDArray[np.float64]) -> measure.Interval:
    """Return the interval of a mean of shares; between 0 and 1."""
    found = measure.mean_interval(hits.tolist())
    return measure.Interval(found.value, max(0.0, found.low), min(1.0, found.high))


def load(file: Path = FILE) -> Trust:
    """Return the recorded measurement.

    Raises:
        FileNotFoundError: If there is none.
    """
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    trials = tuple(
        Trial(
            **{
                **trial,
                "logits": np.array(trial["logits"], float),
                "right": {name: from_text(bits) for name, bits in trial["right"].items()},
            }
        )
        for trial in kept["trials"]
    )
    files = tuple(kept["test_files"])
    labels = np.array([name.startswith("dog/") for name in files], np.uint8)
    facts = {name: kept[name] for name in ("date", "machine", "versions", "settings")}
    return Trust(**facts, files=files, labels=labels, trials=trials)
