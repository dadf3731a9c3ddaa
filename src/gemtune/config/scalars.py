"""What an unquoted word in a config file means.

The rules are those of YAML 1.2 and JSON, not of YAML 1.1: `1e-5` is a number, `no` is a word, and
`012`, `3:30` and dates stay text, so that the same file means the same to every reader.
"""

import re

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_YES = {"yes", "y", "on", "1"}
_NO = {"no", "n", "off", "0"}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_UNDERSCORED = re.compile(r"[-+]?[0-9]+(_[0-9]+)+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*")

# More digits than any key can need; converting them would take quadratic time.
_MAX_DIGITS = 400


def read_plain(text: str) -> object:
    """The value of an unquoted scalar: None, a bool, an int, a float or the text itself."""
    if text in _NULLS:
        return None
    if text.lower() in _BOOLEANS and (text.islower() or text.isupper() or text.istitle()):
        return _BOOLEANS[text.lower()]
    if len(text) > _MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


def hint_for_boolean(value: object) -> str:
    """What to write where true or false is wanted."""
    word = str(value).lower()
    if word in _YES | {"true"}:
        return "write true, unquoted"
    if word in _NO | {"false"}:
        return "write false, unquoted"
    return ""


def hint_for_number(value: object) -> str:
    """What to write where a number is wanted and text was found."""
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if not isinstance(value, str):
        return ""
    if _LEADING_ZERO.fullmatch(value):
        return f"a leading zero means octal to some readers; write {int(value)}"
    if _UNDERSCORED.fullmatch(value):
        return f"write {value.replace('_', '')}"
    if _SEXAGESIMAL.fullmatch(value):
        return "some readers take this for base 60; write the plain number"
    if _DATE.fullmatch(value):
        return "this reads like a date; write the plain number"
    if _NUMBER.fullmatch(value):
        return f"remove the quotes: {value}"
    return ""


def hint_for_text(value: object) -> str:
    """What to write where text is wanted and a number or a boolean was found."""
    return "put it in quotes" if isinstance(value, bool | int | float) else ""
