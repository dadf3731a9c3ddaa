"""A status text that changes: over a bar on a terminal, as a line now and then elsewhere."""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

_BAR_EVERY_SECONDS = 0.1


class StatusDisplay:
    """Shows the text no more often than a reader can follow."""

    def __init__(
        self, stream: TextIO, lines_every_seconds: float, clock: Callable[[], float]
    ) -> None:
        """Look at `stream`: a bar if it is a terminal, else lines that many seconds apart."""
        self._stream = stream
        self._has_bar = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._every_seconds = _BAR_EVERY_SECONDS if self._has_bar else lines_every_seconds
        self._clock = clock
        self._next_at = -math.inf
        self._live: Live | None = None

    def show(self, text: str, done_share: float) -> None:
        """Show `text` if it is time to; `done_share` from 0 to 1 is the length of the bar.

        Work goes on when nobody is there to see it any more.
        """
        with suppress(OSError):
            self._show(text, done_share)

    def finish(self, text: str) -> None:
        """Leave `text` as the last line, in place of the bar; `show` starts a new one."""
        with suppress(OSError):
            self._finish(text)

    def _show(self, text: str, done_share: float) -> None:
        now = self._clock()
        if now < self._next_at:
            return
        self._next_at = now + self._every_seconds
        if not self._has_bar:
            # At the end `finish` follows, and says the same with more to it.
            if done_share < 1:
                self._write_line(text)
            return
        self._live = self._live or self._start_bar()
        bar = ProgressBar(1.0, done_share, complete_style="green", finished_style="green")
        self._live.update(Group(Text(text), bar), refresh=True)

    def _finish(self, text: str) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
        self._next_at = -math.inf
        self._write_line(text)

    def _start_bar(self) -> Live:
        # Redrawn only when there is news: a thread of its own would take time from training.
        # stdout is left alone, because results go there and may go to a file.
        live = Live(
            console=Console(file=self._stream, force_terminal=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
        )
        live.start()
        return live

    def _write_line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()
