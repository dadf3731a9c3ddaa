"""What of a machine decides how numbers round."""

from typing import Any

import torch


def describe_hardware() -> dict[str, Any]:
    """Accelerator, vector instructions and threads."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
