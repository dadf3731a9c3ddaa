"""From judged rows to a finding: how often the tuned side won, and how sure that is.

Sources: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference"; Zheng
et al. 2023, arXiv:2306.05685 (judges prefer a place and the longer answer; swapping the places).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist

from gemtune.evaluation.comparing.significance import mcnemar_exact
from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.judging.judgement import Choice, JudgedRow, JudgeFinding, Judgement


def summarize_judging(
    rows: Sequence[JudgedRow],
    n_more_characters: Mapping[str, int],
    *,
    judge: str,
    seed: int,
    confidence: float,
) -> JudgeFinding:
    """Count what the judge said.

    Args:
        rows: In the order of the test set.
        n_more_characters: By id of the row: length of the tuned answer minus that of the base.
        judge: The model that judged and the version of what it was told.
        seed: What the rows were drawn with.
        confidence: Of the interval, for instance 0.95.
    """
    count = Counter(row.outcome for row in rows)
    n_win, n_loss, n_inconsistent = count["win"], count["loss"], count["inconsistent"]
    low, high = wilson_interval(n_win, n_win + n_loss, confidence)
    judgements = [found for row in rows for found in (row.base_first, row.tuned_first) if found]
    return JudgeFinding(
        judge=judge,
        seed=seed,
        n_rows=len(rows),
        n_equal=count["equal"],
        n_failed=count["failed"],
        failures=_failures(judgements),
        outcomes=Outcomes(n_win, n_inconsistent + count["equal"] + count["tie"], n_loss),
        n_inconsistent=n_inconsistent,
        inconsistent_share=_share(n_inconsistent, n_win + n_loss + n_inconsistent + count["tie"]),
        n_prefers_first=_n_prefers("first", rows),
        n_prefers_second=_n_prefers("second", rows),
        win_share=_share(n_win, n_win + n_loss),
        low=low,
        high=high,
        confidence=confidence,
        p=mcnemar_exact(n_win, n_loss),
        longer_won_share=_longer_won_share(rows, n_more_characters),
        n_calls=len(judgements),
        n_input_tokens=sum(found.n_input_tokens for found in judgements),
        n_output_tokens=sum(found.n_output_tokens for found in judgements),
        rows=tuple(rows),
    )


def wilson_interval(
    n_win: int, n_decided: int, confidence: float
) -> tuple[float, float] | tuple[None, None]:
    """Bound the share of wins; it stays within 0 and 1 and has a width also at the ends."""
    if not n_decided:
        return None, None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = n_win / n_decided, z**2 / n_decided
    middle = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / n_decided + weight / (4 * n_decided)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(n_part: int, n_all: int) -> float | None:
    return n_part / n_all if n_all else None


def _failures(judgements: Sequence[Judgement]) -> dict[str, int]:
    return dict(Counter(found.reason for found in judgements if found.choice is None))


def _n_prefers(place: Choice, rows: Sequence[JudgedRow]) -> int:
    return sum(
        row.base_first is not None
        and row.tuned_first is not None
        and row.base_first.choice == row.tuned_first.choice == place
        for row in rows
    )


def _longer_won_share(
    rows: Sequence[JudgedRow], n_more_characters: Mapping[str, int]
) -> float | None:
    has_longer_won = [
        (row.outcome == "win") == (n_more_characters[row.id] > 0)
        for row in rows
        if row.outcome in ("win", "loss") and n_more_characters[row.id]
    ]
    return _share(sum(has_longer_won), len(has_longer_won))
