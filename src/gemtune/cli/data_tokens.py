"""The part of `gemtune data check` that needs the model's tokenizer: lengths and preview."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemtune.cli.data_report import print_problem
from gemtune.cli.terminal import visible
from gemtune.errors import PrerequisiteError

if TYPE_CHECKING:
    from gemtune.config.schema import Config
    from gemtune.data.examples import EncodedRow, Example
    from gemtune.data.folder import FolderReport
    from gemtune.data.lengths import TokenLengths
    from gemtune.data.problems import Problem

_MAX_RUN_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the tokenizer's view of the data says."""

    lengths: "Mapping[str, TokenLengths]"
    problems: "tuple[Problem, ...]"
    n_errors: int
    previews: tuple[str, ...]


def read_tokens(report: "FolderReport", config: "Config", *, n_preview: int) -> Tokens | None:
    """Count the tokens of every split with the tokenizer that `config` names.

    None, with a line on stderr, where the `local` extra is not installed or the tokenizer cannot be
    had: what was found in the structure is worth showing without it.
    """
    if not all(importlib.util.find_spec(module) for module in ("torch", "transformers")):
        click.echo("token lengths and preview need: pip install 'gemtune[local]'", err=True)
        return None
    from gemtune.models.load import load_tokenizer
    from gemtune.models.template import row_encoder

    try:
        tokenizer = load_tokenizer(config.fine_tuning)
    except PrerequisiteError as error:
        click.echo(f"token lengths and preview are left out: {error}", err=True)
        click.echo(f"to get them: {error.fix}", err=True)
        return None
    encode = row_encoder(tokenizer, config.data)
    uncut = config.data.model_copy(update={"max_length": sys.maxsize})

    def decode(token_ids: Sequence[int]) -> str:
        # The tokenizer decodes batches too, so its annotation does not promise one text.
        return str(tokenizer.decode(list(token_ids)))

    # Evaluation does not cut test rows at `data.max_length`, so the check must not complain of it.
    encoders = {"test": row_encoder(tokenizer, uncut)}
    encoders = {name: encoders.get(name, encode) for name in report.splits}
    return measure_splits(report, encoders, decode, n_preview=n_preview)


def measure_splits(
    report: "FolderReport",
    encoders: "Mapping[str, Callable[[Example], EncodedRow]]",
    decode: Callable[[Sequence[int]], str],
    *,
    n_preview: int,
) -> Tokens:
    """Count the tokens of every split, print what is wrong with them, and preview the first.

    `encoders` holds, for each split, what turns its rows into tokens.
    """
    from gemtune.data.lengths import measure_tokens
    from gemtune.data.problems import ProblemLog

    log = ProblemLog()
    lengths = {
        name: measured
        for name, split in report.splits.items()
        if (measured := measure_tokens(split.path, encoders[name], log))
    }
    for problem in log.problems():
        print_problem(problem)
    first, split = next(iter(report.splits.items()))
    return Tokens(
        lengths=lengths,
        problems=log.problems(),
        n_errors=log.n_of("error"),
        previews=tuple(_previews(split.path, encoders[first], decode, n_preview)),
    )


def preview(row: "EncodedRow", decode: Callable[[Sequence[int]], str]) -> str:
    """Show a row as the model sees it: what is trained on as [[...]], green on a terminal."""
    runs = groupby(zip(row.token_ids, row.trained, strict=True), key=lambda pair: pair[1])
    texts = [(trained, decode([token for token, _ in pairs])) for trained, pairs in runs]
    return "".join(_show_run(trained, text) for trained, text in texts)


def _previews(
    path: Path,
    encode: "Callable[[Example], EncodedRow]",
    decode: Callable[[Sequence[int]], str],
    n_preview: int,
) -> list[str]:
    from gemtune.data.load import scan_examples
    from gemtune.data.reader import FileScan

    shown = []
    for example in islice(scan_examples(FileScan(path)), n_preview):
        title = f"{path}:{example.line} (trained on: {_show_run(True, 'like this')})"
        shown.append(f"{title}\n{preview(encode(example), decode)}\n")
    return shown


def _show_run(trained: bool, text: str) -> str:
    text = visible(text)
    if len(text) > _MAX_RUN_CHARACTERS:
        half = _MAX_RUN_CHARACTERS // 2
        text = f"{text[:half]} ... {text[-half:]}"
    if not sys.stdout.isatty():
        return f"[[{text}]]" if trained else text
    return click.style(text, fg="green", bold=True) if trained else click.style(text, dim=True)
