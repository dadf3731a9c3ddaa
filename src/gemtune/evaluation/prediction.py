"""What a model answered to one row of a test set."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row; what a foreign file does not say is None."""

    id: str
    text: str
    n_tokens: int | None = None
    finish_reason: str | None = None
    prompt_truncated: int | None = None
    reference_loss: float | None = None
    """Sum of -ln p over the tokens of the row's own reference and its end token, in nats."""
    n_reference_tokens: int | None = None
