"""Which holders are dead, told without trusting any clock."""

import time
from collections.abc import Mapping

from gemtune.hyperparameter.claims import Part
from gemtune.hyperparameter.process_identity import is_gone

Key = tuple[int, int]


class StaleWatch:
    """Remembers when each part was last seen to change.

    No time of another machine is compared with one of this machine, and a wall clock that jumps
    changes nothing: a holder is dead if its process is gone from this machine, or if it left no
    sign of life while this process watched for long enough.
    """

    def __init__(self, stale_seconds: float) -> None:
        """Watch holders for `stale_seconds` before they are called dead."""
        self._stale_seconds = stale_seconds
        self._seen: dict[Key, tuple[str, int, float]] = {}

    def free_parts(self, parts: Mapping[Key, Part]) -> set[Key]:
        """The parts without a result that nobody holds any more."""
        now = time.monotonic()
        free = set()
        for key, part in parts.items():
            if part.result is not None:
                continue
            if not part.worker or is_gone(part.worker) or self._is_silent(key, part, now):
                free.add(key)
        return free

    def _is_silent(self, key: Key, part: Part, now: float) -> bool:
        worker, beats, since = self._seen.get(key, ("", -1, now))
        if (worker, beats) != (part.worker, part.beats):
            self._seen[key] = (part.worker, part.beats, now)
            return False
        return now - since >= self._stale_seconds
