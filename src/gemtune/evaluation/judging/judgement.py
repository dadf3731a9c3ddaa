"""What a judge is asked, what it says, and what came of all of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gemtune.evaluation.comparing.statistics import Outcomes

Choice = Literal["first", "second", "tie"]
RowOutcome = Literal["win", "loss", "tie", "inconsistent", "equal", "failed"]
"""Of the tuned side. `inconsistent`: the judge changed its mind when the answers changed places;
`equal`: nobody was asked, because both answers are the same."""


@dataclass(frozen=True, slots=True)
class TwoAnswers:
    """Two answers to one question, in the order in which the judge sees them."""

    question: str
    references: tuple[str, ...]
    """Right answers."""
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge said of a pair."""

    choice: Choice | None
    """The better answer; None where the judge gave no usable one, and `reason` says why."""
    reason: str
    """Text from a model: to be shown as data, like the answers."""
    n_input_tokens: int = 0
    n_output_tokens: int = 0


Ask = Callable[[TwoAnswers], Judgement]
"""Raises RemoteError where the service failed on this pair; any other error ends the judging.

Called from several threads at once if the caller wants that.
"""


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A row of the test set, judged in both orders."""

    id: str
    outcome: RowOutcome
    base_first: Judgement | None
    tuned_first: Judgement | None
    """None where nobody was asked."""


@dataclass(frozen=True, slots=True)
class JudgeFinding:
    """A second opinion on the answers; no part of the verdict."""

    judge: str
    """The model that judged and the version of what it was told."""
    seed: int
    n_rows: int
    """Rows drawn, at most one of each group, so that they are independent."""
    n_equal: int
    n_failed: int
    """Rows without a usable judgement; they count on neither side."""
    failures: Mapping[str, int]
    """How many rows failed for each reason."""
    outcomes: Outcomes
    """Of the tuned side; a win or loss is one in both orders, all else that did not fail a tie."""
    n_inconsistent: int
    inconsistent_share: float | None
    """Of the rows that were judged in both orders; a judge that looks at the place alone has 1."""
    n_prefers_first: int
    n_prefers_second: int
    """Rows on which it chose the same place in both orders."""
    win_share: float | None
    low: float | None
    high: float | None
    """Wins among wins and losses, and its Wilson interval; None without any."""
    confidence: float
    p: float
    """Two-sided exact sign test of wins against losses."""
    longer_won_share: float | None
    """Of wins and losses between answers of unequal length: how often the longer one won."""
    n_calls: int
    n_input_tokens: int
    n_output_tokens: int
    """For all rows, those that an earlier run had asked already included."""
    rows: tuple[JudgedRow, ...]
    """In the order of the test set."""
