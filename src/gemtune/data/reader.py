"""Streaming JSONL: rows with line numbers in bounded memory, every problem recorded on the way."""

import difflib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from gemtune.data.formats import Format
from gemtune.data.json_line import decode_text, nul_escape_column, parse_object
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput, ProblemLog

MAX_LINE_BYTES = 10 * 2**20
_SKIP_BYTES = 2**20
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")
_COMPRESSED_STARTS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "Parquet",
}


class _BadFile(BadInput):
    """A problem after which the rest of the file is not worth reading."""


@dataclass(slots=True)
class FileScan:
    """What one pass over a file has found so far."""

    path: Path
    log: ProblemLog = field(default_factory=ProblemLog)
    format: Format | None = None
    n_rows: int = 0
    is_complete: bool = False
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str | None:
        """Digest of the file's bytes, once all of them were read."""
        return self.digest.hexdigest() if self.is_complete else None


def read_rows(scan: FileScan) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, row) of every line that holds a JSON object; the rest goes to the log."""
    try:
        with _open(scan.path) as file:
            _check_start(file.peek(8))
            before = os.fstat(file.fileno())
            yield from _rows(file, scan)
            after = os.fstat(file.fileno())
    except _BadFile as bad:
        scan.log.add(bad.at(scan.path, None))
        return
    except OSError as error:
        scan.log.add(_unreadable(error).at(scan.path, None))
        return
    if not scan.is_complete:
        return
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        changed = BadInput(Kind.CHANGED, "the file was written to while it was read")
        scan.log.add(changed.at(scan.path, None))
    if not scan.n_rows:
        empty = BadInput(Kind.NO_RECORDS, "the file holds no rows")
        scan.log.add(empty.at(scan.path, None))


def _open(path: Path) -> BufferedReader:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return BufferedReader(path.open("rb", buffering=0), buffer_size=2**18)
    except FileNotFoundError:
        raise _BadFile(Kind.MISSING_FILE, "no such file", fix=_nearest_file(path)) from None
    except OSError as error:
        raise _unreadable(error) from None
    what = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
    raise _BadFile(Kind.NOT_A_FILE, f"is {what}, not a file")


def _unreadable(error: OSError) -> _BadFile:
    return _BadFile(Kind.UNREADABLE, f"cannot be read: {error.strerror}")


def _nearest_file(path: Path) -> str:
    folder = path.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {folder / near[0]}?" if near else ""


def _check_start(start: bytes) -> None:
    if start.startswith(_UTF16_STARTS):
        raise _BadFile(Kind.UTF16, "the file is UTF-16, not UTF-8")
    for magic, name in _COMPRESSED_STARTS.items():
        if start.startswith(magic):
            raise _BadFile(Kind.COMPRESSED, f"the file is {name}, not text")


def _rows(file: BufferedReader, scan: FileScan) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(file, scan):
        if not line or line.isspace():
            scan.log.add(BadInput(Kind.BLANK, "a blank line").at(scan.path, number))
            continue
        scan.n_rows += 1
        try:
            row = _parse(line)
        except BadInput as bad:
            if scan.n_rows == 1 and (whole := _explain_first_row(line, bad)):
                scan.log.add(whole.at(scan.path, number))
                return
            scan.log.add(bad.at(scan.path, number))
            continue
        if b"\\u0000" in line and (column := nul_escape_column(line.decode())):
            bad = BadInput(Kind.NUL_ESCAPE, "the text holds a NUL character", column=column)
            scan.log.add(bad.at(scan.path, number))
        yield number, row
    scan.is_complete = True


def _lines(file: BufferedReader, scan: FileScan) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines without their ends; one that is too long is cut, not loaded."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 2):
        number += 1
        scan.digest.update(raw)
        if number == 1:
            raw = raw.removeprefix(_UTF8_BOM)
        yield number, raw.rstrip(b"\r\n")
        while not raw.endswith(b"\n") and (raw := file.readline(_SKIP_BYTES)):
            scan.digest.update(raw)


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise BadInput(Kind.LINE_TOO_BIG, f"the line is longer than {MAX_LINE_BYTES >> 20} MiB")
    return parse_object(decode_text(line))


def _explain_first_row(line: bytes, bad: BadInput) -> BadInput | None:
    """Return a better explanation where the first row shows that the file is no JSONL at all."""
    if bad.kind not in (Kind.JSON_SYNTAX, Kind.NOT_OBJECT, Kind.LINE_TOO_BIG):
        return None
    text = line.strip()
    if text.startswith(b"[") and text[1:].lstrip()[:1] in (b"", b"{"):
        fix = "write one object per line: jq -c '.[]' OLD > NEW.jsonl"
        return BadInput(Kind.NOT_JSONL, "the file is one JSON array", column=1, fix=fix)
    if bad.kind is Kind.JSON_SYNTAX and text.startswith(b"{") and text.endswith((b"{", b",", b"[")):
        return BadInput(Kind.NOT_JSONL, "one object is spread over several lines", column=1)
    return None
