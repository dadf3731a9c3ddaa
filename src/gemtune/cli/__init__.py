"""The command line: `gemtune`, `python -m gemtune` and `python -m src.main`."""


def main() -> int:
    """Run the command line; returns the exit code of `docs/reference/exit_codes.md`."""
    from gemtune.cli.stopping import run_stoppable  # noqa: PLC0415 - a package imports nothing

    return run_stoppable()
