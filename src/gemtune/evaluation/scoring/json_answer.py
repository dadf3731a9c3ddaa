"""Answers that are JSON: whether they parse, and which of their fields are right."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, References

Field = tuple[tuple[str | int, ...], str]
"""(Keys and positions down to a plain value, that value as JSON)."""


def json_family() -> Family:
    """Share of answers that are JSON, F1 over their fields, share of equal ones."""
    return Family(
        "json",
        (
            Metric("json_valid", is_binary=True),
            Metric("json_field_f1"),
            Metric("json_exact", is_binary=True),
        ),
        n_statistics=5,
        statistics=_statistics,
        corpus=_scores,
        rows=_scores,
        signature=lambda references: (
            "the whole answer parsed as JSON|fields are (path, value), plain items of a list in "
            "any order|fields of all rows pooled|reference with the best F1|0..1"
        ),
    )


def json_fields(text: str) -> list[Field] | None:
    """All plain values of a JSON text with their paths; None where it is no JSON.

    An empty object or list counts as a plain value, so that each text has at least one field.
    """
    try:
        value = json.loads(
            text,
            parse_float=_whole_if_possible,
            parse_constant=_refuse,
            object_pairs_hook=_without_repeats,
        )
    except (ValueError, RecursionError):
        return None
    return list(_flatten(value))


def is_json_container(text: str) -> bool:
    """The text is a JSON object or list."""
    return text.lstrip()[:1] in ("{", "[") and json_fields(text) is not None


def _whole_if_possible(digits: str) -> float | int:
    # JSON has one kind of number: 1 and 1.0 are equal.
    number = float(digits)
    return int(number) if math.isfinite(number) and number.is_integer() else number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Which of two equal keys counts is up to the reader (RFC 8259, section 4).
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice in one object")
    return found


def _flatten(value: Any) -> Iterator[Field]:
    # A stack of our own, because texts from models may nest as deep as Python can recurse.
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while stack:
        path, found = stack.pop()
        if isinstance(found, dict) and found:
            stack += [((*path, key), inner) for key, inner in found.items()]
        elif isinstance(found, list) and found:
            stack += [((*path, position), inner) for position, inner in enumerate(found)]
        else:
            yield path, json.dumps(found)


def _statistics(predictions: Sequence[Prediction], references: References) -> Floats:
    found = np.ones((len(predictions), 5))
    for row, prediction, accepted in zip(found, predictions, references, strict=True):
        fields = json_fields(prediction.text)
        wanted = [json_fields(text) or [] for text in accepted]
        is_exact = fields is not None and any(set(fields) == set(each) for each in wanted)
        matches = [_match(fields or [], each) for each in wanted]
        n_right, n_all = max(matches, key=lambda match: 2 * match[0] / max(match[1], 1))
        row[:4] = fields is not None, is_exact, n_right, n_all
    return found


def _match(fields: Sequence[Field], wanted: Sequence[Field]) -> tuple[int, int]:
    n_right = (_in_any_order(fields) & _in_any_order(wanted)).total()
    return n_right, len(fields) + len(wanted)


def _in_any_order(fields: Sequence[Field]) -> Counter[Field]:
    return Counter(
        ((*path[:-1], "[]") if path and isinstance(path[-1], int) else path, value)
        for path, value in fields
    )


def _scores(totals: Floats) -> Floats:
    n_valid, n_exact, n_right, n_fields, n_rows = np.moveaxis(totals, -1, 0)
    field_f1 = 2 * n_right / np.maximum(n_fields, 1)
    return np.stack([n_valid / n_rows, field_f1, n_exact / n_rows], axis=-1)
