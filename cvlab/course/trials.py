"""Recorded trials of transfer learning on real photos, compared over seeds and image by image.

`python -m cvlab vgg16` measures them: each experiment with several seeds, every trial tested once,
all on the same photos. Two sources of uncertainty are kept apart: the randomness of the training,
by an interval over seeds, and the choice of the test photos, by McNemar's test of each seed and an
interval over photos.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cvlab.course.findings import from_text
from cvlab.course.tables import Shown, html_table
from cvlab.evaluation import measure

FILE: Final = Path(__file__).with_name("runs") / "vgg16.json"


@dataclass(frozen=True, eq=False)
class Trial:
    """One training of one experiment, tested once.

    Attributes:
        experiment: Its name, such as `extraction, 1/255`.
        seed: Of the head's initial weights, the order of the images and the augmentation.
        settings: Of the experiment: `base`, `image_size`, `preprocessing`, `head`, `trains`,
            `augmented`, `after`, `learning_rate` and `epochs`.
        trainable_weights: Number of weights (arrays) that trained.
        trainable_parameters: Number of parameters in them.
        seconds: Of the training with its validation, without the features that were stored.
        curves: `accuracy`, `loss`, `val_accuracy` and `val_loss`, one value per epoch; None where
            it was not finite.
        right: Whether the prediction is right for each photo in `photos()`, (N,) bool, with the
            weights of the lowest validation loss.
    """

    experiment: str
    seed: int
    settings: Mapping[str, Any]
    trainable_weights: int
    trainable_parameters: int
    seconds: float
    curves: Mapping[str, list[float | None]] = field(repr=False)
    right: NDArray[np.bool_] = field(repr=False)

    @property
    def accuracy(self) -> float:
        """Share of the test photos whose prediction is right."""
        return float(self.right.mean())


def content(file: Path = FILE) -> dict[str, Any]:
    """Return the whole record: date, machine, versions, experiments and trials."""
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return kept


def photos(file: Path = FILE) -> tuple[str, ...]:
    """Return the names of the test photos, in the order of `Trial.right`."""
    return tuple(content(file)["test_files"])


def load(file: Path = FILE) -> list[Trial]:
    """Return all recorded trials, those of one experiment together, by seed."""
    kept = content(file)
    return [
        Trial(
            **{
                **trial,
                "settings": kept["experiments"][trial["experiment"]],
                "right": from_text(trial["right"]),
            }
        )
        for trial in kept["trials"]
    ]


def of(name: str, trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials of one experiment.

    Raises:
        ValueError: If there are none; the message names the experiments there are.
    """
    by_name: dict[str, list[Trial]] = {}
    for trial in trials:
        by_name.setdefault(trial.experiment, []).append(trial)
    if name not in by_name:
        raise ValueError(
            f"there are no trials of {name!r}: name one of {', '.join(map(repr, by_name))}"
        )
    return by_name[name]


def accuracy(name: str, trials: Iterable[Trial]) -> measure.Interval:
    """Return an experiment's mean test accuracy with Student's 95 % t interval over seeds.

    The interval ends at 0 and 1 at the latest.
    """
    mean = measure.mean_interval([trial.accuracy for trial in of(name, trials)])
    # Where seeds differ widely, t reaches beyond what a share can be.
    return measure.Interval(mean.value, max(0.0, mean.low), min(1.0, mean.high))


@dataclass(frozen=True)
class Comparison:
    """Two experiments on the same test photos, paired seed by seed.

    Attributes:
        first: Name of the first experiment.
        second: Name of the second experiment.
        over_seeds: Gain in accuracy from the first to the second, with Student's 95 % t interval
            over seeds: the uncertainty of the training, on these test photos.
        over_photos: The same gain with the interval over photos, each with its mean over seeds: the
            uncertainty of the test photos.
        p_values: Of McNemar's exact test of each seed, after Holm's correction for their number.
        better: For each seed the name of the better experiment; empty for none at 0.05.
    """

    first: str
    second: str
    over_seeds: measure.Interval
    over_photos: measure.Interval
    p_values: tuple[float, ...]
    better: tuple[str, ...]


def compare(first: str, second: str, trials: Iterable[Trial]) -> Comparison:
    """Compare two experiments over the seeds that both have.

    Raises:
        ValueError: If an experiment has no trials, or they share fewer than two seeds.
    """
    kept = list(trials)
    before, after = ({one.seed: one.right for one in of(name, kept)} for name in (first, second))
    seeds = sorted(before.keys() & after.keys())
    if len(seeds) < 2:
        raise ValueError(
            f"{first!r} and {second!r} share {len(seeds)} seeds, and a comparison needs two: run "
            "`python -m cvlab vgg16` with the same --seeds for both"
        )
    gains = np.stack([after[seed].astype(float) - before[seed] for seed in seeds])
    tests = [measure.mcnemar(before[seed], after[seed]) for seed in seeds]
    p_values = holm([test.p_value for test in tests])
    wins = (second if test.only_second > test.only_first else first for test in tests)
    return Comparison(
        first,
        second,
        measure.mean_interval(gains.mean(axis=1).tolist()),
        measure.mean_interval(gains.mean(axis=0).tolist()),
        tuple(p_values),
        tuple(name if p < 0.05 else "" for name, p in zip(wins, p_values, strict=True)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests, so that the rate of any false alarm stays the usual one.

    Source:
        S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6 (1979).
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    return corrected.tolist()


class Table(Shown):
    """Experiments as rows, for a notebook: HTML in Jupyter, text elsewhere."""

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.headings, self.rows = headings, rows

    def _repr_html_(self) -> str:
        rows = [[escape(cell) for cell in row] for row in self.rows]
        return html_table([escape(heading) for heading in self.headings], rows)

    def __str__(self) -> str:
        """Lay out the rows in columns of text."""
        lines = [self.headings, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def table(names: Sequence[str], trials: Iterable[Trial] | None = None) -> Table:
    """Lay out experiments, each compared with the first one.

    Args:
        names: Names of experiments; the first one is what the others are compared with.
        trials: From `load`; the recorded ones if None.

    Returns:
        For each experiment what trained, its mean test accuracy with the interval over seeds, the
        gain over the first experiment with both intervals of `Comparison`, and in how many seeds it
        is better and worse.

    Raises:
        ValueError: See `accuracy` and `compare`.
    """
    kept = load() if trials is None else list(trials)
    rows = []
    for name in names:
        own = of(name, kept)
        row = [name, str(own[0].trainable_weights), str(len(own)), accuracy(name, kept).percent()]
        if name == names[0]:
            row += ["", "", ""]
        else:
            found = compare(names[0], name, kept)
            wins, losses = found.better.count(name), found.better.count(names[0])
            among = f"better in {wins}, worse in {losses} of {len(found.better)}"
            row += [found.over_seeds.points(), found.over_photos.points(), among]
        rows.append(row)
    return Table(
        (
            "experiment",
            "trainable weights",
            "seeds",
            "test accuracy (95 % over seeds)",
            f"gain over {names[0]} (over seeds)",
            "(over photos)",
            "McNemar, Holm-corrected",
        ),
        rows,
    )
