"""What the figures allow to say.

Source of `worst_loss` on rows none of which was lost: Hanley and Lippman-Hand 1983, "If Nothing
Goes Wrong, Is Everything All Right?" (there as the rule of three).
"""

from collections.abc import Sequence
from typing import Literal

from gemtune.evaluation.comparing.statistics import MIN_GROUPS, Outcomes, can_show_evidence
from gemtune.evaluation.findings import MetricDifference, Verdict


def decide(
    primaries: Sequence[MetricDifference], *, margin: float, confidence: float, n_groups: int
) -> Verdict:
    """Give the verdict on the primary metrics.

    Improved: at least one is surely better and none surely worse. Not worse: of each, the bad end
    of the interval is within the margin, and the base scores more than the margin. Regressed: one
    is surely worse. A difference is sure when its interval leaves out 0 and its corrected
    probability is small enough.

    Args:
        primaries: Differences with `p_holm`.
        margin: Loss that still counts as not worse, in the metric's own unit; 0 for none.
        confidence: Of the intervals.
        n_groups: Independent rows. A handful can show nothing, and "not worse" takes more than
            the others, because the interval alone carries it.
    """
    if not can_show_evidence(n_groups, confidence):
        return "no evidence"
    level = 1 - confidence
    sure = [_direction(found, level) for found in primaries]
    if 1 in sure and -1 not in sure:
        return "improved"
    is_close = margin > 0 and all(
        worst_loss(found, level) <= margin and can_lose_more(found, margin) for found in primaries
    )
    if is_close and n_groups >= MIN_GROUPS:
        return "not worse"
    return "regressed" if -1 in sure else "no evidence"


def is_gate_met(verdict: Verdict, gate: Literal["improved", "not_worse"]) -> bool:
    """Say whether the verdict is what the config asks for."""
    return verdict == "improved" or (gate == "not_worse" and verdict == "not worse")


def worst_loss(found: MetricDifference, level: float) -> float:
    """How much worse the tuned model may be, in the metric's own unit; below 0: surely better.

    Args:
        found: Of the interval, the bad end.
        level: 1 - confidence of the interval.
    """
    worst = -found.low if found.higher_is_better else found.high
    match found:
        case MetricDifference(test="McNemar exact", rows=Outcomes(win=int(win), tie=tie, loss=0)):
            # Where no row was lost a bootstrap cannot lose one either; a larger test set could.
            return max(worst, 1 - (level / 2) ** (1 / (win + tie)))
        case _:
            return worst


def can_lose_more(found: MetricDifference, margin: float) -> bool:
    """Whether the base scores enough to lose more than the margin; scores end at 0."""
    return not (found.higher_is_better and 0 <= found.base <= margin)


def _direction(found: MetricDifference, level: float) -> Literal[-1, 0, 1]:
    """1: surely better; -1: surely worse; 0: neither."""
    p = found.p if found.p_holm is None else found.p_holm
    if p > level or not (found.low > 0 or found.high < 0):
        return 0
    return 1 if (found.low > 0) == found.higher_is_better else -1
