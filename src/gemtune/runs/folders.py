"""Replacing a folder whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a new folder by `write(folder)` and put it in the place of `folder`.

    A failing `write` leaves the old folder as it was. Between the two renames of the exchange a
    crash leaves the old content beside it, under a name that begins with a dot.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        new, old = scratch / "new", scratch / "old"
        new.mkdir()
        write(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        shutil.rmtree(scratch)


def install_files(source: Path, target: Path) -> None:
    """Copy a folder with all below it into another one, each file whole or not at all."""
    for path in sorted(source.iterdir()):
        if path.is_dir():
            (target / path.name).mkdir(exist_ok=True)
            install_files(path, target / path.name)
            continue
        partial = target / f".{path.name}.partial"
        shutil.copyfile(path, partial)
        partial.replace(target / path.name)
