"""A data file from one format into another: whole or not at all."""

import json
import os
from pathlib import Path

from gemtune.data.formats import Format, to_row
from gemtune.data.load import read_examples
from gemtune.errors import UsageError


def convert_file(source: Path, target: Path, to: Format, *, overwrite: bool = False) -> int:
    """Write the rows of `source` into `target` in another format; returns their number.

    `target` appears only when every row is written and on the disk.

    Raises:
        DataError: `source` has errors, or a row that the format cannot hold.
        UsageError: `target` exists and `overwrite` is not set, or cannot be written.
    """
    if target.is_dir() or not target.parent.is_dir():
        what = "is a folder" if target.is_dir() else f"lies in {target.parent}, which is no folder"
        raise UsageError(f"{target} {what}", fix="give the path of the file to write")
    if target.exists() and not overwrite:
        raise UsageError(
            f"{target} exists",
            fix="choose another name, or add --overwrite (in Python overwrite=True)",
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        n_rows = _write(source, partial, to)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return n_rows


def _write(source: Path, partial: Path, to: Format) -> int:
    n_rows = 0
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for example in read_examples(source):
            file.write(json.dumps(to_row(example, to), ensure_ascii=False) + "\n")
            n_rows += 1
        file.flush()
        os.fsync(file.fileno())
    return n_rows
