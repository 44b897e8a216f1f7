"""What several test files share: real photos and weights where the machine has them."""

import os
from pathlib import Path

import pytest

# Read before any test changes the environment.
_PHOTOS, _WEIGHTS = os.environ.get("CVLAB_PHOTOS"), os.environ.get("CVLAB_WEIGHTS")


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """A zip of 4,000 real photos in the layout of Kaggle's train.zip."""
    if not _PHOTOS:
        pytest.skip("CVLAB_PHOTOS (make test PHOTOS=...) names no archive of 4,000 photos")
    return Path(_PHOTOS)


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """ImageNet weights of MobileNet with alpha 0.75, without the top."""
    if not _WEIGHTS:
        pytest.skip("CVLAB_WEIGHTS (make test WEIGHTS=...) names no MobileNet-0.75 weights")
    return Path(_WEIGHTS)
