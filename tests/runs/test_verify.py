"""Every damaged file of a run is named, and nothing is written while looking for it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from small_checkpoint import commit_small, tree

from gemtune.errors import ArtefactError, UsageError
from gemtune.runs.checkpoints import newest_checkpoint
from gemtune.runs.manifest import write_manifest
from gemtune.runs.verify import FolderReport, verify_folder

PUBLISHED = ("adapter_config.json", "adapter_model.safetensors", "metrics.jsonl", "run.json")


def write_status(run: Path, status: str) -> None:
    (run / "run.json").write_text(json.dumps({"status": status}), encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with two checkpoints and a file that somebody else put there."""
    root = tmp_path / "run" / "checkpoints"
    for step in (5, 10):
        folder = commit_small(root, step).folder
    for name in PUBLISHED[:-1]:
        shutil.copyfile(folder / name, root.parent / name)
    write_status(root.parent, "done")
    write_manifest(root.parent, [Path(name) for name in PUBLISHED])
    for name in ("notes.txt", "run.lock"):
        (root.parent / name).touch()
    return root.parent


def damage(run: Path) -> dict[str, tuple[str, ...]]:
    """What is damaged, by folder relative to the run."""
    return {
        str(report.folder.relative_to(run)): report.damage
        for report in verify_folder(run)
        if report.damage
    }


def test_a_whole_run_is_reported_folder_by_folder_and_not_touched(run: Path) -> None:
    before = tree(run)
    assert verify_folder(run) == [
        FolderReport(run, (), "good, 4 files"),
        FolderReport(run / "checkpoints/step-00000010", (), "good, 5 files"),
        FolderReport(run / "checkpoints/step-00000005", (), "good, 5 files"),
    ]
    assert tree(run) == before


def test_every_damaged_file_is_named_with_what_is_wrong(run: Path) -> None:
    os.truncate(run / "adapter_model.safetensors", 0)
    (run / "metrics.jsonl").unlink()
    os.truncate(run / "checkpoints/step-00000005/state.json", 3)
    size = (run / "checkpoints/step-00000010/adapter_model.safetensors").stat().st_size
    assert damage(run) == {
        ".": (
            f"adapter_model.safetensors: 0 bytes instead of {size}",
            "metrics.jsonl: missing",
        ),
        "checkpoints/step-00000005": ("state.json: 3 bytes instead of 11",),
    }


def test_a_flipped_bit_of_the_record_of_a_finished_run_is_found(run: Path) -> None:
    content = (run / "run.json").read_bytes()
    for i in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[i // 8] ^= 1 << i % 8
        (run / "run.json").write_bytes(flipped)
        assert list(damage(run)) == ["."], flipped


def test_a_finished_run_without_its_manifest_is_damaged(run: Path) -> None:
    (run / "manifest.json").unlink()
    assert damage(run) == {".": ("manifest.json: missing",)}


def test_published_weights_that_are_not_finite_are_damage(run: Path) -> None:
    weights = save({"lora_A": np.array([np.nan], np.float32)})
    (run / "adapter_model.safetensors").write_bytes(weights)
    write_manifest(run, [Path(name) for name in PUBLISHED])
    assert damage(run) == {".": ("adapter_model.safetensors: lora_A is not finite",)}


def test_weights_that_somebody_put_beside_a_result_are_none_of_its_business(run: Path) -> None:
    (run / "merged.safetensors").write_bytes(save({"x": np.array([np.nan], np.float32)}))
    (run / "other.safetensors").symlink_to("nowhere")
    assert damage(run) == {}


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_a_run_that_is_not_finished_is_told_and_its_checkpoints_are_checked(
    run: Path, status: str
) -> None:
    (run / "manifest.json").unlink()
    write_status(run, status)
    os.truncate(run / "checkpoints/step-00000010/metrics.jsonl", 0)
    first, newest, older = verify_folder(run)
    assert first.damage == ()
    assert first.note == f"not finished ({status}): there is no result to check yet"
    assert newest.damage == ("metrics.jsonl: 0 bytes instead of 120",)
    assert older.damage == ()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "names no status of a run"),
        ('{"status": "dnoe"}', "names no status of a run"),
        ('{"status": ["done"]}', "names no status of a run"),
    ],
    ids=lambda text: text[:20],
)
def test_a_record_that_cannot_be_read_is_damage(run: Path, text: str, wrong: str) -> None:
    (run / "manifest.json").unlink()
    (run / "run.json").write_text(text, encoding="utf-8")
    assert damage(run) == {".": (f"run.json: {wrong}",)}


def test_a_lost_record_is_damage(run: Path) -> None:
    (run / "manifest.json").unlink()
    (run / "run.json").unlink()
    assert damage(run) == {".": ("run.json: missing",)}


def test_checkpoints_that_were_put_aside_are_counted(run: Path) -> None:
    os.truncate(run / "checkpoints/step-00000010/state.json", 0)
    newest_checkpoint(run / "checkpoints")
    assert verify_folder(run)[1:] == [
        FolderReport(run / "checkpoints/step-00000005", (), "good, 5 files"),
        FolderReport(run / "checkpoints", (), "1 put aside as damaged earlier (.bad-*)"),
    ]


def test_a_single_checkpoint_and_a_copied_adapter_can_be_checked(run: Path, tmp_path: Path) -> None:
    checkpoint = run / "checkpoints" / "step-00000005"
    assert verify_folder(checkpoint) == [FolderReport(checkpoint, (), "good, 5 files")]
    adapter = shutil.copytree(run / "checkpoints/step-00000005", tmp_path / "adapter")
    write_manifest(adapter, [Path("adapter_config.json")])
    assert verify_folder(adapter) == [FolderReport(adapter, (), "good, 1 file")]
    os.truncate(adapter / "adapter_config.json", 0)
    assert damage(adapter) == {".": ("adapter_config.json: 0 bytes instead of 9",)}


def test_a_link_to_a_run_is_that_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert [report.damage for report in verify_folder(tmp_path / "link")] == [(), (), ()]


@pytest.mark.parametrize(("name", "what"), [("nowhere", "is not there"), ("run.json", "is a file")])
def test_a_path_that_is_no_folder_is_a_mistake_of_usage(run: Path, name: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        verify_folder(run / name)


def test_a_folder_without_a_manifest_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"has no manifest\.json") as caught:
        verify_folder(tmp_path)
    assert caught.value.exit_code == 4
