"""What a reader has to know before trusting the figures of a comparison."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example
from gemtune.evaluation.comparing.slices import MAX_VALUES, Slice
from gemtune.evaluation.comparing.statistics import can_show_evidence
from gemtune.evaluation.comparing.verdict import can_lose_more
from gemtune.evaluation.findings import Contamination, MetricDifference
from gemtune.evaluation.side import Side
from gemtune.evaluation.test_set import accepted_answers

_FEW_GROUPS = 100
_SETTINGS_TO_AGREE = (
    "strategy",
    "engine",
    "dtype",
    "batch_tokens",
    "max_new_tokens",
    "stop_token_ids",
    "template",
    "separator",
)
_ROUGE_WORD = re.compile("[a-z0-9]", re.IGNORECASE)


def size_notes(n_groups: int, config: EvaluationConfig, n_primaries: int) -> Iterator[str]:
    """Too few rows or resamples."""
    if not can_show_evidence(n_groups, config.confidence):
        yield f"too few independent rows for any verdict: {n_groups}"
    elif n_groups < _FEW_GROUPS:
        yield f"the interval is approximate: only {n_groups} independent rows"
    smallest_p = n_primaries / (config.bootstrap_samples + 1)
    if smallest_p > 1 - config.confidence:
        yield (
            f"{config.bootstrap_samples} resamples cannot show a probability below "
            f"{smallest_p:.2g}; raise evaluation.bootstrap_samples"
        )


def gate_notes(config: EvaluationConfig, primaries: Sequence[MetricDifference]) -> Iterator[str]:
    """A gate that asks for more than its name says, or that nobody could miss."""
    if config.gate == "not_worse" and config.margin == 0:
        yield (
            "evaluation.margin is 0, so that only an improvement meets the gate not_worse; "
            "set the loss that you would accept"
        )
    for found in primaries:
        if config.margin > 0 and not can_lose_more(found, config.margin):
            yield (
                f"{found.metric} of the base is within the margin, so that no model could lose "
                "more; this alone is not called not worse"
            )


def script_notes(examples: Sequence[Example], primaries: Sequence[str]) -> Iterator[str]:
    """ROUGE sees no words in most scripts, and every answer would score 0."""
    n_unseen = sum(
        not any(map(_ROUGE_WORD.search, accepted_answers(example))) for example in examples
    )
    if n_unseen and any(name.startswith("rouge") for name in primaries):
        yield (
            f"ROUGE reads a-z and 0-9 only, which {n_unseen} of {len(examples)} references do not "
            "hold; set evaluation.primary_metric to bleu or exact_match"
        )


def number_notes(metrics: Sequence[MetricDifference]) -> Iterator[str]:
    """Scores that are not numbers."""
    for found in metrics:
        if not np.isfinite([found.difference, found.low, found.high]).all():
            yield f"{found.metric} is not a finite number on all rows, so nothing is said of it"


def slice_notes(slices: Sequence[Slice]) -> Iterator[str]:
    """Slices that were left out."""
    for by, count in Counter(part.by for part in slices).items():
        if count > MAX_VALUES:
            yield f"{by} has {count} values; the {MAX_VALUES} with most rows are shown"


def contamination_notes(found: Contamination | None, n_rows: int) -> Iterator[str]:
    """Test rows that were trained on."""
    if found and found.n_clean < n_rows:
        yield (
            f"{n_rows - found.n_clean} of {n_rows} test rows are in the training data, "
            "word by word or nearly"
        )


def seed_notes(runs: Sequence[Side]) -> Iterator[str]:
    """What one training run cannot say, and what is said of one run alone."""
    if len(runs) == 1:
        yield "one training run: what another seed would give is not covered"
    else:
        yield f"slices, lengths and examples are those of the first run, {runs[0].name}"


def settings_notes(base: Side, runs: Sequence[Side]) -> Iterator[str]:
    """Answers that were not made in the same way."""
    if base.decode is None or any(run.decode is None for run in runs):
        yield "it is not known whether both sides were decoded with the same settings"
    of_base = _flat(base.decode)
    for run in runs:
        of_run = _flat(run.decode)
        for key in _SETTINGS_TO_AGREE:
            if of_base and of_run and of_base.get(key) != of_run.get(key):
                role = "tuned" if len(runs) == 1 else run.name
                yield f"{key} differs: {of_base.get(key)!r} (base), {of_run.get(key)!r} ({role})"


def _flat(decode: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**decode, **decode["data"]} if decode else {}
