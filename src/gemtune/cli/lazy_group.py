"""A click group whose commands are imported only when one of them runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

import click


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command lives (`module:attribute`) and its line in the help."""

    target: str
    help: str


class LazyGroup(click.Group):
    """Shows its help from a table, so that `--help` imports no command.

    `shared_options` are understood after every command too, not only before it.
    """

    def __init__(
        self,
        *,
        name: str,
        help: str,
        lazy_commands: Mapping[str, LazyCommand],
        shared_options: list[click.Parameter],
    ) -> None:
        """Keep the table; nothing is imported."""
        super().__init__(
            name=name,
            help=help,
            params=[*shared_options],
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self.lazy_commands = lazy_commands
        self.shared_options = shared_options

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table: that in which people need them."""
        return list(self.lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command that is about to run."""
        if cmd_name not in self.lazy_commands:
            return None
        module, _, attribute = self.lazy_commands[cmd_name].target.partition(":")
        command = getattr(import_module(module), attribute)
        _accept(command, self.shared_options)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        if args[0] not in self.lazy_commands:
            near = get_close_matches(args[0], self.lazy_commands, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.lazy_commands.items()])


def _accept(command: click.Command, options: list[click.Parameter]) -> None:
    command.params.extend(option for option in options if option not in command.params)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _accept(child, options)
