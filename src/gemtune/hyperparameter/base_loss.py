"""What the base reaches untrained, which trials are compared with."""

import math

from gemtune.config.schema import Config
from gemtune.errors import NotFiniteError
from gemtune.fine_tuning.foundation import Foundation
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.step import mean_loss
from gemtune.models.memory import memory_errors


def measure_base(foundation: Foundation, config: Config) -> float:
    """Validation loss of the base, in nats per target token.

    Raises:
        NotFiniteError: it is not finite.
        ResourceError: out of memory.
    """
    limit = TokenLimit(0, False, config.fine_tuning.training.micro_batch_tokens)
    rows = foundation.rows["val"]
    with memory_errors("while measuring the base", fix="choose a smaller model"):
        loss = MemoryLimit([limit], lambda _: None).fit(
            lambda tokens: mean_loss(foundation.base, rows, max_tokens=tokens),
            rows,
            0,
            in_training=False,
        )
    if not math.isfinite(loss):
        raise NotFiniteError(
            f"the validation loss of the base model is {loss}",
            fix="set fine_tuning.training.precision=fp32, or choose another model",
        )
    return loss
