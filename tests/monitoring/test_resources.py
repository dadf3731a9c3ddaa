"""CPU, memory and GPU readings."""

import importlib
import time

import psutil
import pytest
import torch

from gemtune.monitoring import resources
from gemtune.monitoring.resources import read_resources


def _keep_one_core_busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_memory_is_what_this_process_holds() -> None:
    resident_gib = psutil.Process().memory_info().rss / 2**30
    assert read_resources()["system/memory_gib"] == pytest.approx(resident_gib, rel=0.1)


def test_cpu_is_measured_since_the_last_call() -> None:
    read_resources()
    _keep_one_core_busy(seconds=0.2)
    busy = read_resources()["system/cpu_percent"]
    time.sleep(0.2)
    idle = read_resources()["system/cpu_percent"]
    assert busy > idle + 5


def test_the_first_reading_is_not_zero() -> None:
    fresh = importlib.reload(resources)
    _keep_one_core_busy(seconds=0.2)
    assert fresh.read_resources()["system/cpu_percent"] > 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_said_of_one() -> None:
    assert set(read_resources()) == {"system/cpu_percent", "system/memory_gib"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_memory_grows_with_what_torch_allocates() -> None:
    before = read_resources()["system/gpu_memory_gib"]
    held = torch.zeros(2**28, device="cuda")
    assert read_resources()["system/gpu_memory_gib"] >= before + 0.9
    del held
