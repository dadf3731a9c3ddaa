"""Which answer belongs to which row of the test set: by id, then by input, and never by guess."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gemtune.data.examples import Example
from gemtune.errors import DataError
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.test_set import input_text

_N_LISTED = 5
_FIX = "compare predictions of the same test data, or evaluate the model again on this one"


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """An answer in a file, and what the file says of the row that it belongs to."""

    line: int
    prediction: Prediction
    """Its `id` means nothing yet."""
    id: str | None
    input: str | None
    """The input of the row; None where the file does not tell it."""
    texts: tuple[str, ...] = ()
    """Of which one may be the input, where the file does not say which."""
    is_named: bool = False
    """The id is that of the test row; otherwise it may be one of another numbering."""


def align_answers(
    path: Path, answers: Sequence[FoundAnswer], examples: Sequence[Example]
) -> list[Prediction]:
    """Bring answers into the order of the test set.

    Raises:
        DataError: Answers that are missing, twice or of no row, or with the input of another row.
    """
    rows = {example.id: example for example in examples}
    found: dict[str, Prediction] = {}
    bad: dict[str, list[tuple[int, str]]] = defaultdict(list)
    by_input = _rows_by_input(examples)
    for answer in answers:
        row_id = _row_of(answer, rows, by_input, found)
        if row_id is None:
            bad["not in the test data:"].append((answer.line, _name(answer)))
        elif row_id in found:
            bad["more than one prediction for"].append((answer.line, row_id))
        elif answer.input not in (None, input_text(rows[row_id])):
            bad["the input differs from the test data (swapped rows?) for"].append(
                (answer.line, row_id)
            )
        if row_id is not None:
            found[row_id] = replace(answer.prediction, id=row_id)
    for what, places in bad.items():
        named = _listed([name for _, name in places])
        raise DataError(f"{path}:{places[0][0]}: {what} {named}", fix=_FIX)
    if missing := [example.id for example in examples if example.id not in found]:
        raise DataError(f"{path}: no prediction for {_listed(missing)}", fix=_FIX)
    return [found[example.id] for example in examples]


def _row_of(
    answer: FoundAnswer,
    rows: Mapping[str, Example],
    by_input: Mapping[str, Sequence[str]],
    found: Mapping[str, Prediction],
) -> str | None:
    if answer.is_named or answer.id in rows:
        return answer.id if answer.id in rows else None
    texts = answer.texts if answer.input is None else (answer.input,)
    same = next((by_input[text] for text in texts if text in by_input), ())
    # Rows that ask the same get the answers in the order of the file; one too many is seen.
    return next((row_id for row_id in same if row_id not in found), same[-1] if same else None)


def _rows_by_input(examples: Sequence[Example]) -> dict[str, list[str]]:
    by_input: dict[str, list[str]] = {}
    for example in examples:
        by_input.setdefault(input_text(example), []).append(example.id)
    return by_input


def _name(answer: FoundAnswer) -> str:
    texts = filter(None, (answer.input, *answer.texts))
    return answer.id or next(texts, "a row without id and input")[:60]


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names[:_N_LISTED]))
    return listed + (f" and {len(names) - _N_LISTED} more" if len(names) > _N_LISTED else "")
