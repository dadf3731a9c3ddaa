"""The command line: `gemtune`, `python -m gemtune` and `python -m src.main`."""


def main() -> int:
    """Run the command line; returns the exit code of `docs/reference/exit_codes.md`."""
    from gemtune.cli.app import run  # noqa: PLC0415  (importing a package must not import click)

    return run()
