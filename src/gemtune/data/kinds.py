"""What can be wrong with a data file: one member for each kind of problem."""

from enum import Enum
from typing import Literal

Severity = Literal["error", "warning", "strict"]
"""`error` stops a run, `warning` does not, `strict` is an error only for `data check --strict`."""


class Kind(Enum):
    """A kind of problem: its code (an API), its severity and what to do about it."""

    JSON_SYNTAX = ("E101", "error", "write one complete JSON object on the line")
    NOT_OBJECT = ("E102", "error", "write an object such as {...} with the keys of one row")
    DUP_KEY = ("E103", "error", "keep one of the two")
    MISSING_KEY = ("E110", "error", "rename or add the key; docs/guides/data.md has the formats")
    EXTRA_KEY = ("W111", "warning", "nothing, if they are notes; they are kept but not trained on")
    TYPE = ("E112", "error", "write a value of the expected type")
    EMPTY = ("E113", "error", "write the text or remove the row")
    NO_TARGET_TOKENS = ("E114", "error", "shorten the prompt or raise data.max_length")
    LONG = ("W115", "warning", "raise data.max_length, or accept that the ends are cut")
    LINE_TOO_BIG = ("E116", "error", "split the row or remove it")
    ENCODING = ("E120", "error", "save the file as UTF-8")
    UTF16 = ("E121", "error", "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW")
    BLANK = ("W122", "warning", "nothing; blank lines are skipped")
    LONE_SURROGATE = ("E123", "error", "write the character itself or both halves of the pair")
    RAW_NUL = ("E124", "error", "remove the NUL bytes; the file may be damaged")
    NUL_ESCAPE = ("W125", "warning", "remove \\u0000, unless the model should learn it")
    DUPLICATE = ("W130", "warning", "remove the repeated rows, unless the repetition is meant")
    LEAK = ("E131", "strict", "remove these rows from the training data (an error with --strict)")
    PROMPT_OVERLAP = ("W132", "warning", "remove these rows from one of the two files")
    NOT_JSONL = ("E140", "error", "write one object per line: jq -c . OLD > NEW.jsonl")
    COMPRESSED = ("E141", "error", "unpack the file first")
    DEPTH = ("E142", "error", "flatten the row")
    NO_RECORDS = ("E150", "error", "write at least one row")
    MISSING_FILE = ("E151", "error", "check the path")
    NOT_A_FILE = ("E152", "error", "give the path of a regular file")
    UNREADABLE = ("E153", "error", "check the permissions and links")
    CHANGED = ("E154", "error", "wait until nobody writes to the file, then run again")
    MIXED_FORMATS = ("E160", "error", "put the rows into one format: gemtune data convert")
    UNKNOWN_ROLE = ("E161", "error", "use a role of the format")
    TURN_ORDER = ("E162", "error", "order the turns: [system], user, assistant, ..., assistant")
    UNSUPPORTED = ("E163", "error", "keep text only; tools and media are not supported")
    CANNOT_CONVERT = ("E164", "error", "choose a format that can hold the row: --to messages")
    AMBIGUOUS_FORMAT = ("E165", "error", "keep the keys of one format")

    def __init__(self, code: str, severity: Severity, fix: str) -> None:
        """Spread the tuple over named fields."""
        self.code: str = code
        self.severity: Severity = severity
        self.fix: str = fix
