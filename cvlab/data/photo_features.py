"""Features of the 4,000 real photos, which come with the course: real evidence without any photo.

`python -m cvlab photo-features` made them; `features/DATA_CARD.md` says how and of what.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvlab.data.checks import SPLITS

FOLDER: Final = Path(__file__).parent / "features"
# "own" is the preprocessing that the weights were trained with, "rescaled" the lecture's 1/255.
PREPROCESSINGS: Final = ("own", "rescaled")


class FeatureSplit(NamedTuple):
    """The features of training, validation or test photos, in the order cat, dog, cat, dog.

    Attributes:
        features: float32 of shape (N, d), not negative: the mean of each of the d channels of the
            base's last feature map.
        labels: uint8 of shape (N,), 0 for a cat and 1 for a dog.
        file_names: For each photo its path inside the split's folder: `cat/cat.1.jpg`.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.uint8]
    file_names: tuple[str, ...]


class PhotoFeatures(NamedTuple):
    """The three splits, the same photos as `load_images(photos, image_size=150)`.

    Attributes:
        train: 2,000 photos.
        validation: 1,000 photos.
        test: 1,000 photos.
    """

    train: FeatureSplit
    validation: FeatureSplit
    test: FeatureSplit


def load_photo_features(base: str, preprocessing: str = "own") -> PhotoFeatures:
    """Load the pooled features of the real photos at 150 × 150 pixels, without Keras.

    Args:
        base: "VGG16" (512 features per photo) or "MobileNet" (alpha 0.75, 768 features), both with
            ImageNet weights.
        preprocessing: "own" for the base's own `preprocess_input`, "rescaled" for pixels divided by
            255, as the lecture does it.

    Raises:
        ValueError: If there are no features of this base or preprocessing.
    """
    bases = sorted(path.stem for path in FOLDER.glob("*.npz"))
    if base not in bases or preprocessing not in PREPROCESSINGS:
        raise ValueError(
            f"there are no features of {base!r} with the preprocessing {preprocessing!r}: choose "
            f"the base from {', '.join(bases)} and the preprocessing from "
            f"{', '.join(PREPROCESSINGS)}"
        )
    with np.load(FOLDER / f"{base}.npz", allow_pickle=False) as stored:
        return PhotoFeatures(
            *(
                _split(stored[f"{preprocessing}_{name}"], stored[f"file_names_{name}"])
                for name in SPLITS
            )
        )


def _split(features: NDArray[np.float16], file_names: NDArray[Any]) -> FeatureSplit:
    labels = np.char.startswith(file_names, "dog/").astype(np.uint8)
    return FeatureSplit(features.astype(np.float32), labels, tuple(file_names.tolist()))
