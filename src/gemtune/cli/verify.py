"""`gemtune verify`: say whether a run is still what was written."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemtune.cli.arguments import json_option, path_argument
from gemtune.cli.terminal import visible
from gemtune.errors import ArtefactError

if TYPE_CHECKING:
    from gemtune.runs.verify import FolderReport


@click.command()
@path_argument("path", "RUN")
@json_option
def verify(path: Path, as_json: bool) -> int:
    """Check every file of RUN and of its checkpoints against its manifest, offline.

    RUN may also be a single checkpoint or the folder of an adapter. Exit code 4: some is damaged.
    """
    from gemtune.runs.verify import verify_folder

    reports = verify_folder(path)
    n_damaged = sum(bool(report.damage) for report in reports)
    if as_json:
        click.echo(json.dumps(_as_document(reports)))
    else:
        for report in reports:
            click.echo(visible(_describe(report)))
        click.echo(_summary(len(reports), n_damaged))
    return ArtefactError.exit_code if n_damaged else 0


def _describe(report: "FolderReport") -> str:
    if report.damage:
        return "\n  ".join([f"{report.folder}: DAMAGED", *report.damage])
    return f"{report.folder}: {report.note}"


def _summary(n_folders: int, n_damaged: int) -> str:
    if not n_damaged:
        return "all is as it was written"
    verb = "is" if n_damaged == 1 else "are"
    return (
        f"{n_damaged} of {n_folders} folders {verb} damaged\n"
        "next: restore the files from a copy. Without one, run the same `gemtune finetune` again: "
        "it goes on from the newest good checkpoint; --overwrite begins anew"
    )


def _as_document(reports: "list[FolderReport]") -> dict[str, object]:
    return {
        "ok": not any(report.damage for report in reports),
        "folders": [
            {"folder": str(report.folder), "damage": list(report.damage), "note": report.note}
            for report in reports
        ],
    }
