"""What several test files share: real photos and weights where the machine has them."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is for a benchmark to say: on a busy machine each of them may be slow.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Processes that tests start import `cvlab` and `tests` from here, wherever they run.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

# Read before any test changes the environment.
_PHOTOS, _WEIGHTS = os.environ.get("CVLAB_PHOTOS"), os.environ.get("CVLAB_WEIGHTS")


def _let_networks_go() -> None:
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session()
        gc.collect()
        # glibc keeps what was freed, unless it is asked; other C libraries are not.
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)


@pytest.fixture(scope="module", autouse=True)
def _networks_of_a_file() -> Iterator[None]:
    """Networks leave the memory with their file: by themselves they would add up to gigabytes."""
    yield
    _let_networks_go()


@pytest.fixture
def large_network() -> Iterator[None]:
    """For a test that builds a network of hundreds of megabytes: it leaves with the test."""
    yield
    _let_networks_go()


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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no photos but those a test names."""
    monkeypatch.delenv("CVLAB_PHOTOS", raising=False)
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
