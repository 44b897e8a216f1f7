"""Does bfloat16 pay here? Asked without Keras, unless a GPU may answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

# NVIDIA's GPUs have native bfloat16 support from this compute capability on.
_BFLOAT16_CAPABILITY: Final = (8, 0)


@dataclass(frozen=True)
class Gpu:
    """A GPU that the Keras backend can use.

    Attributes:
        name: As its driver calls it.
        capability: NVIDIA's compute capability, such as (9, 0).
    """

    name: str
    capability: tuple[int, ...]


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor has native bfloat16 support.

    If so, Keras trains convnets nearly twice as fast under the policy `mixed_bfloat16`, which keeps
    the weights in float32. Other processors emulate bfloat16 and get slower.

    Args:
        cpuinfo: Linux's list of the processor's abilities; other systems have none, and the answer
            is False.
    """
    if not cpuinfo.is_file():
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(cpuinfo.read_text().split()))


def dtype_policy(*, fast: bool) -> str:
    """Return the name of the dtype policy to train with, for `keras.config.set_dtype_policy`.

    Args:
        fast: Whether bfloat16 is wanted, as in the profiles' `mixed_precision`.

    Returns:
        `mixed_bfloat16` if it is wanted and what computes (the GPU if there is one, else the
        processor) has native support for it, else `float32`.
    """
    if not fast:
        return "float32"
    found = gpus()
    native = found[0].capability >= _BFLOAT16_CAPABILITY if found else multiplies_bfloat16()
    return "mixed_bfloat16" if native else "float32"


def gpus() -> list[Gpu]:
    """Return the GPUs that the Keras backend can use, which imports it (several seconds)."""
    import keras  # noqa: PLC0415 - slow, and only this question needs it

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        found = []
        for device in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(device)
            capability = details.get("compute_capability", (0, 0))
            found.append(Gpu(str(details.get("device_name", device.name)), capability))
        return found
    if backend == "torch":
        import torch  # noqa: PLC0415

        cuda = torch.cuda
        numbers = range(cuda.device_count())
        return [Gpu(cuda.get_device_name(n), cuda.get_device_capability(n)) for n in numbers]
    if backend == "jax":
        import jax  # noqa: PLC0415

        devices = [device for device in jax.local_devices() if device.platform == "gpu"]
        return [
            Gpu(one.device_kind, tuple(map(int, one.compute_capability.split("."))))
            for one in devices
        ]
    return []
