"""The run folder: nobody's work is overwritten, and a failed start leaves no trace."""

import json
from pathlib import Path
from typing import Any

import pytest

from gemtune.errors import ArtefactError, UsageError
from gemtune.runs.lock import exclusive_lock
from gemtune.runs.run import clear_run, file_digest, open_run, read_run, write_run

BROKEN_OFF: dict[str, Any] = {
    "status": "stopped",
    "started": "2026-11-23T12:05:41+00:00",
    "identity": {"settings": {}, "data": {"train": "d5f1"}, "base": {}, "tokenizer": {}},
    "micro_batch_tokens": 240,
    "micro_batches": [{"n_steps": 0, "in_training": False, "tokens": 240}],
    "events": [],
    "hardware": {"device": "cpu"},
    "model": {"dtype": "float32"},
}
RESULT = {
    "n_steps": 3,
    "n_tokens": 700,
    "first": None,
    "best": {"step": 3, "loss": 0.5},
    "stopped_early": False,
    "skipped_steps": [],
}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    with open_run(tmp_path / "a" / "b", overwrite=False):
        write_run(tmp_path / "a" / "b", {})
    assert names(tmp_path) == ["a", "a/b", "a/b/run.json", "a/b/run.lock"]


def test_a_start_that_fails_leaves_no_folder_and_no_new_parents(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(KeyError), open_run(tmp_path / "there" / "a" / "b", overwrite=False):
        raise KeyError
    assert names(tmp_path) == ["there"]


def test_a_start_that_fails_after_it_wrote_keeps_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_run(tmp_path / "run", overwrite=False):
        write_run(tmp_path / "run", {})
        raise KeyError
    assert "run/run.json" in names(tmp_path)


def test_a_folder_that_was_there_stays_when_a_start_fails(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(KeyError), open_run(tmp_path / "run", overwrite=False):
        raise KeyError
    assert (tmp_path / "run").is_dir()


def test_opening_tells_the_record_of_the_run_that_goes_on(tmp_path: Path) -> None:
    record = {**BROKEN_OFF, "seed": 7}
    write_run(tmp_path, record)
    with open_run(tmp_path, overwrite=False) as earlier:
        assert earlier == record | {"environment": read_run(tmp_path)["environment"]}
    with open_run(tmp_path, overwrite=True) as earlier:
        assert earlier is None


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"status": "done"}'], ids=range(5))
def test_a_record_that_cannot_be_gone_on_with_is_refused_without_overwrite(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text(text)
    with (
        pytest.raises(ArtefactError, match=r"run.json is damaged or of an older gemtune") as caught,
        open_run(tmp_path, overwrite=False),
    ):
        pytest.fail("the run was opened")
    assert "--overwrite" in caught.value.fix
    with open_run(tmp_path, overwrite=True) as earlier:
        assert earlier is None


@pytest.mark.parametrize(
    "place",
    [
        "identity", "identity.settings", "identity.data", "identity.base", "identity.tokenizer",
        "status", "started", "events", "hardware", "model.dtype", "micro_batch_tokens",
        "micro_batches", "micro_batches.0.tokens", "environment.packages", "result.best",
    ],
)  # fmt: skip
def test_a_record_without_what_a_resume_needs_is_refused_by_the_name_of_it(
    place: str, tmp_path: Path
) -> None:
    write_run(tmp_path, {**BROKEN_OFF, "status": "done", "train_seconds": 1.5, "result": RESULT})
    with open_run(tmp_path, overwrite=False) as earlier:
        assert earlier
    holder: Any = earlier
    *outer, last = place.split(".")
    for name in outer:
        holder = holder[int(name) if name.isdigit() else name]
    del holder[last]
    (tmp_path / "run.json").write_text(json.dumps(earlier))

    with (
        pytest.raises(ArtefactError, match=f": {place}: Field required"),
        open_run(tmp_path, overwrite=False),
    ):
        pytest.fail("the run was opened")


@pytest.mark.parametrize("limit", [{"n_steps": 3}, {"in_training": True}, {"tokens": 0}])
def test_a_record_that_does_not_tell_the_first_size_of_micro_batches_is_refused(
    limit: dict[str, Any], tmp_path: Path
) -> None:
    first = {**BROKEN_OFF["micro_batches"][0], **limit}
    write_run(tmp_path, {**BROKEN_OFF, "micro_batches": [first]})
    with (
        pytest.raises(ArtefactError, match=r"micro_batches\.0"),
        open_run(tmp_path, overwrite=False),
    ):
        pytest.fail("the run was opened")


def test_what_a_killed_write_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".run.json.x7.partial").touch()
    with open_run(tmp_path, overwrite=False):
        assert names(tmp_path) == ["run.lock"]


def test_a_folder_without_a_run_may_hold_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with open_run(tmp_path, overwrite=False):
        pass
    assert names(tmp_path) == ["notes.txt", "run.lock"]


def test_a_locked_folder_is_left_alone_even_if_it_is_new(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", overwrite=False):
        with pytest.raises(UsageError), open_run(tmp_path / "run", overwrite=True):
            pytest.fail("the run was opened twice")
        assert names(tmp_path) == ["run", "run/run.lock"]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with (
        pytest.raises(UsageError, match="run is a file"),
        open_run(tmp_path / "run", overwrite=True),
    ):
        pytest.fail("the run was opened")


def test_clearing_removes_the_run_and_what_it_published_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "checkpoints/step-00000001/adapter.bin",
        "checkpoints/step-00000002/tokenizer.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "tensorboard").mkdir()
    for name in (
        "adapter.bin", "tokenizer.json", "run.json", "metrics.jsonl", "config.resolved.json",
        "speed.jsonl", "manifest.json", "tensorboard/events", "notes.txt", "run.lock",
        "report.html", "report.md",
    ):  # fmt: skip
        (tmp_path / name).touch()
    clear_run(tmp_path)
    assert names(tmp_path) == ["notes.txt", "run.lock"]


def test_clearing_removes_the_proof_that_was_about_the_adapter_before(tmp_path: Path) -> None:
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "notes.txt").touch()
    clear_run(tmp_path)
    assert names(tmp_path) == ["comparison", "comparison/notes.txt"]

    (tmp_path / "comparison" / "comparison.json").touch()
    clear_run(tmp_path)
    assert names(tmp_path) == []


def test_clearing_leaves_what_a_link_leads_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "step-00000001").mkdir(parents=True)
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "checkpoints").symlink_to(elsewhere)
    clear_run(run_dir)
    assert names(run_dir) == []
    assert names(elsewhere) == ["step-00000001"]


def test_clearing_an_empty_folder_does_nothing(tmp_path: Path) -> None:
    clear_run(tmp_path)
    assert names(tmp_path) == []


def test_the_record_has_the_machine_and_the_versions(tmp_path: Path) -> None:
    write_run(tmp_path, {"seed": 7})
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert record["seed"] == 7
    assert set(record["environment"]["packages"]) >= {"gemtune", "torch", "peft"}
    assert record["environment"]["cpu_count"] >= 1


def test_a_digest_is_the_sha_256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_the_lock_of_a_run_is_the_file_run_lock(tmp_path: Path) -> None:
    with (
        exclusive_lock(tmp_path / "run.lock"),
        pytest.raises(UsageError, match="works here"),
        open_run(tmp_path, overwrite=False),
    ):
        pytest.fail("the run was opened twice")


@pytest.mark.parametrize("name", ["checkpoints/step-9/model", "adapter_config.json", "config.json"])
def test_results_of_others_are_not_replaced_unasked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with (
        pytest.raises(UsageError, match=f"holds {name.split('/')[0]}, which is not of a run"),
        open_run(tmp_path, overwrite=False),
    ):
        pytest.fail("the run was opened")
    assert (tmp_path / name).exists()


def test_a_failed_start_leaves_a_parent_that_another_run_uses_by_now(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_run(tmp_path / "runs" / "a", overwrite=False):
        (tmp_path / "runs" / "b").mkdir()
        raise KeyError
    assert names(tmp_path) == ["runs", "runs/b"]


def test_what_a_killed_save_left_does_not_tell_what_to_clear(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".best.x" / "new").mkdir(parents=True)
    (tmp_path / "new").touch()
    clear_run(tmp_path)
    assert names(tmp_path) == ["new"]
