"""BLEU as the E2E challenge computes it: lowercased, without smoothing."""

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.scoring.bleu import (
    N_BLEU_STATISTICS,
    bleu_from_statistics,
    bleu_signature,
    bleu_statistics,
)
from gemtune.evaluation.scoring.family import Family, Metric, References


def e2e_bleu_family() -> Family:
    """Corpus BLEU of lowercased texts; a row by itself has smoothed sentence BLEU."""
    return Family(
        "e2e_bleu",
        (Metric("e2e_bleu", best=100.0),),
        n_statistics=N_BLEU_STATISTICS,
        statistics=lambda predictions, references: bleu_statistics(
            [prediction.text.lower() for prediction in predictions],
            [[text.lower() for text in accepted] for accepted in references],
        ),
        corpus=lambda totals: _unsmoothed(totals)[..., None],
        rows=lambda rows: bleu_from_statistics(rows, effective_order=True)[..., None],
        signature=_signature,
    )


def _unsmoothed(totals: Floats) -> Floats:
    is_any_order_unmatched = (totals[..., 2 : N_BLEU_STATISTICS // 2 + 1] == 0).any(axis=-1)
    return np.where(is_any_order_unmatched, 0.0, bleu_from_statistics(totals))


def _signature(references: References) -> str:
    name = bleu_signature(references, lowercase=True, smooth="none")
    return f"sacrebleu corpus|{name}|0..100"
