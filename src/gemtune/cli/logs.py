"""What the command line shows of the library's log: one handler, on stderr."""

import logging
import sys
from contextlib import suppress

from gemtune.cli.terminal import plain_text

_LOGGER = logging.getLogger("gemtune")


class _LevelFormatter(logging.Formatter):
    """`warning: ...` for what people must notice; plain text for the rest."""

    def format(self, record: logging.LogRecord) -> str:
        text = plain_text(super().format(record))
        if record.levelno == logging.INFO:
            return text
        return f"{record.levelname.lower()}: {text}"


class _StderrHandler(logging.Handler):
    """Looks stderr up at every line: a live bar replaces it to write above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        # Work goes on when nobody is there to read of it any more.
        with suppress(OSError):
            sys.stderr.write(self.format(record) + "\n")


def start_logging() -> None:
    """Show notes and warnings of gemtune on stderr."""
    handler = _StderrHandler()
    handler.setFormatter(_LevelFormatter("%(message)s"))
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(logging.INFO)


def show_more() -> None:
    """`--verbose`: debug notes too."""
    _LOGGER.setLevel(logging.DEBUG)


def show_less() -> None:
    """`--quiet`: warnings and errors only."""
    _LOGGER.setLevel(logging.WARNING)
