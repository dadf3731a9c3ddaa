"""A second home of a run, such as a bucket: what training tells it while it goes on."""

from collections.abc import Collection
from typing import Protocol

from gemtune.runs.checkpoints import Checkpoint


class RunMirror(Protocol):
    """Follows a run; what an earlier call could not do is raised by the next one."""

    def clear(self) -> None:
        """Forget every trace of an earlier run: a new one begins."""
        ...

    def submit(self, checkpoint: Checkpoint) -> None:
        """Take a copy of a committed checkpoint in the background.

        Waits while an earlier one is on its way, unless the process was asked to stop. Call it
        before the checkpoints that are no longer wanted are removed.
        """
        ...

    def keep(self, steps: Collection[int]) -> None:
        """Remove the copies of all other steps, once those submitted before have arrived."""
        ...
