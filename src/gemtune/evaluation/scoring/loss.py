"""How likely the model finds the references: loss and perplexity, lower is better."""

from collections.abc import Sequence

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, References

_MAX_LOG_PERPLEXITY = 700.0
"""A float holds no more; a model this far off has no perplexity worth telling apart."""


def loss_family() -> Family:
    """Mean of -ln p over all tokens of the references, and its exponential."""
    return Family(
        "loss",
        (
            Metric("loss", best=0.0, higher_is_better=False),
            Metric("perplexity", best=1.0, higher_is_better=False),
        ),
        n_statistics=2,
        statistics=_statistics,
        corpus=_loss_and_perplexity,
        rows=_loss_and_perplexity,
        signature=lambda references: (
            "nats per token|own reference and its end token, teacher forcing|all tokens pooled"
        ),
    )


def _statistics(predictions: Sequence[Prediction], references: References) -> Floats:
    return np.array(
        [
            (prediction.reference_loss or 0.0, prediction.n_reference_tokens or 0)
            for prediction in predictions
        ],
        dtype=np.float64,
    ).reshape(len(predictions), 2)


def _loss_and_perplexity(totals: Floats) -> Floats:
    n_tokens = totals[..., 1]
    loss = np.divide(
        totals[..., 0], n_tokens, out=np.full_like(n_tokens, np.nan), where=n_tokens > 0
    )
    return np.stack([loss, np.exp(np.minimum(loss, _MAX_LOG_PERPLEXITY))], axis=-1)
