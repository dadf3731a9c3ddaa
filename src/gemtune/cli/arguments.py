"""Arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


def config_arguments(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--config-path FILE` (repeatable) and `KEY=VALUE`: `config_paths` and `overrides`."""
    overrides = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
    paths = click.option(
        "--config-path",
        "config_paths",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="YAML or JSON config; may be repeated, later files win. KEY=VALUE wins over files.",
    )
    return overrides(paths(command))


def path_argument(name: str, metavar: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add a path that is checked by the code that opens it."""
    return click.argument(name, metavar=metavar, type=click.Path(path_type=Path))


def model_argument(name: str, metavar: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add a model as the words of the user: as a path, `./gpt2` would become the hub id `gpt2`."""
    return click.argument(name, metavar=metavar, type=str)


def output_dir_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--output-dir DIR` as `output_dir`."""
    return click.option(
        "--output-dir",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Keep every answer and all figures here.",
    )(command)


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(
        command
    )
