"""judge.jsonl: rows that were judged are never paid for twice.

A line stands for what was shown to whom, so the file may hold lines of other judges and of answers
that have changed since; they do no harm, and come in useful when one goes back.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from gemtune.errors import DataError
from gemtune.evaluation.judging.judgement import JudgedRow, Judgement, TwoAnswers
from gemtune.runs.signals import uninterrupted

JUDGE_FILE = "judge.jsonl"


def judge_key(judge: str, row_id: str, pair: TwoAnswers) -> str:
    """Digest of all that a judgement depends on."""
    shown = [judge, row_id, pair.question, pair.references, pair.first, pair.second]
    return sha256(json.dumps(shown).encode()).hexdigest()


def read_judge_log(path: Path) -> dict[str, JudgedRow]:
    """Return the judged rows by key; none where there is no file. A torn last line is removed.

    Raises:
        DataError: A line is not one of ours.
    """
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        # A killed process left it; the next line would be glued to it.
        with path.open("r+b") as log:
            log.truncate(len(whole))
    lines = enumerate(whole.splitlines(), start=1)
    return dict(_read_line(line, f"{path}:{number}") for number, line in lines)


def append_judge_log(path: Path, rows: Iterable[tuple[str, JudgedRow]]) -> None:
    """Append rows with their keys; a signal leaves no half line."""
    lines = [json.dumps({"key": key, **asdict(row)}, allow_nan=False) for key, row in rows]
    with uninterrupted(), path.open("a", encoding="ascii") as log:
        log.writelines(f"{line}\n" for line in lines)


def _read_line(line: bytes, place: str) -> tuple[str, JudgedRow]:
    try:
        record = json.loads(line)
        key = record.pop("key")
        for order in ("base_first", "tuned_first"):
            if record[order] is not None:
                record[order] = Judgement(**record[order])
        return key, JudgedRow(**record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{place}: this is no line that gemtune wrote: {error!r}",
            fix="delete the line; if its row is needed, the judge is asked again",
        ) from error
