"""What test rows that were trained on do to the difference."""

from pathlib import Path

from gemtune.config.schema import EvaluationConfig
from gemtune.evaluation.comparing.measure import measure
from gemtune.evaluation.comparing.pair import Pair, of_rows
from gemtune.evaluation.comparing.shared_rows import SharedRows
from gemtune.evaluation.findings import Contamination


def contamination_finding(
    pair: Pair, shared: SharedRows | None, train_data: Path | None, config: EvaluationConfig
) -> Contamination | None:
    """Count the shared rows and measure one metric without them.

    Args:
        pair: Of one metric.
        shared: None where the training data is not known.
        train_data: Where it is.
        config: Confidence, resamples and seed.
    """
    if shared is None:
        return None
    clean = ~shared.any
    divides = clean.any() and not clean.all()
    return Contamination(
        train_data=str(train_data),
        n_inputs=int(shared.inputs.sum()),
        n_pairs=int(shared.pairs.sum()),
        n_shared_ngrams=int(shared.ngrams.sum()),
        n_clean=int(clean.sum()),
        without=measure(of_rows(pair, clean), config)[0] if divides else None,
    )
