"""Where an answer departs from what was wanted, word by word."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

_MAX_WORDS = 400
_LEAST_LIKENESS = 0.25
# Labels such as `card_arrival` are words joined by underscores.
_WORD = re.compile(r"\s+|[^\W_]+|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of the answer (`same`, `extra`), or of the reference alone (`missing`)."""

    text: str
    kind: Literal["same", "extra", "missing"]


def diff_words(reference: str, answer: str) -> tuple[Piece, ...]:
    """Cut an answer into what the reference has too, what it has not, and what is left out.

    Texts of more than 400 words are compared up to there; what follows in the answer is `same`. An
    answer that has next to nothing in common with the reference is `extra` as a whole: matches of
    single words such as "the" would only hide that.
    """
    wanted, found = _words(reference), _words(answer)
    if _likeness(wanted, found) < _LEAST_LIKENESS:
        return (Piece(answer, "extra"),) if answer else ()
    matcher = SequenceMatcher(None, wanted[:_MAX_WORDS], found[:_MAX_WORDS], autojunk=False)
    pieces: list[Piece] = []
    for tag, i, j, k, n in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("".join(found[k:n]), "same"))
            continue
        # Taken out before put in, as a correction is read.
        if j > i:
            pieces.append(Piece("".join(wanted[i:j]), "missing"))
        if n > k:
            pieces.append(Piece("".join(found[k:n]), "extra"))
    rest = "".join(found[_MAX_WORDS:])
    return (*pieces, Piece(rest, "same")) if rest else tuple(pieces)


def closest_reference(references: Sequence[str], answer: str) -> str:
    """The reference that has most words in common with the answer; the first of equals."""
    found = _words(answer)
    return max(references, key=lambda text: _likeness(_words(text), found))


def _likeness(wanted: Sequence[str], found: Sequence[str]) -> float:
    """From 0 to 1, by words alone."""
    sides = [[word for word in words[:_MAX_WORDS] if word.isalnum()] for words in (wanted, found)]
    return SequenceMatcher(None, *sides, autojunk=False).ratio()


def _words(text: str) -> list[str]:
    return _WORD.findall(text)
