"""A mounted bucket is told from a disk."""

from pathlib import Path

import pytest

from gemtune.runs.mounts import find_fuse_mount

MOUNTS = """\
overlay / overlay rw 0 0
/dev/sda1 {0}/disk ext4 rw 0 0
shelf {0}/gcs fuse rw 0 0
shelf {0}/with\\040space fuse.gcsfuse rw 0 0
/dev/sdb1 {0}/gcs/inner xfs rw 0 0
/dev/sdc1 {0}/ntfs fuseblk rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "mount"),
    [
        ("disk/run", None),
        ("gcs/run", "gcs"),
        ("gcs", "gcs"),
        ("gcs-not/run", None),
        ("with space/run", "with space"),
        ("gcs/inner/run", None),
        ("ntfs/run", None),
    ],
)
def test_a_folder_on_a_mounted_bucket_is_found(
    tmp_path: Path, folder: str, mount: str | None
) -> None:
    table = tmp_path / "mounts"
    table.write_text(MOUNTS.format(tmp_path))
    assert find_fuse_mount(tmp_path / folder, table) == (mount and tmp_path / mount)


def test_a_mount_whose_name_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_bytes(b"disk /mnt/r\xe9sum\xe9 ext4 rw 0 0\nbucket /gcs fuse.gcsfuse rw 0 0\n")
    assert find_fuse_mount(Path("/gcs/run"), table) == Path("/gcs")


def test_a_machine_without_the_table_has_no_such_mount(tmp_path: Path) -> None:
    assert find_fuse_mount(tmp_path, tmp_path / "none") is None
