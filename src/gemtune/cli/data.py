"""`gemtune data`: check training data and change its format."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemtune.cli.arguments import config_arguments, json_option, path_argument
from gemtune.cli.data_report import as_document, print_problems, print_table
from gemtune.cli.data_tokens import read_tokens
from gemtune.cli.terminal import visible

if TYPE_CHECKING:
    from gemtune.data.folder import FolderReport
    from gemtune.data.formats import Format

_EXIT_DATA = 3
_FORMATS = ["input_output", "prompt_completion", "messages", "gemini"]


@click.group()
def data() -> None:
    """Check training data and change its format."""


@data.command()
@path_argument("source", "DATA_DIR_OR_FILE")
@config_arguments
@click.option("--no-tokens", is_flag=True, help="Do not count tokens: fast, and needs no model.")
@click.option("--strict", is_flag=True, help="Test rows that are in the training data are errors.")
@json_option
@click.option(
    "--preview",
    "n_preview",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    metavar="N",
    help="Show the first N rows as the model sees them.",
)
def check(
    source: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    no_tokens: bool,
    strict: bool,
    as_json: bool,
    n_preview: int,
) -> int:
    """Find all that is wrong with a data folder or file."""
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    report = _check(source)
    print_problems(report)
    failed = bool(report.n_errors or (strict and report.n_leaks))
    tokens = None
    if not report.n_errors and not no_tokens:
        tokens = read_tokens(report, config, n_preview=n_preview)
        failed = failed or bool(tokens and tokens.n_errors)
    if as_json:
        document = as_document(report, tokens, ok=not failed)
        click.echo(visible(json.dumps(document, ensure_ascii=False)))
        return _EXIT_DATA if failed else 0
    print_table(report, tokens)
    for text in tokens.previews if tokens else ():
        click.echo(text)
    settings = [word for path in config_paths for word in ("--config-path", str(path))]
    _print_next(source, [*settings, *overrides], failed=failed)
    return _EXIT_DATA if failed else 0


@data.command()
@path_argument("source", "IN")
@path_argument("target", "OUT")
@click.option("--to", "name", type=click.Choice(_FORMATS), required=True)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def convert(source: Path, target: Path, name: "Format", overwrite: bool) -> None:
    """Write IN into OUT in another format, losslessly."""
    from gemtune.data.convert import convert_file

    n_rows = convert_file(source, target, name, overwrite=overwrite)
    click.echo(f"{n_rows} rows in format {name} are in {target}")
    click.echo(f"next: gemtune {shlex.join(['data', 'check', str(target)])}")


def _check(source: Path) -> "FolderReport":
    from gemtune.data.check import check_file
    from gemtune.data.folder import FolderReport, check_folder

    if source.is_dir():
        return check_folder(source)
    report = check_file(source)
    return FolderReport(
        splits={source.stem: report}, overlaps={}, problems=(), n_errors=report.n_errors, n_leaks=0
    )


def _print_next(source: Path, settings: list[str], *, failed: bool) -> None:
    again = visible(shlex.join(["data", "check", str(source), *settings]))
    folder = source if source.is_dir() else source.parent
    train = visible(shlex.join(["finetune", str(folder), "OUT_DIR", *settings]))
    if failed:
        click.echo(f"next: correct what is named above, then: gemtune {again}")
    elif source.is_dir():
        click.echo(f"next: gemtune {train}")
    else:
        click.echo(f"{visible(str(source))} is sound; next: gemtune {train}")
