"""The root command: which commands there are, the options that all share, and the way in."""

import os
import sys
from collections.abc import Callable, Sequence

import click

import gemtune
from gemtune.cli.border import EXIT_BROKEN_PIPE, report_error
from gemtune.cli.lazy_group import LazyCommand, LazyGroup
from gemtune.cli.logs import show_less, show_more, start_logging

COMMANDS = {
    "demo": LazyCommand("gemtune.cli.demo:demo", "Fine-tune a small model and see the gain."),
    "finetune": LazyCommand("gemtune.cli.training:finetune", "Fine-tune a model on your data."),
    "optimize": LazyCommand(
        "gemtune.cli.optimize:optimize", "Find better hyperparameters and prove it."
    ),
    "evaluate": LazyCommand("gemtune.cli.evaluation:evaluate", "Score a model on test data."),
    "compare": LazyCommand("gemtune.cli.evaluation:compare", "Prove that one model beats another."),
    "report": LazyCommand("gemtune.cli.report:report", "Build the report of a run again."),
    "verify": LazyCommand("gemtune.cli.verify:verify", "Check that a run is still as written."),
    "data": LazyCommand("gemtune.cli.data:data", "Check data before a run."),
    "config": LazyCommand("gemtune.cli.config:config", "Show, check and explain configurations."),
}


class _Root(LazyGroup):
    """The group, with pipes that break seen before click makes an exit code 1 of them."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader that went away ends it quietly."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return _leave_broken_pipe()


def _flag(*names: str, text: str, act: Callable[[], None] | None = None) -> click.Option:
    def follow(context: click.Context, option: click.Parameter, value: bool) -> None:
        if value and act:
            act()

    return click.Option(names, is_flag=True, expose_value=False, callback=follow, help=text)


_SHARED_OPTIONS: list[click.Parameter] = [
    _flag("-v", "--verbose", text="Show more.", act=show_more),
    _flag("-q", "--quiet", text="Show warnings and errors only.", act=show_less),
    _flag("--debug", text="Show the traceback of an error (also GEMTUNE_DEBUG=1)."),
]

_ROOT = click.version_option(gemtune.__version__, message="gemtune %(version)s")(
    _Root(
        name="gemtune",
        help=gemtune.__doc__ or "",
        lazy_commands=COMMANDS,
        shared_options=_SHARED_OPTIONS,
    )
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What stands after the program's name; by default those of this process.

    Returns:
        The exit code; a command that returns an int decides it itself.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or os.environ.get("GEMTUNE_DEBUG") == "1"
    start_logging()
    try:
        result = _ROOT.main(words, prog_name="gemtune", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_broken_pipe()
    except (Exception, KeyboardInterrupt) as error:
        return report_error(error, debug=debug)
    return result if isinstance(result, int) else 0


def _leave_broken_pipe() -> int:
    # Python flushes stdout once more when it exits; that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_BROKEN_PIPE
