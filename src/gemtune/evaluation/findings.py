"""What a comparison found, as plain data: comparison.json holds exactly this.

Every `difference` is tuned minus base in the metric's own unit; `low` and `high` bound it with the
confidence of the comparison. Probabilities are two-sided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.judging.judgement import JudgeFinding

Verdict = Literal["improved", "not worse", "no evidence", "regressed"]
Test = Literal["McNemar exact", "approximate randomization", "two-level bootstrap"]


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric on both sides."""

    metric: str
    higher_is_better: bool
    digits: int
    is_primary: bool
    base: float
    tuned: float
    difference: float
    low: float
    high: float
    test: Test
    p: float
    p_holm: float | None
    """Corrected for the number of primary metrics; None for the others."""
    smallest_visible: float | None
    """Difference that a test set like this one shows with 80 % power; None for equal sides."""
    rows: Outcomes
    """On how many rows the tuned model is better, equal, worse."""
    is_neutral: bool = False
    """It describes the answers: neither direction is better, and `higher_is_better` means nothing.
    """


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """The first primary metric on a part of the rows."""

    by: str
    """What the rows have in common: `slice`, `label`, `input length`, `digits`, `overlap`..."""
    value: str
    n_rows: int
    base: float
    tuned: float
    difference: float
    low: float
    high: float
    p: float
    p_bh: float | None
    """Corrected by Benjamini and Hochberg over all slices; None for slices that are too small."""


@dataclass(frozen=True, slots=True)
class LengthFinding:
    """Whether longer or shorter answers explain the difference."""

    base_words: float
    tuned_words: float
    reference_words: float
    """Mean words of an answer, and of the row's references."""
    difference_at_equal_length: float | None
    """Mean row difference of the first primary metric that answers of equal length would have
    (intercept of a line); None where no line can be drawn."""
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Contamination:
    """Test rows that the training data holds too; counts of rows, and scores without them."""

    train_data: str
    n_inputs: int
    """Rows whose input is in the training data, case and punctuation aside."""
    n_pairs: int
    """Rows whose input and answer are."""
    n_shared_ngrams: int
    """Rows at least half of whose 13-grams are in the training data."""
    n_clean: int
    """Rows with none of these."""
    without: MetricDifference | None
    """The first primary metric on the clean rows; None when all or none are clean."""


@dataclass(frozen=True, slots=True)
class SeedFinding:
    """The same training with several seeds: scores of the first primary metric."""

    names: tuple[str, ...]
    scores: tuple[float, ...]
    standard_deviation: float


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A piece of one training row as the model sees it, and whether its loss counted."""

    text: str
    is_trained: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of a comparison."""

    verdict: Verdict
    is_gate_met: bool
    gate: Literal["improved", "not_worse"]
    margin: float
    task: str
    primary_metrics: tuple[str, ...]
    metrics: tuple[MetricDifference, ...]
    base: str
    tuned: str
    n_examples: int
    n_groups: int
    confidence: float
    bootstrap_samples: int
    seed: int
    base_metrics: Mapping[str, float]
    tuned_metrics: Mapping[str, float]
    slices: tuple[SliceDifference, ...]
    length: LengthFinding
    contamination: Contamination | None
    """None where the training data is not known."""
    seeds: SeedFinding | None
    """None for one training run."""
    wins: tuple[str, ...]
    regressions: tuple[str, ...]
    """Ids of the rows that gained and lost most by the first primary metric, most first."""
    notes: tuple[str, ...]
    """What a reader has to know before trusting the figures."""
    judge: JudgeFinding | None = None
    """A second opinion, no part of the verdict; None where nobody was asked."""

    @property
    def primary(self) -> MetricDifference:
        """The first metric that the verdict is about."""
        return next(found for found in self.metrics if found.metric == self.primary_metrics[0])
