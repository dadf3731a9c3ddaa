"""All rows for the table that a reader filters and sorts."""

import json
from collections.abc import Sequence

from gemtune.reporting.row_gains import ScoredRow
from gemtune.reporting.visible_text import shortened

PAGE_ROWS = 50
_MAX_CHARACTERS = 600
# What would end a script element, or a line in it, in some reading of the page.
_UNSAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}

TableRow = tuple[str, float, float, float, str, str, str, str]
"""Id, gain, score of base and tuned, input, reference, answers of base and tuned."""


def table_rows(rows: Sequence[ScoredRow]) -> list[TableRow]:
    """Shorten what is long: the page has to open at once."""
    return [
        (
            scored.row.id,
            round(scored.gain, 6),
            round(scored.base, 6),
            round(scored.tuned, 6),
            shortened(scored.row.input, _MAX_CHARACTERS),
            shortened(scored.row.output, _MAX_CHARACTERS),
            shortened(scored.row.base.prediction, _MAX_CHARACTERS),
            shortened(scored.row.tuned.prediction, _MAX_CHARACTERS),
        )
        for scored in rows
    ]


def as_script_data(rows: Sequence[TableRow]) -> str:
    """The rows as JSON that cannot leave the script element it stands in."""
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_UNSAFE)
