"""Copying a folder into another one."""

import shutil
from collections.abc import Collection
from pathlib import Path

from gemtune.runs.files import replacing, sync_folder


def install_files(source: Path, target: Path, *, skip: Collection[str] = ()) -> None:
    """Copy a folder with all below it into another one, each file whole or not at all.

    Once it returns, the copies are on the disk.

    Args:
        source: The folder that is copied.
        target: The folder that gets its contents; what else is there stays.
        skip: Names directly below `source` that are left out.
    """
    for path in sorted(path for path in source.iterdir() if path.name not in skip):
        if path.is_dir():
            (target / path.name).mkdir(exist_ok=True)
            install_files(path, target / path.name)
            continue
        with replacing(target / path.name) as partial:
            shutil.copyfile(path, partial)
    sync_folder(target)
