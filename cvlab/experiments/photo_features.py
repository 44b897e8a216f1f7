"""Write the features of the 4,000 photos that come with the course (`cvlab.data.photo_features`).

Each photo passes through VGG16 and MobileNet at 150 × 150 pixels, once with the base's own
preprocessing and once divided by 255, as the lecture does it. Of the last feature map the mean of
each channel is kept. An interrupted run continues where it stopped.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cvlab.data import Pets, load_images
from cvlab.data.checks import SPLITS
from cvlab.data.photo_features import FOLDER, PREPROCESSINGS
from cvlab.models import load_base
from cvlab.transfer import features

BASES: Final = ("VGG16", "MobileNet(alpha=0.75)")
IMAGE_SIZE: Final = 150

# Features of one preprocessing by split.
_BySplit = Mapping[str, NDArray[np.floating]]


def rescaled(base: keras.Model) -> keras.Model:
    """Copy a base with 1/255 in place of its own preprocessing, as the lecture feeds it."""
    copy = keras.models.clone_model(base, clone_function=_copied)
    copy.set_weights(base.get_weights())
    return copy


def _copied(layer: keras.Layer) -> keras.Layer:
    if layer.name == "preprocessing":
        return layers.Rescaling(1 / 255, name=layer.name)
    copy: keras.Layer = type(layer).from_config(layer.get_config())
    return copy


def pooled(base: keras.Model, preprocessing: str) -> keras.Model:
    """Build a model from images in 0..255 to the mean of each channel of the base's output.

    Args:
        base: What `cvlab.models.load_base` returns.
        preprocessing: "own" keeps the base's first layer, "rescaled" puts 1/255 in its place.
    """
    network = rescaled(base) if preprocessing == "rescaled" else base
    return keras.Sequential(
        [keras.Input(base.input_shape[1:]), network, layers.GlobalAveragePooling2D()]
    )


def step_of(values: NDArray[np.floating]) -> float:
    """Return the step to which features are rounded.

    It is a power of two, between 1/64 and 1/32 of their standard deviation. The error of at most
    half a step changes no accuracy by more than a few photos, and the file is a third smaller.
    """
    return float(2.0 ** np.floor(np.log2(values.std() / 32)))


def write(file: Path, sets: Mapping[str, _BySplit], pets: Pets) -> None:
    """Write the features of one base, float16 in steps of `step_of`, with the names of the photos.

    Args:
        file: The .npz file, with the arrays `own_train` (N, d), ..., `rescaled_test` and
            `file_names_train` (N,), ..., `file_names_test`. The same content gives the same bytes.
        sets: By preprocessing and split, features (N, d).
        pets: The photos, in the same order.
    """
    arrays: dict[str, Any] = {
        f"file_names_{split}": np.array(getattr(pets, split).file_names) for split in SPLITS
    }
    for preprocessing, by_split in sets.items():
        step = step_of(by_split["train"])
        arrays |= {
            f"{preprocessing}_{split}": (np.round(values / step) * step).astype(np.float16)
            for split, values in by_split.items()
        }
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **arrays)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cvlab photo-features", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="zip or folder of real photos")
    parser.add_argument(
        "--weights",
        nargs=len(BASES),
        default=["pretrained"] * len(BASES),
        metavar="FILE",
        help=f"weights of {' and of '.join(BASES)}; default: those that Keras downloads",
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: inside the package")
    options = parser.parse_args(arguments)
    pets = load_images(options.photos, image_size=IMAGE_SIZE)
    for name, weights in zip(BASES, options.weights, strict=True):
        base = load_base(name, IMAGE_SIZE, weights)
        networks = {preprocessing: pooled(base, preprocessing) for preprocessing in PREPROCESSINGS}
        sets = {
            preprocessing: {
                split: features.extract(getattr(pets, split).images, network) for split in SPLITS
            }
            for preprocessing, network in networks.items()
        }
        file = options.out / f"{name.partition('(')[0]}.npz"
        write(file, sets, pets)
        print(f"{file}: {file.stat().st_size:,} bytes")
    return 0
