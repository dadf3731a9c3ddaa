"""Running out of memory is told as what it is, and nothing else is."""

import pytest
import torch

from gemtune.errors import ResourceError
from gemtune.models.memory import memory_errors


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_running_out_of_memory_says_when_and_what_to_do(error: Exception) -> None:
    with (
        pytest.raises(ResourceError, match=r"^out of memory while loading") as caught,
        memory_errors("while loading", fix="take less"),
    ):
        raise error
    assert caught.value.fix == "take less"
    assert not str(caught.value).endswith(": ")


def test_any_other_fault_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), memory_errors("here", fix=""):
        raise RuntimeError("shapes differ")
