"""Which number format is chosen, and what is said when it is not the one asked for."""

import logging

import pytest
import torch

from gemtune.config.precision import Precision
from gemtune.models.precision import DTYPE_NAMES, choose_device, choose_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(("request_", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_named_format_is_used_as_asked(request_: Precision, dtype: torch.dtype) -> None:
    assert choose_dtype(request_, CPU) is dtype


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_takes_bf16_where_the_cpu_multiplies_it(
    capabilities: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    assert choose_dtype("auto", CPU) is dtype


def test_fp16_on_a_cpu_warns_and_takes_what_auto_takes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "gemtune")

    dtype = choose_dtype("fp16", CPU)

    assert dtype is choose_dtype("auto", CPU)
    assert "fp16 is not used on cpu" in caplog.text
    assert DTYPE_NAMES[dtype] in caplog.text


def test_auto_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    choose_dtype("auto", CPU)

    assert caplog.text == ""


def test_the_chosen_device_can_compute_in_the_chosen_format() -> None:
    device = choose_device()
    ones = torch.ones(4, 4, dtype=choose_dtype("auto", device), device=device)

    assert float((ones @ ones).sum()) == 64.0
