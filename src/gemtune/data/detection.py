"""Which format a row is in, judged by its keys, and what is meant where no format fits."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from gemtune.data.formats import FORMAT_NAMES, SPECS, Format
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput

_OTHER_NAMES: Mapping[str, str] = {
    "instruction": "input_text",
    "input": "input_text",
    "question": "input_text",
    "query": "input_text",
    "source": "input_text",
    "text": "input_text",
    "output": "output_text",
    "answer": "output_text",
    "response": "output_text",
    "target": "output_text",
    "label": "output_text",
    "conversations": "messages",
    "conversation": "messages",
    "dialog": "messages",
    "content": "contents",
}


def choose_format(row: Mapping[str, Any], decided: Format | None) -> Format:
    """Return the format of a row; `decided` is the format of the rows before it.

    Raises:
        BadInput: MISSING_KEY, MIXED_FORMATS or AMBIGUOUS_FORMAT.
    """
    if decided and all(key in row for key in SPECS[decided].required):
        return decided
    fitting = [name for name in FORMAT_NAMES if all(key in row for key in SPECS[name].required)]
    if len(fitting) > 1:
        found = f"the row has the keys of both {fitting[0]!r} and {fitting[1]!r}"
        raise BadInput(Kind.AMBIGUOUS_FORMAT, found)
    if decided and fitting:
        found = f"a row of format {fitting[0]!r} in a file of format {decided!r}"
        fix = f"put it into format {decided!r}, for example with gemtune data convert"
        raise BadInput(Kind.MIXED_FORMATS, found, fix=fix)
    if not fitting:
        raise _missing_key(row, decided or _nearest_format(row))
    return fitting[0]


def _nearest_format(row: Mapping[str, Any]) -> Format:
    """Return the format with the most keys in the row, counting those nearly right by half."""

    def score(name: Format) -> float:
        required = SPECS[name].required
        return sum(1.0 if key in row else 0.5 * bool(_meant_for(key, row)) for key in required)

    return max(FORMAT_NAMES, key=score)


def _missing_key(row: Mapping[str, Any], name: Format) -> BadInput:
    missing = [key for key in SPECS[name].required if key not in row]
    renames = [(found, key) for key in missing if (found := _meant_for(key, row))]
    fix = " and ".join(f"rename {found!r} to {key!r}" for found, key in renames)
    message = f"missing {_listed(missing)} (format {name!r}); found {_listed(row) or 'no keys'}"
    return BadInput(Kind.MISSING_KEY, message, fix=fix)


def _meant_for(key: str, row: Mapping[str, Any]) -> str | None:
    """Return the row's key that was probably meant to be `key`."""
    named = next((found for found in row if _OTHER_NAMES.get(found.lower()) == key), None)
    if named:
        return named
    known = {known for spec in SPECS.values() for known in spec.keys}
    unknown = [found for found in row if found not in known]
    return next(iter(difflib.get_close_matches(key, unknown, n=1)), None)


def _listed(keys: Iterable[str]) -> str:
    listed = [repr(key[:40]) for key in keys]
    return ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")
