"""Counting faults and the runs that survived them, for the lines at the end of a test run."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

ALL = 1_000_000
"""As a number of attempts: every one there is."""

_TALLIES: list["Tally"] = []


@dataclass(slots=True)
class Tally:
    """k of n attempts that went as promised, and what went wrong in the others."""

    name: str
    """What was done to the runs, as `F1 SIGKILL at a random time`."""
    n_attempts: int = 0
    failures: list[str] = field(default_factory=list)

    def count(self, attempt: str, problems: list[str]) -> None:
        """Add one attempt; it went as promised when there are no problems."""
        self.n_attempts += 1
        if problems:
            self.failures.append(f"{attempt}: {'; '.join(problems)}")

    def require_all(self) -> None:
        """Fail the test unless all attempts went as promised."""
        assert self.n_attempts, f"{self.name}: nothing was tried"
        assert not self.failures, "\n".join([str(self), *self.failures])

    def __str__(self) -> str:
        """Name and k/n."""
        return f"{self.name}: {self.n_attempts - len(self.failures)}/{self.n_attempts}"


def open_tally(name: str) -> Tally:
    """A new tally that is shown at the end of the test run."""
    tally = Tally(name)
    _TALLIES.append(tally)
    return tally


def all_tallies() -> list[Tally]:
    """Those of this test run, in the order in which they were opened."""
    return list(_TALLIES)


def counts(quick: int, full: int) -> Callable[..., None]:
    """Run a test with `n` attempts in `make test`, and with many in `make test-all`."""
    return pytest.mark.parametrize(
        "n",
        [
            pytest.param(quick, id=f"quick-{quick}"),
            pytest.param(full, id=f"full-{full}", marks=pytest.mark.slow),
        ],
    )
