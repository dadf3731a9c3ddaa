"""Two sides as numbers, row by row, ready to be resampled."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gemtune.data.examples import Example
from gemtune.evaluation.comparing.statistics import Floats
from gemtune.evaluation.scoring.family import Metric, means
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import Side
from gemtune.evaluation.test_set import group_of


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A base and the runs that are compared with it, on the same rows."""

    metrics: tuple[Metric, ...]
    base: Floats
    """Shape (rows, statistics); rows add up."""
    runs: tuple[Floats, ...]
    """The same of each training run."""
    base_rows: Floats
    """Scores of single rows, shape (rows, metrics)."""
    run_rows: tuple[Floats, ...]
    """The same of each training run."""
    groups: Sequence[Hashable]
    """One key a row; rows of one key are one piece of evidence."""
    score: Callable[[Floats], Floats]
    """Sums of shape (..., statistics) to scores (..., metrics)."""

    @property
    def n_groups(self) -> int:
        """Independent pieces of evidence."""
        return len(set(self.groups))

    @property
    def gains(self) -> Floats:
        """How much better each row got, mean over the runs, shape (rows, metrics).

        Above 0 is better for every metric that has a better direction.
        """
        signs = [1.0 if metric.higher_is_better else -1.0 for metric in self.metrics]
        with np.errstate(invalid="ignore"):
            # Differences first: the mean of three equal scores need not be that score.
            gains = np.mean([run - self.base_rows for run in self.run_rows], axis=0)
        return gains * np.array(signs)


def pair_up(base: Side, runs: Sequence[Side], examples: Sequence[Example], scorer: Scorer) -> Pair:
    """Put all metrics of the sides next to each other."""
    # A hopeless model's perplexity overflows; that is a figure, not a fault.
    with np.errstate(over="ignore", invalid="ignore"):
        base_rows, *run_rows = (scorer.rows(side.statistics) for side in (base, *runs))
    return Pair(
        metrics=scorer.metrics,
        base=base.statistics,
        runs=tuple(run.statistics for run in runs),
        base_rows=base_rows,
        run_rows=tuple(run_rows),
        groups=[group_of(example) for example in examples],
        score=scorer.corpus,
    )


def first_run(pair: Pair) -> Pair:
    """Leave the other runs out."""
    return replace(pair, runs=pair.runs[:1], run_rows=pair.run_rows[:1])


def of_metric(pair: Pair, name: str, scorer: Scorer) -> Pair:
    """Keep one metric and, of the statistics, what it is made of."""
    column = scorer.column(name)
    metric = pair.metrics[column]
    base_rows, run_rows = pair.base_rows[:, [column]], tuple(r[:, [column]] for r in pair.run_rows)
    if metric.is_binary:
        # Its corpus score is the mean of the rows, which is far less to add up.
        base, runs = _with_count(base_rows), tuple(map(_with_count, run_rows))
        return Pair((metric,), base, runs, base_rows, run_rows, pair.groups, means)
    part, score = _part_of(name, scorer)
    base, runs = pair.base[:, part], tuple(run[:, part] for run in pair.runs)
    return Pair((metric,), base, runs, base_rows, run_rows, pair.groups, score)


def of_rows(pair: Pair, rows: NDArray[np.bool_]) -> Pair:
    """Keep the rows where `rows` is true, shape (rows,)."""
    return replace(
        pair,
        base=pair.base[rows],
        runs=tuple(run[rows] for run in pair.runs),
        base_rows=pair.base_rows[rows],
        run_rows=tuple(run[rows] for run in pair.run_rows),
        groups=[group for group, kept in zip(pair.groups, rows, strict=True) if kept],
    )


def _with_count(scores: Floats) -> Floats:
    return np.concatenate([scores, np.ones_like(scores)], axis=1)


def _part_of(name: str, scorer: Scorer) -> tuple[slice, Callable[[Floats], Floats]]:
    start = 0
    for family in scorer.families:
        names = [metric.name for metric in family.metrics]
        if name in names:
            break
        start += family.n_statistics
    column, corpus = names.index(name), family.corpus
    return slice(start, start + family.n_statistics), lambda sums: corpus(sums)[..., [column]]
