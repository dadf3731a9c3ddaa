"""Reading files that somebody may have damaged or replaced."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any


@contextmanager
def open_plain(path: Path) -> Iterator[BufferedReader]:
    """Read a file that is no link, pipe or device.

    Raises:
        ValueError: it is something else or is missing; the message says which.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError("a link, a pipe or a device instead of a file")
        # Something else may have taken its place by now: it is neither followed nor waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ValueError("missing") from None
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read_plain_json(path: Path) -> Any:
    """Read a JSON file that is no link, pipe or device.

    Raises:
        ValueError: it is something else, is missing or is not JSON; the message says which.
    """
    with open_plain(path) as file:
        return parse_json(file.read())


def parse_json(content: bytes) -> Any:
    """Parse JSON, however wrong it is.

    Raises:
        ValueError: it is not JSON; the message says just that.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
