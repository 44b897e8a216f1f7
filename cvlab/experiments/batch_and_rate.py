"""Accuracy by batch size and learning rate, plain and normalized: `python -m cvlab batch-and-rate`.

Trains dense networks on scikit-learn's handwritten digits and writes the curves that the
interactive figure of notebook 03 shows. Takes about a minute on one core.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cvlab.plots.interactive.training import FILE
from cvlab.training.many import ManyNetworks

BATCH_SIZES: Final = (2, 8, 32, 128)
RATES: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SEEDS: Final = 5
EPOCHS: Final = 20
UNITS: Final = (64, 32, 32, 32, 32, 10)


def digits() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return training and held-out digits as notebook 03 prepares them, images and labels."""
    found = load_digits()
    x, held_out, labels, held_out_labels = train_test_split(
        found.data, found.target, test_size=450, random_state=0, stratify=found.target
    )
    mean, std = x.mean(axis=0), np.sqrt(x.var(axis=0) + 1e-3)
    return (
        (((x - mean) / std).astype("float32"), labels),
        (((held_out - mean) / std).astype("float32"), held_out_labels),
    )


def he(fan_in: int, _: int) -> float:
    """Return the standard deviation of He initialization."""
    return float(np.sqrt(2 / fan_in))


def curves(
    batch_sizes: Sequence[int] = BATCH_SIZES,
    rates: Sequence[float] = RATES,
    seeds: int = SEEDS,
    epochs: int = EPOCHS,
) -> dict[str, Any]:
    """Train all networks; return the settings and the mean held-out accuracy after each epoch.

    Args:
        batch_sizes: Images per step.
        rates: Learning rates of plain gradient descent.
        seeds: Networks per setting.
        epochs: Passes over the training images.

    Returns:
        What `training.json` holds: `plain` and `normalized` are nested lists of accuracies,
        (batch sizes, rates, epochs + 1), the mean over the seeds.
    """
    train, held_out = digits()
    found: dict[str, list[Any]] = {"plain": [], "normalized": []}
    for name, rows in found.items():
        for batch_size in batch_sizes:
            many = ManyNetworks([he] * (len(rates) * seeds), UNITS, batch_norm=name == "normalized")
            accuracy = many.fit(
                train,
                held_out,
                rates=np.repeat(rates, seeds),
                batch_size=batch_size,
                epochs=epochs,
            )
            mean = accuracy.reshape(epochs + 1, len(rates), seeds).mean(axis=2)
            rows.append(mean.T.round(3).tolist())
            print(f"{name}, batches of {batch_size}: {mean[-1].round(2).tolist()}")
    return {
        "batch_sizes": list(batch_sizes),
        "rates": list(rates),
        "seeds": seeds,
        "units": list(UNITS),
        **found,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab batch-and-rate", description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help="to write; default: the course's")
    options = parser.parse_args(arguments)
    text = json.dumps(curves(), separators=(",", ":"))
    options.file.write_text(text.replace("]],", "]],\n") + "\n", encoding="utf-8")
    return 0
