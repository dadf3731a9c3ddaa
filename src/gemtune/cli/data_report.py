"""What `gemtune data check` prints: the problems, the table, and the same as one document."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gemtune.cli.terminal import plain_text, visible

if TYPE_CHECKING:
    from gemtune.cli.data_tokens import Tokens
    from gemtune.data.check import FileReport
    from gemtune.data.folder import FolderReport
    from gemtune.data.lengths import Quantiles, TokenLengths
    from gemtune.data.problems import Problem

_COLOURS = {"error": "red", "strict": "magenta", "warning": "yellow"}


def print_problems(report: "FolderReport") -> None:
    """Print the problems on stderr: those of each file, then those between files."""
    for split in report.splits.values():
        for problem in split.problems:
            print_problem(problem)
        if (n_hidden := split.n_errors - _n_errors(split.problems)) > 0:
            click.echo(f"... and {n_hidden} more errors in {split.path}", err=True)
    for problem in report.problems:
        print_problem(problem)


def print_problem(problem: "Problem") -> None:
    """Print one problem on stderr, its severity in colour on a terminal."""
    code, colour = problem.kind.code, _COLOURS[problem.kind.severity]
    styled = f" {click.style(code, fg=colour)} "
    click.echo(plain_text(str(problem)).replace(f" {code} ", styled, 1), err=True)


def print_table(report: "FolderReport", tokens: "Tokens | None") -> None:
    """Print the summary on stdout: a column for each split."""
    rows = [("", list(report.splits)), *_file_rows(report)]
    if tokens:
        rows += _token_rows([tokens.lengths.get(name) for name in report.splits])
    label_width = max(len(label) for label, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(report.splits))]
    for label, cells in rows:
        right = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo(visible(f"{label.ljust(label_width)}  {right}".rstrip()))
    click.echo()


def as_document(report: "FolderReport", tokens: "Tokens | None", *, ok: bool) -> dict[str, Any]:
    """Return the whole report as JSON types."""
    lengths = tokens.lengths if tokens else {}
    problems = [*report.problems, *(tokens.problems if tokens else ())]
    return {
        "ok": ok,
        "splits": {
            name: _file_document(split, lengths.get(name)) for name, split in report.splits.items()
        },
        "overlaps": {name: asdict(overlap) for name, overlap in report.overlaps.items()},
        "problems": [_problem_document(problem) for problem in problems],
    }


def _file_document(split: "FileReport", lengths: "TokenLengths | None") -> dict[str, Any]:
    return {
        "path": str(split.path),
        "format": split.format,
        "n_rows": split.n_rows,
        "n_examples": split.n_examples,
        "n_characters": split.n_characters,
        "n_repeated": split.n_repeated,
        "n_errors": split.n_errors,
        "sha256": split.sha256,
        "counts": dict(split.counts),
        "problems": [_problem_document(problem) for problem in split.problems],
        "tokens": asdict(lengths) if lengths else None,
    }


def _problem_document(problem: "Problem") -> dict[str, Any]:
    return {
        "code": problem.kind.code,
        "kind": problem.kind.name,
        "severity": problem.kind.severity,
        "path": str(problem.path),
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "fix": problem.fix,
    }


def _file_rows(report: "FolderReport") -> list[tuple[str, list[str]]]:
    splits = report.splits.values()
    rows = [
        ("rows", [str(split.n_rows) for split in splits]),
        ("rows with errors", [str(split.n_rows - split.n_examples) for split in splits]),
        ("format", [split.format or "-" for split in splits]),
        ("repeated rows", [str(split.n_repeated) for split in splits]),
    ]
    if report.overlaps:
        overlaps = [report.overlaps.get(name) for name in report.splits]
        cells = [f"{overlap.n_prompts}" if overlap else "-" for overlap in overlaps]
        rows.append(("prompts in train", cells))
        cells = [f"{overlap.n_pairs}" if overlap else "-" for overlap in overlaps]
        rows.append(("  with their answer", cells))
    return rows


def _token_rows(lengths: "Sequence[TokenLengths | None]") -> list[tuple[str, list[str]]]:
    title = "tokens: p50 p90 p99 max"
    return [
        (title, [""] * len(lengths)),
        ("  prompt", [_quantiles(split.prompt) if split else "-" for split in lengths]),
        ("  completion", [_quantiles(split.completion) if split else "-" for split in lengths]),
        ("  total", [_quantiles(split.total) if split else "-" for split in lengths]),
        ("tokens trained on", [str(split.n_trained_tokens) if split else "-" for split in lengths]),
        ("cut at max_length", [str(split.n_truncated) if split else "-" for split in lengths]),
    ]


def _quantiles(quantiles: "Quantiles") -> str:
    return f"{quantiles.p50} {quantiles.p90} {quantiles.p99} {quantiles.max}"


def _n_errors(problems: "Sequence[Problem]") -> int:
    return sum(problem.kind.severity == "error" for problem in problems)
