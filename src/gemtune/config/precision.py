"""What number format a training config asks for."""

from typing import Literal

from gemtune.config.schema import TrainingConfig

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def resolve_precision_request(training: TrainingConfig) -> Precision:
    """Fold the old spelling `fp16: true` into `precision`."""
    return "fp16" if training.fp16 else training.precision
