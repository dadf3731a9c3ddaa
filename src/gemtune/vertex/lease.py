"""One writer for a run in a bucket, across machines."""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gemtune.errors import GemtuneError, RunLockedError
from gemtune.runs.run import now
from gemtune.vertex.folder import BucketFolder, Limits

LEASE = "run.lease"
INTERVAL_SECONDS = 20.0

_N_INTERVALS_TO_STALE = 3
_N_LOOKS_AN_INTERVAL = 4
_LIMITS = Limits(connect_seconds=5, control_seconds=5, retry_seconds=10)
_LIMITS_AT_THE_END = Limits(connect_seconds=1, control_seconds=1, retry_seconds=1)

_SHOWN = ("pid", "host", "since")

logger = logging.getLogger(__name__)


class Lease:
    """The right to write, renewed by a thread as long as the process lives."""

    def __init__(
        self, folder: BucketFolder, about: Mapping[str, Any], generation: int, interval: float
    ) -> None:
        """Start the thread; `generation` is that of the object written last."""
        self._folder, self._about = folder, about
        self._generation, self._interval_seconds = generation, interval
        self._n_renewals = 0
        self._is_lost = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="gemtune-lease", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Make sure that nobody else has taken over the run.

        Raises:
            RunLockedError: another machine has, because this one could not be heard for too long.
        """
        if self._is_lost:
            raise _locked_error(self._folder, self._folder.within(_LIMITS).read(LEASE))

    def give_back(self) -> None:
        """Let others in at once."""
        self._is_over.set()
        self._thread.join(timeout=_LIMITS_AT_THE_END.retry_seconds)
        self._folder.within(_LIMITS_AT_THE_END).delete(LEASE, generation=self._generation)

    def _renew(self) -> None:
        folder = self._folder.within(_LIMITS)
        while not self._is_over.wait(self._interval_seconds):
            self._n_renewals += 1
            content = _encode({**self._about, "renewals": self._n_renewals})
            try:
                generation = folder.write(LEASE, content, generation=self._generation)
                generation = generation or self._own_generation(folder)
            except Exception as error:
                # Whatever it was: a process that stopped renewing would not learn of its loss.
                logger.warning("the lease of the run could not be renewed: %s", error)
                continue
            if generation is None:
                self._is_lost = True
                return
            self._generation = generation

    def _own_generation(self, folder: BucketFolder) -> int | None:
        """An earlier renewal may have arrived after this side had given it up."""
        found = folder.read(LEASE)
        is_own = found and _decode(found[0]).get("session") == self._about["session"]
        return found[1] if found and is_own else None


@contextmanager
def hold_lease(
    folder: BucketFolder, holder: str, interval_seconds: float = INTERVAL_SECONDS
) -> Iterator[Lease]:
    """Hold the lease of the run in `folder` while the block runs.

    No clock of another machine is trusted: a lease is watched, and one that is not renewed for
    three intervals belongs to a process that is gone.

    Args:
        folder: Where the run is.
        holder: The identity of the local work folder, which one process at a time owns. A lease
            with the same identity was left by a process that died here and is taken over at once.
        interval_seconds: How often it is renewed.

    Raises:
        RunLockedError: a process on another machine works on the run; the message names it.
    """
    about = {
        "holder": holder,
        "session": secrets.token_hex(8),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": now(),
    }
    generation = _acquire(folder, about, interval_seconds)
    lease = Lease(folder, about, generation, interval_seconds)
    try:
        yield lease
    finally:
        try:
            lease.give_back()
        except GemtuneError as error:
            logger.warning("the lease of the run could not be given back: %s", error)


def _acquire(folder: BucketFolder, about: Mapping[str, Any], interval_seconds: float) -> int:
    generation, watched = 0, None
    deadline = time.monotonic() + _N_INTERVALS_TO_STALE * interval_seconds
    while (written := folder.write(LEASE, _encode(about), generation=generation)) is None:
        found = folder.read(LEASE)
        generation = 0
        while found and _decode(found[0]).get("holder") != about["holder"]:
            if watched is None:
                watched = found[1]
                logger.warning("%s", _waiting(folder, found[0], interval_seconds))
            if found[1] != watched:
                raise _locked_error(folder, found)
            if time.monotonic() >= deadline:
                break
            time.sleep(interval_seconds / _N_LOOKS_AN_INTERVAL)
            found = folder.read(LEASE)
        generation = found[1] if found else 0
    return written


def _encode(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about).encode()


def _decode(content: bytes) -> dict[str, Any]:
    """What a lease says; nothing, if somebody else wrote the object."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _waiting(folder: BucketFolder, content: bytes, interval_seconds: float) -> str:
    seconds = _N_INTERVALS_TO_STALE * interval_seconds
    return (
        f"{folder}: {_in_words(content)} began to work on this run; waiting up to {seconds:.0f} s "
        "to see whether it is still alive"
    )


def _locked_error(folder: BucketFolder, found: tuple[bytes, int] | None) -> RunLockedError:
    who = _in_words(found[0]) if found else "another process"
    return RunLockedError(
        f"{folder}: {who} works on this run",
        fix="wait for it to end, or choose another output folder",
    )


def _in_words(content: bytes) -> str:
    about = _decode(content)
    # Anybody who may write into the bucket can write anything there; it goes to a terminal.
    pid, host, since = (ascii(about.get(key, "?"))[:80].strip("'") for key in _SHOWN)
    return f"process {pid} on {host} (since {since})"
