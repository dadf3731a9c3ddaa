"""The files that a report is made of: read, checked, and their texts made visible."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from gemtune.errors import ArtefactError
from gemtune.reporting.visible_text import visible_values
from gemtune.runs.plain_files import open_plain, parse_json

T = TypeVar("T")


def read_document(path: Path, shape: TypeAdapter[T]) -> T:
    """Read a JSON file of a known shape.

    Raises:
        ArtefactError: It is missing, is not JSON or has another shape; the message names the file.
    """
    return fit(_parsed(_content(path), str(path)), shape, str(path))


def read_lines(path: Path, shape: TypeAdapter[T], *, may_be_cut: bool = False) -> list[T]:
    """Read a file of one JSON object a line.

    Args:
        path: The file.
        shape: What every line holds.
        may_be_cut: Somebody may be writing it: an unfinished last line is left out.

    Raises:
        ArtefactError: It is missing, or a line is wrong; the message names file and line.
    """
    return [
        fit(_parsed(line, place), shape, place)
        for line, place in _lines(_content(path), path, may_be_cut=may_be_cut)
    ]


def fit(value: Any, shape: TypeAdapter[T], place: str) -> T:
    """Turn a JSON value into what it should be.

    Raises:
        ArtefactError: It has another shape.
    """
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise damaged(place, f"{where}: {first['msg']}" if where else first["msg"]) from None


def damaged(place: str, what: str) -> ArtefactError:
    """The error for a file that cannot be used."""
    return ArtefactError(
        f"{place}: {what}",
        fix="restore the file from a copy, or run the same `gemtune compare`, `gemtune finetune` "
        "or `gemtune optimize` again",
    )


def _content(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read()
    except ValueError as error:
        raise damaged(str(path), str(error)) from None


def _parsed(content: bytes, place: str) -> Any:
    try:
        return visible_values(parse_json(content))
    except RecursionError:
        raise damaged(place, "nested too deeply") from None
    except ValueError as error:
        raise damaged(place, str(error)) from None


def _lines(content: bytes, path: Path, *, may_be_cut: bool) -> Iterator[tuple[bytes, str]]:
    whole = content[: content.rfind(b"\n") + 1] if may_be_cut else content
    for number, line in enumerate(whole.split(b"\n"), start=1):
        if line.strip():
            yield line, f"{path}:{number}"
