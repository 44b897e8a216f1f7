"""Measure ways to fine-tune MobileNet on real photos: `python -m cvlab fine-tuning`.

Two measurements, with the networks of notebook 15:

- the table: each method of `cvlab.transfer.methods` with each learning rate and seed, on the same
  training photos. The learning rate of a method is the one with the highest mean validation
  accuracy; only its networks are tested, once each.
- the curve: test accuracy by the number of training photos per class, for a small convnet from
  scratch, a logistic probe on the frozen base, and the base fine-tuned from that probe. Each seed
  samples its own training photos; the smaller sets are parts of the larger ones.

A trial is a folder that is whole or not there; a second start skips what exists. Seeds are the
outer loop, so an interrupted run has measured everything for its first seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from cvlab import models
from cvlab.cache import made, record_of
from cvlab.course import machine
from cvlab.course.findings import as_text
from cvlab.data.loading import Pets, Split, load_images
from cvlab.training.baseline import compile_binary
from cvlab.transfer import methods
from cvlab.transfer.methods import FineTuner, Tuned

BASE: Final = "MobileNet(alpha=0.75)"
IMAGE_SIZE: Final = 96
RATES: Final = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
# If the validation accuracy of a method falls by this much, higher learning rates are not tried.
FALL: Final = 0.1
# LoRA begins at zero; at lower learning rates it hardly moves in so few steps.
LOWEST_RATE: Final = {"LoRA": 3e-4}
TABLE_PER_CLASS: Final = 100
VALIDATION_PER_CLASS: Final = 150
EPOCHS: Final = 6
# Epochs of the curve by training photos per class: many passes over few photos.
SCRATCH_EPOCHS: Final = {10: 30, 30: 30, 100: 20, 300: 10, 1000: 6}
TUNED_EPOCHS: Final = {10: 12, 30: 9, 100: 6, 300: 4, 1000: 3}
SCRATCH_RATE: Final = 1e-3
CURVE_METHOD: Final = "probe, then everything"
_WEIGHTS: Final = "weights.npz"
_Examples = tuple[NDArray[Any], NDArray[Any]]


def first(split: Split, per_class: int) -> _Examples:
    """Return the first images of each class, with their labels."""
    rows = np.sort(
        np.concatenate([np.flatnonzero(split.labels == one)[:per_class] for one in (0, 1)])
    )
    return split.images[rows], split.labels[rows]


def sampled(split: Split, per_class: int, seed: int) -> _Examples:
    """Return images of each class sampled by a seed; a smaller sample is part of a larger one."""
    random = np.random.default_rng(seed)
    rows = np.concatenate(
        [random.permutation(np.flatnonzero(split.labels == one))[:per_class] for one in (0, 1)]
    )
    return split.images[rows], split.labels[rows]


class Bench:
    """The photos, the base and the folder of trials of one run of the command."""

    def __init__(self, pets: Pets, base: keras.Model, out: Path) -> None:
        self.pets, self.base, self.out = pets, base, out
        self.validation = first(pets.validation, VALIDATION_PER_CLASS)
        self.test = (pets.test.images, pets.test.labels)
        train = first(pets.train, TABLE_PER_CLASS)
        self._tuner = FineTuner(base, train, self.validation, epochs=EPOCHS)

    def tuner(self, train: _Examples, epochs: int) -> FineTuner:
        """Return a tuner for these training photos."""
        return self._tuner.on(train, epochs)

    def trial(self, *where: str, write: Any) -> dict[str, Any]:
        """Return the record of a trial, measured now or before."""
        return made(self.out.joinpath(*where), write, needed=2**24, purpose=" ".join(where))

    def table(self, seed: int) -> list[dict[str, Any]]:
        """Train every method with increasing learning rates, until it collapses."""
        tuner = self.tuner(first(self.pets.train, TABLE_PER_CLASS), EPOCHS)
        found = []
        for method in methods.METHODS:
            best = 0.0
            for rate in (one for one in RATES if one >= LOWEST_RATE.get(method, 0)):
                write = partial(_trained, tuner, method, rate, seed)
                record = self.trial("table", method, f"{rate:g}", str(seed), write=write)
                accuracy = record["validation"]
                print(
                    f"{method}, {rate:g}, seed {seed}: validation {accuracy:.1%} "
                    f"in {record['seconds']} s",
                    flush=True,
                )
                found.append(record)
                best = max(best, accuracy)
                if accuracy < best - FALL:
                    break
        return found

    def tested(self, chosen: Sequence[dict[str, Any]]) -> None:
        """Test the networks of the chosen learning rates, once each."""
        tuner = self.tuner(first(self.pets.train, TABLE_PER_CLASS), EPOCHS)
        for record in chosen:
            key = record["method"], f"{record['rate']:g}", str(record["seed"])
            folder = self.out.joinpath("table", *key)
            write = partial(_tested, tuner, record, folder, self.test)
            self.trial("test", *key, write=write)

    def curve(self, seed: int, rate: float) -> list[dict[str, Any]]:
        """Measure the three ways for each number of training photos; return the records."""
        found = []
        for per_class in TUNED_EPOCHS:
            train = sampled(self.pets.train, per_class, seed)
            for way, run in (
                ("scratch", partial(self._scratch, train, per_class, seed)),
                ("probe", partial(self._probed, train, per_class)),
                ("fine-tuned", partial(self._tuned, train, per_class, seed, rate)),
            ):
                key = {"way": way, "per_class": per_class, "seed": seed}

                def write(_: Path, run: Any = run, key: dict[str, Any] = key) -> dict[str, Any]:
                    start = time.perf_counter()
                    right = run()
                    seconds = round(time.perf_counter() - start, 1)
                    return {**key, "seconds": seconds, "right": as_text(right)}

                record = self.trial("curve", *map(str, key.values()), write=write)
                accuracy = record["right"].count("1") / len(record["right"])
                print(f"{way}, {per_class} per class, seed {seed}: {accuracy:.1%}", flush=True)
                found.append(record)
        return found

    def _scratch(self, train: _Examples, per_class: int, seed: int) -> NDArray[np.bool_]:
        keras.utils.set_random_seed(seed)
        network = models.small_cnn(IMAGE_SIZE)
        epochs = SCRATCH_EPOCHS[per_class]
        steps = epochs * -(-len(train[0]) // 20)
        decay = keras.optimizers.schedules.CosineDecay(SCRATCH_RATE, steps)
        compile_binary(network, keras.optimizers.Adam(decay))
        network.fit(*train, batch_size=20, epochs=epochs, verbose=0)
        found = np.ravel(network.predict(self.test[0], batch_size=50, verbose=0)) > 0.5
        return np.asarray(found == (self.test[1] == 1), bool)

    def _probed(self, train: _Examples, per_class: int) -> NDArray[np.bool_]:
        tuner = self.tuner(train, TUNED_EPOCHS[per_class])
        tuner.images["other"] = self.test[0]
        return tuner.probe.right(tuner.inputs("head", "other"), self.test[1])

    def _tuned(self, train: _Examples, per_class: int, seed: int, rate: float) -> NDArray[np.bool_]:
        tuner = self.tuner(train, TUNED_EPOCHS[per_class])
        return tuner.right(tuner.fit(CURVE_METHOD, rate, seed), *self.test)


def _trained(tuner: FineTuner, method: str, rate: float, seed: int, folder: Path) -> dict[str, Any]:
    tuned = tuner.fit(method, rate, seed)
    base, head = tuned.weights
    np.savez(folder / _WEIGHTS, *base, *head)
    loss = tuned.validation_loss
    return {
        "method": method,
        "rate": rate,
        "seed": seed,
        "validation": tuned.validation_accuracy,
        "validation_loss": round(loss, 4) if np.isfinite(loss) else None,
        "trainable_parameters": tuned.trainable_parameters,
        "seconds": round(tuned.seconds, 1),
    }


def _tested(
    tuner: FineTuner, record: dict[str, Any], kept: Path, test: _Examples, _: Path
) -> dict[str, Any]:
    with np.load(kept / _WEIGHTS, allow_pickle=False) as arrays:
        weights = list(arrays.values())
    tuned = Tuned(
        record["method"], record["rate"], record["seed"], 0, 0, 0, 0, (weights[:-2], weights[-2:])
    )
    kept_key = {key: record[key] for key in ("method", "rate", "seed")}
    return {**kept_key, "right": as_text(tuner.right(tuned, *test))}


def chosen_rates(table: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return for each method the learning rate of the highest mean validation accuracy.

    Of equally good ones the lowest mean validation loss decides.
    """

    def score(method: str, rate: float) -> tuple[float, float]:
        own = [one for one in table if one["method"] == method and one["rate"] == rate]
        if not own or any(one["validation_loss"] is None for one in own):
            return 0.0, 0.0
        accuracy = float(np.mean([one["validation"] for one in own]))
        return accuracy, -float(np.mean([one["validation_loss"] for one in own]))

    return {method: max(RATES, key=partial(score, method)) for method in methods.METHODS}


def measure(bench: Bench, seeds: Sequence[int]) -> None:
    """Measure what is missing."""
    table, rate = [], 0.0
    for seed in seeds:
        table += bench.table(seed)
        # The curve takes the rate of the first seed's table, so that it does not change with more.
        rate = rate or chosen_rates(table)[CURVE_METHOD]
        bench.curve(seed, rate)
    chosen = chosen_rates(table)
    bench.tested([one for one in table if one["rate"] == chosen[one["method"]]])


def collect(out: Path) -> dict[str, Any]:
    """Return all trials in a folder as JSON can write them; `cvlab.course.tuning` reads them."""
    here = machine.check(gpu=False)
    table, tested, curve = (
        [
            record
            for seal in sorted(out.glob(f"{part}/*/*/*/seal.json"))
            if (record := record_of(seal.parent))
        ]
        for part in ("table", "test", "curve")
    )
    settings = {
        "base": BASE,
        "image_size": IMAGE_SIZE,
        "rates": RATES,
        "train_per_class": TABLE_PER_CLASS,
        "validation_per_class": VALIDATION_PER_CLASS,
        "epochs": EPOCHS,
        "batch_size": 20,
        "lora_rank": methods.LORA_RANK,
        "lowest_factor": methods.LOWEST_FACTOR,
        "scratch_epochs": SCRATCH_EPOCHS,
        "scratch_rate": SCRATCH_RATE,
        "tuned_epochs": TUNED_EPOCHS,
        "curve_method": CURVE_METHOD,
        "curve_rate": chosen_rates([one for one in table if one["seed"] == 0])[CURVE_METHOD],
        "seeds": sorted({one["seed"] for one in table}),
    }
    return {
        "date": date.today().isoformat(),
        "machine": {"system": here.system, "cores": here.cores},
        "versions": {"python": here.python, **here.packages},
        "settings": settings,
        "table": table,
        "tested": tested,
        "curve": curve,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab fine-tuning", description=__doc__)
    parser.add_argument("--photos", default="photos", help="zip or folder of real photos")
    parser.add_argument("--weights", default="pretrained", help="file of MobileNet's weights")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trials")
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds, from 0 on")
    options = parser.parse_args(arguments)
    pets = load_images(options.photos, image_size=IMAGE_SIZE)
    bench = Bench(pets, models.load_base(BASE, IMAGE_SIZE, options.weights), options.out)
    measure(bench, range(options.seeds))
    kept = json.dumps(collect(options.out), separators=(",", ":"))
    for begins in ('{"method"', '{"way"'):
        kept = kept.replace(begins, f"\n{begins}")
    draft = options.out / "fine_tuning.draft"
    draft.write_text(kept + "\n", encoding="utf-8")
    draft.replace(draft.with_suffix(".json"))
    return 0
