"""`gemtune report`: build the page of a run, a comparison or a study again."""

import webbrowser
from pathlib import Path

import click

from gemtune.cli.arguments import path_argument
from gemtune.cli.terminal import visible


@click.command()
@path_argument("folder", "RUN")
@click.option("--open", "is_opened", is_flag=True, help="Show it in the browser.")
def report(folder: Path, is_opened: bool) -> None:
    """Build the page and the Markdown report of RUN and print where the page is.

    RUN is the folder of a run, with or without a comparison in it, of a comparison, or of a study.
    """
    from gemtune.reporting.write import write_report_of

    path = write_report_of(folder)
    click.echo(visible(str(path)))
    if is_opened and not webbrowser.open(path.absolute().as_uri()):
        click.echo("there is no browser to open it with", err=True)
