"""Rows worth reading, with what differs from the reference marked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gemtune.reporting.comparison_files import Answer, Row
from gemtune.reporting.row_gains import ScoredRow
from gemtune.reporting.word_diff import Piece, closest_reference, diff_words


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer and its difference from the closest reference."""

    pieces: tuple[Piece, ...]
    is_cut: bool
    """It ended at the longest length, not by itself."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row as the page shows it."""

    id: str
    input: str
    reference: str
    n_other_references: int
    base: ShownAnswer
    tuned: ShownAnswer
    scored: ScoredRow | None
    """None where rows have no scores of their own."""


def show_rows(
    ids: Iterable[str], rows: Mapping[str, Row], scored: Mapping[str, ScoredRow]
) -> list[ShownRow]:
    """Prepare rows by id; ids without a row are left out."""
    return [_shown(rows[name], scored.get(name)) for name in ids if name in rows]


def _shown(row: Row, scored: ScoredRow | None) -> ShownRow:
    return ShownRow(
        id=row.id,
        input=row.input,
        reference=row.output,
        n_other_references=len(row.references) - 1,
        base=_answer(row.base, row.references),
        tuned=_answer(row.tuned, row.references),
        scored=scored,
    )


def _answer(answer: Answer, references: Sequence[str]) -> ShownAnswer:
    reference = closest_reference(references, answer.prediction)
    return ShownAnswer(
        diff_words(reference, answer.prediction), is_cut=answer.finish_reason == "length"
    )
