"""Every change of a listed file is seen, and a manifest can neither crash nor lead anywhere."""

import errno
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_checkpoint import commit_small, small_files

from gemtune.runs.manifest import find_damage, write_manifest

FLIPS = 1_000
NAME = "adapter_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The checkpoint of step 10; step 5 lies beside it."""
    commit_small(tmp_path, 5)
    return commit_small(tmp_path, 10).folder


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def zero_block(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:12] = bytes(4)
    path.write_bytes(content)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def swap(path: Path) -> None:
    path.write_bytes((path.parents[1] / "step-00000005" / path.name).read_bytes())


def link(path: Path) -> None:
    path.rename(path.parents[1] / "elsewhere")
    path.symlink_to(path.parents[1] / "elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_folder_of_it(path: Path) -> None:
    path.unlink()
    path.mkdir()


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed"))


DAMAGES = [
    truncate, empty, zero_block, append, Path.unlink, rename, link, pipe, make_folder_of_it,
]  # fmt: skip


def test_what_was_committed_has_no_damage(folder: Path) -> None:
    assert find_damage(folder) == []


@pytest.mark.parametrize("name", [NAME, "state.json", "metrics.jsonl", "manifest.json"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_kind_of_damage_is_found_and_names_the_file(
    folder: Path, damage: Callable[[Path], None], name: str
) -> None:
    damage(folder / name)
    assert find_damage(folder)[0].startswith(f"{name}: ")


@pytest.mark.parametrize("name", [*small_files(0), "manifest.json"])
def test_a_file_of_another_step_is_damage(folder: Path, name: str) -> None:
    swap(folder / name)
    changed = "adapter_config.json" not in name
    assert bool(find_damage(folder)) == changed


def test_the_words_say_what_is_wrong(folder: Path) -> None:
    empty(folder / "adapter_config.json")
    swap(folder / NAME)
    (folder / "metrics.jsonl").unlink()
    link(folder / "state.json")
    (folder / "adapter_model.bin").touch()
    assert find_damage(folder) == [
        "adapter_config.json: 0 bytes instead of 9",
        "adapter_model.safetensors: the content has changed",
        "metrics.jsonl: missing",
        "state.json: a link, a pipe or a device instead of a file",
        "adapter_model.bin: not in the manifest",
    ]


def test_each_of_many_random_bit_flips_is_found(folder: Path) -> None:
    rng = random.Random(4)
    paths = sorted(folder.iterdir())
    found = 0
    for _ in range(FLIPS):
        path = rng.choice(paths)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        found += bool(find_damage(folder))
        path.write_bytes(whole)
    assert found == FLIPS
    assert find_damage(folder) == []


def test_no_bit_of_the_manifest_can_change_unseen(tmp_path: Path) -> None:
    # Escapes of JSON have two spellings.
    (tmp_path / "é").touch()
    write_manifest(tmp_path)
    path = tmp_path / "manifest.json"
    whole = path.read_bytes()
    for i in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[i // 8] ^= 1 << i % 8
        path.write_bytes(flipped)
        assert find_damage(tmp_path), i


def test_an_extra_file_is_damage_in_a_checkpoint_only(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "extra").touch()
    assert find_damage(folder) == ["deep/extra: not in the manifest"]
    write_manifest(folder, [Path(NAME)])
    assert find_damage(folder) == []


def test_only_the_named_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a", "b", "deep/c"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    write_manifest(tmp_path, [Path("deep") / "c", Path("a")])
    listed = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert listed["version"] == 1
    assert list(listed["files"]) == ["a", "deep/c"]
    assert listed["files"]["deep/c"]["bytes"] == 6
    append(tmp_path / "b")
    assert find_damage(tmp_path) == []


def test_a_link_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="a link"):
        write_manifest(tmp_path)


def entry_for(path: Path) -> dict[str, Any]:
    write_manifest(path.parent, [Path(path.name)])
    manifest = path.parent / "manifest.json"
    entry = json.loads(manifest.read_text(encoding="utf-8"))["files"][path.name]
    manifest.unlink()
    return entry


def write_raw(folder: Path, document: object) -> None:
    text = json.dumps(document, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["../secret", "../folder/../secret", "{tmp}/secret", "linked/secret", "a/../../secret"]
)
def test_a_name_in_the_manifest_leads_nowhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "linked").symlink_to(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    name = name.format(tmp=tmp_path)
    write_raw(folder, {"version": 1, "files": {name: entry_for(secret)}})
    assert find_damage(folder) == [f"{name}: missing"]


def test_a_hard_link_is_a_file_like_any_other(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy", copy_function=os.link)
    assert find_damage(tmp_path / "copy") == []


def test_a_name_cannot_play_tricks_on_a_terminal(tmp_path: Path) -> None:
    write_raw(tmp_path, {"version": 1, "files": {"\x1b[2J\udc80": {"bytes": 0, "sha256": ""}}})
    assert find_damage(tmp_path) == [r"'\x1b[2J\udc80': missing"]


BAD_MANIFESTS = {
    "not JSON": [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"version": ' + b"9" * 5_000 + b"}"],
    "not a manifest": [
        b"[]", b"null", b"{}", b'{"version": 1, "files": []}',
        b'{"version": 1, "files": {"a": 1}}', b'{"version": 1, "files": {"a": {"bytes": "1"}}}',
    ],
    "version 2 instead of 1: damaged, or of a newer gemtune": [b'{"version": 2, "files": {}}'],
    "the content has changed": [
        b'{"version": 1, "files": {}}', b'{"files": {}}', b'{"version": true, "files": {}}',
        b'{"version": 1, "files": {"a": {"bytes": NaN, "sha256": ""}}}'.replace(b"NaN", b"-1"),
    ],
    "more than 16,777,216 bytes": [b" " * 2**24 + b" "],
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "content"),
    [(wrong, content) for wrong, contents in BAD_MANIFESTS.items() for content in contents],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_manifest_is_told_as_damage(tmp_path: Path, wrong: str, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert find_damage(tmp_path) == [f"manifest.json: {wrong}"]


def mutations(text: bytes, rng: random.Random) -> Iterator[bytes]:
    tokens = [
        b"{",
        b"}",
        b"[",
        b'"',
        b":",
        b",",
        b"null",
        b"-1",
        b"1e999",
        b"NaN",
        b"\x00",
        b"\xff",
    ]
    for _ in range(500):
        changed = bytearray(text)
        for _ in range(rng.randint(1, 4)):
            i, j = sorted(rng.choices(range(len(text)), k=2))
            changed[i : rng.choice((i, i + 1, j))] = rng.choice((*tokens, text[i:j]))
        yield bytes(changed)


def test_a_fuzzed_manifest_is_damage_and_never_a_crash(folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for changed in mutations(whole, random.Random(7)):
        path.write_bytes(changed)
        assert bool(find_damage(folder)) == (changed != whole)


def test_a_broken_part_of_the_disk_is_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_open = os.open

    def broken(path: str | Path, *arguments: Any, **options: Any) -> int:
        if Path(path).name == NAME:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return system_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", broken)
    assert find_damage(folder) == [f"{NAME}: the disk cannot read it"]


def test_files_that_may_not_be_read_are_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str | Path, *_: Any) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        find_damage(folder)


def test_the_small_checkpoint_has_every_kind_of_file() -> None:
    assert {Path(name).suffix for name in small_files(1)} == {".json", ".jsonl", ".safetensors"}
