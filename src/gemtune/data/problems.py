"""Problems found in data files: where, what, what to do; collected instead of raised one by one."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gemtune.data.kinds import Kind, Severity
from gemtune.errors import DataError

MAX_KEPT_PROBLEMS = 50
"""So many errors, and as many warnings, are kept for display; all are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one place; `line` and `column` are 1-based."""

    kind: Kind
    path: Path
    line: int | None
    column: int | None
    message: str
    fix: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        return f"{place} {self.kind.code} {self.kind.name} {self.message} - {self.fix}"


class BadInput(Exception):
    """Raised by the parsers and turned into a `Problem` by whoever knows the file and the line."""

    def __init__(
        self, kind: Kind, message: str, *, column: int | None = None, fix: str = ""
    ) -> None:
        """Describe the problem; without `fix` the kind's own advice is given."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.column = column
        self.fix = fix or kind.fix

    def at(self, path: Path, line: int | None) -> Problem:
        """Return the problem with its place."""
        return Problem(self.kind, path, line, self.column, self.message, self.fix)


@dataclass(slots=True)
class ProblemLog:
    """All problems of one or more files: every one counted, the first ones kept."""

    counts: Counter[Kind] = field(default_factory=Counter)
    kept: dict[Severity, list[Problem]] = field(default_factory=dict)

    def add(self, problem: Problem, count: int = 1) -> None:
        """Record a problem that stands for `count` occurrences."""
        self.counts[problem.kind] += count
        kept = self.kept.setdefault(problem.kind.severity, [])
        if len(kept) < MAX_KEPT_PROBLEMS:
            kept.append(problem)

    def n_of(self, severity: Severity) -> int:
        """Count the occurrences of one severity."""
        return sum(count for kind, count in self.counts.items() if kind.severity == severity)

    def problems(self) -> tuple[Problem, ...]:
        """Return the kept problems, errors first, each severity in the order of discovery."""
        order: tuple[Severity, ...] = ("error", "strict", "warning")
        return tuple(problem for severity in order for problem in self.kept.get(severity, []))

    def raise_errors(self, path: Path) -> None:
        """Raise all errors as one.

        Raises:
            DataError: There is at least one error; the message lists the first 50.
        """
        n_errors = self.n_of("error")
        if not n_errors:
            return
        shown = self.kept["error"]
        lines = [f"{n_errors} problem{'s' * (n_errors > 1)} in {path}", *map(str, shown)]
        if n_errors > len(shown):
            lines.append(f"... and {n_errors - len(shown)} more")
        raise DataError("\n".join(lines), fix=f"correct them, then run: gemtune data check {path}")
