"""Where bfloat16 pays: the GPU decides if there is one, else the processor."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cvlab import precision
from tests.needs import needs_tensorflow


@needs_tensorflow
def test_gpus_are_what_the_backend_sees() -> None:
    import tensorflow as tf  # noqa: PLC0415

    assert len(precision.gpus()) == len(tf.config.list_physical_devices("GPU"))


def test_a_backend_that_knows_no_devices_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "numpy")
    assert precision.gpus() == []


def _give_gpus(backend: str, capability: tuple[int, int], patch: pytest.MonkeyPatch) -> None:
    """Make Keras run on a backend that sees two GPUs and the processor."""
    major, minor = capability
    name = SimpleNamespace(platform="gpu", device_kind="H", compute_capability=f"{major}.{minor}")
    modules: dict[str, Any] = {
        "torch": SimpleNamespace(
            cuda=SimpleNamespace(
                device_count=lambda: 2,
                get_device_name=lambda number: "H",
                get_device_capability=lambda number: capability,
            )
        ),
        "jax": SimpleNamespace(
            local_devices=lambda: [SimpleNamespace(platform="cpu"), name, name],
        ),
        "tensorflow": SimpleNamespace(
            config=SimpleNamespace(
                list_physical_devices=lambda kind: [SimpleNamespace(name="0")] * 2,
                experimental=SimpleNamespace(
                    get_device_details=lambda device: {
                        "device_name": "H",
                        "compute_capability": capability,
                    }
                ),
            )
        ),
    }
    patch.setattr("keras.backend.backend", lambda: backend)
    patch.setitem(sys.modules, backend, modules[backend])


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
@pytest.mark.parametrize(
    ("capability", "policy"), [((9, 0), "mixed_bfloat16"), ((7, 5), "float32")]
)
def test_with_a_gpu_its_own_bfloat16_support_decides(
    monkeypatch: pytest.MonkeyPatch, backend: str, capability: tuple[int, int], policy: str
) -> None:
    _give_gpus(backend, capability, monkeypatch)
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: policy == "float32")
    assert [device.name for device in precision.gpus()] == ["H", "H"]
    assert precision.dtype_policy(fast=True) == policy


@pytest.mark.parametrize(
    ("flags", "can"),
    [("fpu avx512f avx512_bf16", True), ("amx_tile amx_bf16", True), ("avx2 avx512f", False)],
)
def test_bfloat16_is_read_from_the_processors_flags(tmp_path: Path, flags: str, can: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\n")
    assert precision.multiplies_bfloat16(tmp_path / "cpuinfo") is can


def test_without_a_list_of_flags_there_is_no_bfloat16(tmp_path: Path) -> None:
    assert not precision.multiplies_bfloat16(tmp_path / "cpuinfo")


@pytest.mark.parametrize(
    ("fast", "can", "policy"),
    [
        (True, True, "mixed_bfloat16"),
        (True, False, "float32"),
        (False, True, "float32"),
        (False, False, "float32"),
    ],
)
def test_bfloat16_only_where_it_is_wanted_and_there(
    monkeypatch: pytest.MonkeyPatch, fast: bool, can: bool, policy: str
) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: can)
    assert precision.dtype_policy(fast=fast) == policy
