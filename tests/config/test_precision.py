"""The old spelling `fp16: true` asks for the same as `precision: fp16`."""

import pytest

from gemtune.config.precision import resolve_precision_request
from gemtune.config.schema import TrainingConfig


@pytest.mark.parametrize(
    ("training", "precision"),
    [
        (TrainingConfig(), "auto"),
        (TrainingConfig(fp16=True), "fp16"),
        (TrainingConfig(fp16=False), "auto"),
        (TrainingConfig(fp16=False, precision="bf16"), "bf16"),
        (TrainingConfig(precision="fp32"), "fp32"),
    ],
)
def test_fp16_is_folded_into_precision(training: TrainingConfig, precision: str) -> None:
    assert resolve_precision_request(training) == precision
