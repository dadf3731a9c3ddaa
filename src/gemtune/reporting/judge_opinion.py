"""What a judge found, in sentences, and what it said row by row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gemtune.evaluation.judging.judgement import JudgedRow, JudgeFinding, Judgement, RowOutcome
from gemtune.reporting.comparison_files import Row
from gemtune.reporting.numbers import count, percent, probability

_N_SHOWN = 20
# The rows that a reader wants to see first.
_ORDER: Mapping[RowOutcome, str] = {
    "loss": "base",
    "win": "tuned",
    "inconsistent": "changed its mind",
    "tie": "neither",
    "failed": "no judgement",
}


@dataclass(frozen=True, slots=True)
class ShownJudgement:
    """A row, both answers, and the judge's reasons in both orders."""

    id: str
    outcome: str
    input: str
    base: str
    tuned: str
    reason_base_first: str
    reason_tuned_first: str


def judge_lines(judge: JudgeFinding | None) -> list[str]:
    """Say who won how often, how far the judge can be trusted, and what it took."""
    return list(_lines(judge)) if judge else []


def judged_rows(judge: JudgeFinding | None, rows: Mapping[str, Row]) -> list[ShownJudgement]:
    """Rows that the judge was asked about, those that the base won first; the first few."""
    if judge is None:
        return []
    order = list(_ORDER)
    asked = [row for row in judge.rows if row.outcome in _ORDER and row.id in rows]
    asked.sort(key=lambda row: order.index(row.outcome))
    return [_shown(row, rows[row.id]) for row in asked[:_N_SHOWN]]


def _lines(judge: JudgeFinding) -> Iterator[str]:
    found = judge.outcomes
    yield (
        f"The tuned model won {count(found.win)}, tied {count(found.tie)} and lost "
        f"{count(found.loss)} rows."
    )
    if judge.win_share is not None and judge.low is not None and judge.high is not None:
        yield (
            f"Of the decided rows it won {_rounded(judge.win_share)}, with "
            f"{percent(judge.confidence)} confidence between {_rounded(judge.low)} and "
            f"{_rounded(judge.high)} (p {probability(judge.p, 1 - judge.confidence)})."
        )
    if judge.inconsistent_share is not None:
        yield (
            f"The judge changed its mind on {_rounded(judge.inconsistent_share)} when the answers "
            f"swapped places: {count(judge.n_prefers_first)} times for the first place, "
            f"{count(judge.n_prefers_second)} times for the second."
        )
    if judge.longer_won_share is not None:
        yield f"The longer answer won {_rounded(judge.longer_won_share)} of the decided rows."
    if judge.n_failed:
        reasons = ", ".join(f"{n} x {reason}" for reason, n in judge.failures.items())
        yield f"Rows without a judgement: {count(judge.n_failed)} ({reasons})."
    yield (
        f"{count(judge.n_calls)} calls, {count(judge.n_input_tokens)} + "
        f"{count(judge.n_output_tokens)} tokens."
    )


def _rounded(share: float) -> str:
    return percent(round(share, 2))


def _shown(judged: JudgedRow, row: Row) -> ShownJudgement:
    return ShownJudgement(
        id=judged.id,
        outcome=_ORDER[judged.outcome],
        input=row.input,
        base=row.base.prediction,
        tuned=row.tuned.prediction,
        reason_base_first=_reason(judged.base_first),
        reason_tuned_first=_reason(judged.tuned_first),
    )


def _reason(judgement: Judgement | None) -> str:
    return judgement.reason if judgement else ""
