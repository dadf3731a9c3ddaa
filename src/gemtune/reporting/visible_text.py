"""Text from models, data and files as a page can show it, whatever characters it holds.

Markup is the template's business (it escapes everything). What is left are characters that no
escaping makes harmless: controls, marks that turn the writing direction of what follows, halves of
a surrogate pair, which no file can hold. They are written out as in JSON.
"""

import math
import re
from typing import Any

MAX_CHARACTERS = 4_000
"""A page of longer texts would not open in time; the files beside it hold them whole."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, without tab and line feed
    "\u2028\u2029"  # ends of lines in scripts, not in texts
    "\u202a-\u202e\u2066-\u2069"  # writing direction
    "\ufff9-\uffff"  # annotations and what is no character
    "\ud800-\udfff]"
)


def visible_text(text: str) -> str:
    """Write hidden characters out; carriage returns before line feeds are dropped."""
    return _HIDDEN.sub(_written_out, text.replace("\r\n", "\n"))


def visible_values(value: Any) -> Any:
    """The same JSON value with every text in it, keys included, made visible and shortened.

    Raises:
        ValueError: It holds a number that is not finite, which no chart can show.
    """
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("a number that is not finite")
        case str():
            return shortened(visible_text(value), MAX_CHARACTERS)
        case dict():
            return {visible_values(key): visible_values(inner) for key, inner in value.items()}
        case list():
            return [visible_values(inner) for inner in value]
        case _:
            return value


def shortened(text: str, n_characters: int) -> str:
    """Cut a long text, and say how much is missing."""
    if len(text) <= n_characters:
        return text
    return f"{text[:n_characters]}\u2026 ({len(text) - n_characters:,} more characters)"


def _written_out(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
