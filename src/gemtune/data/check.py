"""A report on one data file: rows, format, problems, repeated rows, digest, in one pass."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gemtune.data.duplicates import RepeatFinder, content_hash
from gemtune.data.examples import Example
from gemtune.data.formats import Format
from gemtune.data.kinds import Kind
from gemtune.data.load import scan_examples
from gemtune.data.problems import BadInput, Problem, ProblemLog
from gemtune.data.reader import FileScan

# `id` names a row in predictions, `group` ties rows of one source together in a comparison.
_USED_KEYS = {"id", "group"}


@dataclass(frozen=True, slots=True)
class FileReport:
    """What is in a data file; the first 50 errors and warnings are kept, all are counted."""

    path: Path
    format: Format | None
    n_rows: int
    n_examples: int
    n_characters: int
    n_repeated: int
    sha256: str | None
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]
    n_errors: int


@dataclass(slots=True)
class _Contents:
    """What the good rows of a file hold."""

    n_examples: int = 0
    n_characters: int = 0
    repeats: RepeatFinder = field(default_factory=RepeatFinder)
    extra_keys: Counter[str] = field(default_factory=Counter)
    n_with_extra: int = 0
    first_extra_line: int | None = None

    def add(self, example: Example) -> None:
        self.n_examples += 1
        self.n_characters += sum([len(message.content) for message in example.messages])
        self.repeats.add(content_hash(example.messages), example.line)
        unused = example.extra.keys() - _USED_KEYS
        if unused:
            self.n_with_extra += 1
            self.extra_keys.update(unused)
            self.first_extra_line = self.first_extra_line or example.line


def check_file(path: Path, observe: Callable[[Example], None] | None = None) -> FileReport:
    """Go over a JSONL file once, in bounded memory, and report on it.

    Args:
        path: The file; nothing is raised if it is missing or broken: that is in the report.
        observe: Called with every good row.
    """
    scan, contents = FileScan(path), _Contents()
    for example in scan_examples(scan):
        contents.add(example)
        if observe:
            observe(example)
    contents.repeats.finish()
    _warn_of_extra_keys(scan.log, path, contents)
    _warn_of_repeats(scan.log, path, contents.repeats)
    return FileReport(
        path=path,
        format=scan.format,
        n_rows=scan.n_rows,
        n_examples=contents.n_examples,
        n_characters=contents.n_characters,
        n_repeated=contents.repeats.n_repeated,
        sha256=scan.sha256,
        counts={kind.name: count for kind, count in scan.log.counts.items()},
        problems=scan.log.problems(),
        n_errors=scan.log.n_of("error"),
    )


def _warn_of_extra_keys(log: ProblemLog, path: Path, contents: _Contents) -> None:
    if not contents.extra_keys:
        return
    keys = ", ".join(repr(key[:40]) for key, _ in contents.extra_keys.most_common(6))
    message = f"rows with keys that are not used: {contents.n_with_extra} ({keys})"
    problem = BadInput(Kind.EXTRA_KEY, message).at(path, contents.first_extra_line)
    log.add(problem, contents.n_with_extra)


def _warn_of_repeats(log: ProblemLog, path: Path, repeats: RepeatFinder) -> None:
    if not repeats.n_repeated:
        return
    lines = ", ".join(map(str, repeats.first_lines))
    more = ", ..." if repeats.n_repeated > len(repeats.first_lines) else ""
    message = f"rows that repeat an earlier row: {repeats.n_repeated} (line {lines}{more})"
    problem = BadInput(Kind.DUPLICATE, message).at(path, repeats.first_lines[0])
    log.add(problem, repeats.n_repeated)
