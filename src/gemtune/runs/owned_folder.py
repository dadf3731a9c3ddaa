"""A folder that one process at a time writes results into."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gemtune.errors import UsageError
from gemtune.runs.files import make_folder, remove_partial_files
from gemtune.runs.lock import exclusive_lock


@contextmanager
def own_folder(folder: Path, lock_file: str) -> Iterator[None]:
    """Own `folder` while the block runs: make it, lock it, clear away half-written files.

    A block that fails before it wrote anything leaves no folder behind that was not there before.

    Raises:
        RunLockedError: another process works in the folder.
        UsageError: the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", fix="name a folder for the output")
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    with exclusive_lock(folder / lock_file):
        try:
            remove_partial_files(folder)
            yield
        except BaseException:
            _remove_untouched(folder, lock_file, created)
            raise


def _remove_untouched(folder: Path, lock_file: str, created: list[Path]) -> None:
    if created and [path.name for path in folder.iterdir()] == [lock_file]:
        (folder / lock_file).unlink()
        # A parent may hold the folder of another run by now; it stays then.
        with suppress(OSError):
            for path in created:
                path.rmdir()
