"""Is a run on the disk what was written once?"""

from dataclasses import dataclass
from pathlib import Path

from gemtune.errors import ArtefactError, UsageError
from gemtune.runs.checkpoints import count_put_aside, find_checkpoint_damage, list_checkpoints
from gemtune.runs.contents import find_bad_contents
from gemtune.runs.manifest import MANIFEST_FILE, find_damage, listed_files
from gemtune.runs.plain_files import read_plain_json
from gemtune.runs.run import CHECKPOINTS_DIR, RUN_FILE


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What was found in one folder."""

    folder: Path
    damage: tuple[str, ...]
    """A line a file, each beginning with the file's name; empty when all is well."""
    note: str = ""
    """What else there is to say."""


def verify_folder(path: Path) -> list[FolderReport]:
    """Compare every file of a run with its manifest, and every checkpoint with its own.

    Nothing is written, and no link below `path` to a file or a checkpoint is followed.

    Args:
        path: A run, a checkpoint, or the folder of a published adapter.

    Returns:
        A report for `path`, then one for each of its checkpoints, newest first.

    Raises:
        UsageError: `path` is no folder.
        ArtefactError: it has no manifest and is no run.
    """
    if not path.is_dir():
        raise UsageError(
            f"{path} is {'a file' if path.exists() else 'not there'}",
            fix="name the output folder of a run, a checkpoint or an adapter",
        )
    root = path / CHECKPOINTS_DIR
    if (path / RUN_FILE).exists() or root.is_dir():
        return [_check_run(path), *(_check_checkpoints(root) if root.is_dir() else ())]
    if not (path / MANIFEST_FILE).exists():
        raise ArtefactError(
            f"{path} has no {MANIFEST_FILE} that tells what should be there",
            fix="name the output folder of a run, a checkpoint or an adapter; if it is one of "
            f"these, its {MANIFEST_FILE} is lost",
        )
    return [_check_listed(path)]


def _check_run(path: Path) -> FolderReport:
    status, wrong = _read_status(path / RUN_FILE)
    if wrong:
        return FolderReport(path, (f"{RUN_FILE}: {wrong}",))
    if status == "done" or (path / MANIFEST_FILE).exists():
        return _check_listed(path)
    return FolderReport(path, (), f"not finished ({status}): there is no result to check yet")


def _check_listed(path: Path) -> FolderReport:
    # Files that somebody put beside a result are none of its business.
    return _report(path, find_damage(path) or find_bad_contents(path, listed_files(path)))


def _check_checkpoints(root: Path) -> list[FolderReport]:
    folders = [checkpoint.folder for checkpoint in list_checkpoints(root)]
    reports = [_report(folder, find_checkpoint_damage(folder)) for folder in folders]
    # A run that goes on may have removed some meanwhile.
    reports = [report for report in reports if report.folder.exists()]
    if n_bad := count_put_aside(root):
        reports.append(FolderReport(root, (), f"{n_bad} put aside as damaged earlier (.bad-*)"))
    return reports


def _report(folder: Path, damage: list[str]) -> FolderReport:
    return FolderReport(folder, tuple(damage), "" if damage else f"good, {_count_files(folder)}")


def _count_files(folder: Path) -> str:
    n_files = len(listed_files(folder))
    return "1 file" if n_files == 1 else f"{n_files} files"


def _read_status(path: Path) -> tuple[str, str]:
    """The status of a run, and what is wrong with its record."""
    try:
        record = read_plain_json(path)
    except ValueError as error:
        return "", str(error)
    match record:
        case {"status": "running" | "stopped" | "done" as status}:
            return status, ""
        case _:
            return "", "names no status of a run"
