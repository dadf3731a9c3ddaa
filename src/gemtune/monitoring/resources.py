"""What this process takes of the machine."""

from collections.abc import Callable
from functools import cache

import psutil

_GIB = 2**30
_PROCESS = psutil.Process()
# The first reading of psutil is always 0; taken here, so that the first one of a run is true.
_PROCESS.cpu_percent()


def read_resources() -> dict[str, float]:
    """Measure CPU and memory of this process, and the GPU where CUDA has one.

    Returns:
        `system/cpu_percent` since the last call (100 is one core), `system/memory_gib` resident;
        with a GPU `system/gpu_memory_gib` that PyTorch holds in this process and, where the
        driver tells it, `system/gpu_percent` of the whole device.
    """
    return {
        "system/cpu_percent": _PROCESS.cpu_percent(),
        "system/memory_gib": _PROCESS.memory_info().rss / _GIB,
        **_read_gpu(),
    }


def _read_gpu() -> dict[str, float]:
    import torch  # noqa: PLC0415 - the rest of this room works where torch is not installed

    if not torch.cuda.is_available():
        return {}
    readings = {"system/gpu_memory_gib": torch.cuda.memory_reserved() / _GIB}
    if _is_readable(torch.cuda.utilization):
        readings["system/gpu_percent"] = float(torch.cuda.utilization())
    return readings


@cache
def _is_readable(measure: Callable[[], int]) -> bool:
    """Try once: it takes nvidia-ml-py, and a slice of a shared GPU has no use of its own.

    The class of the driver's errors is known only where nvidia-ml-py is installed.
    """
    try:
        measure()
    except Exception:
        return False
    return True
