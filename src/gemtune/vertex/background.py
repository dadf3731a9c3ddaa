"""Work beside the main thread, one job after the other."""

import threading
from collections import deque
from collections.abc import Callable


class Background:
    """Runs jobs in the order of their coming; the first one that fails is the last one."""

    def __init__(self) -> None:
        """Start the thread; the process may end without waiting for it."""
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None
        threading.Thread(target=self._work, name="gemtune-bucket", daemon=True).start()

    def add(self, job: Callable[[], None]) -> None:
        """Run a job after those that were added before."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until all jobs are done; returns whether they are.

        Raises:
            Exception: what a job raised; those after it will not be run.
        """
        with self._changed:
            is_done = self._changed.wait_for(
                lambda: self._error is not None or not self._jobs, timeout_seconds
            )
            if self._error is not None:
                raise self._error
            return is_done

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs)
                job = self._jobs[0]
            try:
                job()
            except Exception as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._jobs.popleft()
                self._changed.notify_all()
