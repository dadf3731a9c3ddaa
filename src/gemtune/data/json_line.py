"""One line of bytes to one JSON value, with the place and the kind of everything that is wrong."""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput

MAX_DEPTH = 100
"""Deepest nesting of a row; far below what Python's recursion limit would stop."""

_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_STRING_OR_BRACKET = re.compile(_STRING + r"|[\[{]|[\]}]", re.DOTALL)
_STRING_OR_CONSTANT = re.compile(_STRING + r"|NaN|-?Infinity|-?\d[\d.eE+-]*", re.DOTALL)
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(?P<nul>\\u0000)|\\.",
    re.DOTALL,
)


def decode_text(line: bytes) -> str:
    """Decode a line as UTF-8.

    Raises:
        BadInput: RAW_NUL or ENCODING, with the byte column.
    """
    if (nul := line.find(b"\0")) >= 0:
        raise BadInput(Kind.RAW_NUL, "a NUL byte", column=nul + 1)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        likely = "CP1252" if any(0x80 <= byte < 0xA0 for byte in line) else "LATIN1"
        raise BadInput(
            Kind.ENCODING,
            f"byte 0x{line[error.start]:02x} is not UTF-8; the encoding is likely {likely}",
            column=error.start + 1,
            fix=f"convert it: iconv -f {likely} -t UTF-8 OLD > NEW",
        ) from None


def parse_object(text: str, *, may_hold_nan: bool = False) -> dict[str, Any]:
    """Parse one JSON object.

    Args:
        text: One line.
        may_hold_nan: Other tools write NaN and infinity for figures that there are not.

    Raises:
        BadInput: The text is no JSON, no object, two values, nested too deeply, or holds a key
            twice, a number that JSON does not know, or half a surrogate pair.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        value = (_LENIENT_DECODER if may_hold_nan else _DECODER).decode(text)
    except json.JSONDecodeError as error:
        raise _syntax_problem(text, error) from None
    except _BadNumber as error:
        raise BadInput(
            Kind.TYPE,
            f"{str(error)[:20]} is not a finite JSON number",
            column=_column_of(str(error), text),
            fix="write a finite number, or a string",
        ) from None
    if not isinstance(value, dict):
        raise BadInput(Kind.NOT_OBJECT, f"expected an object, got {json_type(value)}")
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(text)
    return value


def nul_escape_column(text: str) -> int | None:
    r"""Return the column of the first `\u0000`, if there is one."""
    if "\\u0000" not in text:
        return None
    return next((m.start() + 1 for m in _ESCAPE.finditer(text) if m["nul"]), None)


def json_type(value: object) -> str:
    """Name a parsed value in JSON's words."""
    if value is None:
        return "null"
    names: dict[type, str] = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


class _BadNumber(Exception):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _BadNumber(name)


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _BadNumber(digits)
    return value


def _integer(digits: str) -> int:
    # Python refuses to convert longer ones, as they take quadratic time.
    if len(digits) > 4300:
        raise _BadNumber(digits)
    return int(digits)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise BadInput(Kind.DUP_KEY, f"the key {twice!r} appears twice in one object")
    return row


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_constant=_refuse_constant,
    parse_float=_finite_float,
    parse_int=_integer,
)
_LENIENT_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_int=_integer)


def _syntax_problem(text: str, error: json.JSONDecodeError) -> BadInput:
    column = error.pos + 1
    if error.msg == "Extra data" and text[error.pos] in "{[":
        fix = "put each object on its own line"
        return BadInput(Kind.NOT_JSONL, "a second value on the line", column=column, fix=fix)
    reason = error.msg[0].lower() + error.msg[1:].removesuffix(" starting at")
    return BadInput(Kind.JSON_SYNTAX, f"not valid JSON: {reason}", column=column)


def _check_depth(text: str) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} lists or objects inside each other"
            raise BadInput(Kind.DEPTH, message, column=token.start() + 1)


def _column_of(constant: str, text: str) -> int | None:
    tokens = _STRING_OR_CONSTANT.finditer(text)
    return next((token.start() + 1 for token in tokens if token[0] == constant), None)


def _check_surrogates(text: str) -> None:
    for escape in _ESCAPE.finditer(text):
        if escape["lone"]:
            message = f"{escape[0]} is half of a surrogate pair"
            raise BadInput(Kind.LONE_SURROGATE, message, column=escape.start() + 1)
