"""Which number format a model runs in on which device."""

import logging

import torch

from gemtune.config.precision import Precision

logger = logging.getLogger(__name__)

DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def choose_device() -> torch.device:
    """The accelerator of this machine, or its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(request: Precision, device: torch.device) -> torch.dtype:
    """Choose the number format for `request` on `device`.

    `auto` takes bf16 where the hardware multiplies it faster than fp32, and fp32 elsewhere. fp16
    needs loss scaling to train and is slower than fp32 on CPUs: it falls back with a warning.
    """
    if request == "fp32":
        return torch.float32
    if request == "bf16":
        return torch.bfloat16
    dtype = torch.bfloat16 if _is_good_at_bf16(device) else torch.float32
    if request == "fp16":
        logger.warning("fp16 is not used on %s: %s takes its place", device, DTYPE_NAMES[dtype])
    return dtype


def _is_good_at_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
