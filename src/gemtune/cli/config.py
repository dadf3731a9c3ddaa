"""`gemtune config`: show, check and explain configurations."""

import shlex
from pathlib import Path

import click

from gemtune.cli.arguments import config_arguments
from gemtune.cli.terminal import visible


@click.group()
def config() -> None:
    """Show, check and explain configurations."""


@config.command()
@config_arguments
@click.option("--json", "as_json", is_flag=True, help="JSON, as a run keeps it.")
def show(config_paths: tuple[Path, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Print every key as a run would see it: defaults < files < KEY=VALUE."""
    from gemtune.config.dump import dump_resolved, dump_yaml
    from gemtune.config.load import load_config

    dump = dump_resolved if as_json else dump_yaml
    click.echo(visible(dump(load_config(config_paths, overrides))), nl=False)


@config.command()
@click.argument("words", nargs=-1, required=True, metavar="FILE... [KEY=VALUE]...")
def check(words: tuple[str, ...]) -> None:
    """Find every mistake in config files, each with its line and the nearest right key."""
    from gemtune.config.load import load_config

    overrides = [word for word in words if "=" in word and not _is_there(word)]
    paths = [Path(word) for word in words if word not in overrides]
    load_config(paths, overrides)
    flags = [word for path in paths for word in ("--config-path", str(path))]
    click.echo(f"ok: {', '.join(words)}")
    click.echo(f"next: gemtune finetune DATA_DIR OUT_DIR {shlex.join([*flags, *overrides])}")


def _is_there(word: str) -> bool:
    try:
        return Path(word).exists()
    except OSError:
        # An override may be longer than any file name.
        return False


@config.command()
def schema() -> None:
    """Print the JSON Schema that editors complete and check with."""
    from gemtune.config.explain import schema_text

    click.echo(schema_text(), nl=False)


@config.command()
@click.argument("key", default="")
@click.option("--markdown", is_flag=True, help="The page docs/reference/config.md, all keys.")
def explain(key: str, markdown: bool) -> None:
    """Say what KEY takes and is for; a section or nothing explains all keys below."""
    from gemtune.config.explain import explain_key
    from gemtune.config.reference_page import reference_page

    click.echo(reference_page() if markdown else explain_key(key))
