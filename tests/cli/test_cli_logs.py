"""The log and the live bar share one terminal."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from gemtune.cli.logs import start_logging
from gemtune.monitoring.progress import CountProgress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    start_logging()
    yield
    logging.getLogger("gemtune").handlers = []
    logging.getLogger("gemtune").setLevel(logging.NOTSET)


def test_a_terminal_that_is_gone_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    logging.getLogger("gemtune.anything").warning("still there?")


def test_a_line_goes_to_what_stderr_is_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    later = io.StringIO()
    monkeypatch.setattr(sys, "stderr", later)
    logging.getLogger("gemtune.x").warning("a doubt")
    assert later.getvalue() == "warning: a doubt\n"


def test_a_line_during_a_live_bar_is_written_above_the_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with CountProgress(30.0) as progress:
        progress.update("answers", 1, 10)
        logging.getLogger("gemtune.x").warning("a doubt")
        during = terminal.getvalue()
    # The line erases the bar, stands alone, and the bar is drawn again below it.
    before, line, after = during.partition("warning: a doubt\n")
    assert line
    assert before.rpartition("answers 1/10")[2].endswith("\x1b[2K")
    assert "answers 1/10" in after
