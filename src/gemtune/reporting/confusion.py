"""Which labels are taken for which."""

from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.evaluation.scoring.label import confusion_counts
from gemtune.reporting.comparison_files import Row


@dataclass(frozen=True, slots=True)
class Confusion:
    """A wrong label in place of a right one, and how often each side gave it."""

    wanted: str
    answered: str
    n_base: int
    n_tuned: int


def top_confusions(rows: Sequence[Row], n_listed: int) -> list[Confusion]:
    """The mistakes that the tuned model makes most often, most first."""
    references = [row.references for row in rows]
    base = confusion_counts([row.base.prediction for row in rows], references)
    tuned = confusion_counts([row.tuned.prediction for row in rows], references)
    mistakes = [
        Confusion(wanted, answered, base.get((wanted, answered), 0), n_tuned)
        for (wanted, answered), n_tuned in tuned.items()
        if wanted != answered
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.n_tuned)[:n_listed]
