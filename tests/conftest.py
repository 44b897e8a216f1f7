"""What all test files share: real photos and weights where the machine has them, and memory."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No deadline for an example: on a busy machine each of them may be slow.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Processes that tests start import `cvlab` and `tests` from here, wherever they run.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

# Read before any test changes the environment.
_PHOTOS, _WEIGHTS = os.environ.get("CVLAB_PHOTOS"), os.environ.get("CVLAB_WEIGHTS")
_VGG16_WEIGHTS = os.environ.get("CVLAB_VGG16_WEIGHTS")


def pytest_collection_finish() -> None:
    """Take what collection imported out of the garbage collector's sight: it stays to the end.

    Otherwise each collection walks through 400,000 objects of TensorFlow and others, for 0.25 s.
    """
    gc.collect()
    gc.freeze()


def _let_networks_go() -> None:
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session()  # collects garbage
        # glibc keeps what was freed, unless it is asked; other C libraries are not.
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)


@pytest.fixture(scope="module", autouse=True)
def _networks_of_a_file() -> Iterator[None]:
    """Free the networks of a test file: all together they would take gigabytes."""
    if "keras" in sys.modules:
        import_module("cvlab.publish.waits").remove_waits()
    yield
    _let_networks_go()


@pytest.fixture
def large_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For a test that counts a network of hundreds of megabytes: its weights are zeros, then freed.

    Most of the time to build VGG16 goes into 138 million random numbers.
    """
    import keras  # noqa: PLC0415

    def zeros(self: object, shape: tuple[int, ...], dtype: str | None = None, **_: object) -> Any:
        return keras.ops.zeros(shape, dtype)

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    yield
    _let_networks_go()


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """Let TensorFlow run each step as it stands: for a few steps, tracing a graph takes longer."""
    import keras  # noqa: PLC0415

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf  # noqa: PLC0415

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


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


@pytest.fixture(scope="session")
def vgg16_weights() -> Path:
    """ImageNet weights of VGG16, without the top."""
    if not _VGG16_WEIGHTS:
        pytest.skip("CVLAB_VGG16_WEIGHTS names no file of VGG16's weights without the top")
    return Path(_VGG16_WEIGHTS)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty cache; photos are only those that a test names."""
    monkeypatch.delenv("CVLAB_PHOTOS", raising=False)
    monkeypatch.setenv("CVLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
