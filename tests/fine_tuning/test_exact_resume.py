"""A run that was broken off anywhere ends with the same bytes as one that was not."""

import errno
import itertools
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gemtune.config.schema import Config
from gemtune.errors import ArtefactError, NotFiniteError, ResourceError
from gemtune.fine_tuning import (
    loop,
    optimizer_step,
    publish,
    saving,
    session,
    space,
    step,
)
from gemtune.fine_tuning.train import FinetuneResult, finetune_model
from gemtune.monitoring import recorder
from gemtune.runs.checkpoints import Checkpoint
from gemtune.runs.signals import StopSignal, stop_on_signals

WriteTask = Callable[..., Path]
MakeConfig = Callable[..., Config]

# What the clock and the number of attempts may change.
FREE = ("run.json", "run.lock", "speed.jsonl", "manifest.json", "checkpoints", "tensorboard")
# Where a signal may come: before and after each of these.
PLACES: tuple[tuple[ModuleType, str], ...] = (
    (session, "find_start"),
    (session, "prepare"),
    (session, "lay_out"),
    (optimizer_step, "step_rows"),
    (step, "collate"),
    (recorder, "_line"),
    (loop, "mean_loss"),
    (saving, "write_state"),
    (saving, "commit_checkpoint"),
    (saving, "keep_checkpoints"),
    (publish, "install_files"),
    (publish, "write_manifest"),
)
SETTINGS = (
    "fine_tuning.training.batch_size=4",
    "fine_tuning.training.gradient_accumulation_steps=2",
    "fine_tuning.training.micro_batch_tokens=128",
    "fine_tuning.training.eval_every_steps=3",
    "fine_tuning.training.epochs=20",
    "fine_tuning.training.max_steps=7",
    "fine_tuning.lora.dropout=0.1",
    "monitoring.tensorboard=false",
)
KINDS = {
    "plain": (),
    "bf16": ("fine_tuning.training.precision=bf16",),
    "LoRA+": ("fine_tuning.lora.lora_plus_ratio=8",),
    "DoRA": ("fine_tuning.lora.use_dora=true",),
    "PiSSA": ("fine_tuning.lora.init=pissa",),
    "biases": ("fine_tuning.lora.bias=all",),
    "early stop": (
        "fine_tuning.training.early_stopping_patience=1",
        "fine_tuning.training.learning_rate=0.5",
        "fine_tuning.training.eval_every_steps=2",
        "fine_tuning.training.max_steps=30",
    ),
    "1.5 epochs": (
        "fine_tuning.training.epochs=1.5",
        "fine_tuning.training.max_steps=null",
        "fine_tuning.training.eval_every_steps=null",
    ),
    "save every step": ("fine_tuning.training.save_every_steps=1",),
    "few records": ("monitoring.log_every_steps=4",),
}


@pytest.fixture(scope="module")
def data_dir(write_task: WriteTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task, on disk once for all tests."""
    return write_task(tmp_path_factory.mktemp("task") / "data", n_train=30, n_val=6)


@pytest.fixture
def make(tiny_llama_dir: Path, make_config: MakeConfig) -> Callable[..., Config]:
    """A config of seven steps, with overrides."""
    return lambda *overrides: make_config(tiny_llama_dir, *SETTINGS, *overrides)


class Interrupter:
    """Sends a signal to this process at the n-th place that it comes by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch all places."""
        self.n_passed, self._at = 0, 0
        for module, name in PLACES:
            monkeypatch.setattr(module, name, self._wrap(getattr(module, name)))

    def run(self, at: int, *arguments: Any) -> FinetuneResult | None:
        """Run `finetune_model`; None if it was stopped."""
        self.n_passed, self._at = 0, at
        try:
            with stop_on_signals():
                return finetune_model(*arguments)
        except StopSignal:
            return None

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **settings: Any) -> Any:
            self._pass_by()
            result = function(*arguments, **settings)
            self._pass_by()
            return result

        return wrapped

    def _pass_by(self) -> None:
        self.n_passed += 1
        if self.n_passed == self._at:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def interrupter(monkeypatch: pytest.MonkeyPatch) -> Interrupter:
    return Interrupter(monkeypatch)


def leftovers(run_dir: Path) -> dict[str, bytes]:
    """All that is promised to be the same, by name."""
    published = [path for path in run_dir.iterdir() if path.name not in FREE]
    steps = [path for folder in run_dir.glob("checkpoints/step-*") for path in folder.iterdir()]
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in (*published, *steps)}


def assert_same(run_dir: Path, unbroken: Path) -> None:
    """A stop makes a checkpoint that the unbroken run has not; the others must be the same."""
    found, wanted = leftovers(run_dir), leftovers(unbroken)
    newest = max(name.split("/")[1] for name in wanted if "/" in name)
    promised = {name for name in wanted if "/" not in name or newest in name}
    common = promised | (found.keys() & wanted.keys())
    assert [name for name in sorted(common) if found.get(name) != wanted[name]] == []
    assert {name for name in found if "/" not in name} <= promised


def record_of(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "run.json").read_text(encoding="utf-8"))


def steps_in(run_dir: Path) -> list[str]:
    return sorted(path.name for path in (run_dir / "checkpoints").iterdir())


def stops(n_places: int, seed: str) -> Iterator[int]:
    """Two stops at random places, then none."""
    places = random.Random(seed)
    yield from (places.randint(1, n_places) for _ in range(2))
    yield from itertools.repeat(0)


@pytest.mark.parametrize("kind", KINDS)
def test_signals_anywhere_leave_no_trace_in_the_result(
    kind: str, data_dir: Path, make: Callable[..., Config], interrupter: Interrupter, tmp_path: Path
) -> None:
    config, unbroken = make(*KINDS[kind]), tmp_path / "unbroken"
    wanted = interrupter.run(0, data_dir, unbroken, config)
    assert wanted
    n_places = interrupter.n_passed
    for number in range(2):
        run_dir, result = tmp_path / f"run-{number}", None
        for at in stops(n_places, f"{kind}-{number}"):
            result = interrupter.run(at, data_dir, run_dir, config)
            if result:
                break
        assert result
        assert (result.best_loss, result.n_tokens) == (wanted.best_loss, wanted.n_tokens)
        assert_same(run_dir, unbroken)


def test_without_validation_data_it_is_exact_too(
    write_task: WriteTask, make: Callable[..., Config], interrupter: Interrupter, tmp_path: Path
) -> None:
    data, config = write_task(tmp_path / "data", n_train=30, n_val=0), make()
    assert interrupter.run(0, data, tmp_path / "unbroken", config)
    n_places = interrupter.n_passed
    assert interrupter.run(n_places // 2, data, tmp_path / "run", config) is None
    assert interrupter.run(0, data, tmp_path / "run", config)
    assert_same(tmp_path / "run", tmp_path / "unbroken")


def test_a_stop_between_micro_batches_keeps_every_step_that_was_complete(
    data_dir: Path, make: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "run"
    _interrupt_call(monkeypatch, step, "collate", lambda: _n_trained(run_dir) == 5)
    # As a library user sees it: without the handlers of the command line.
    with pytest.raises(KeyboardInterrupt):
        finetune_model(data_dir, run_dir, make())
    monkeypatch.undo()
    assert steps_in(run_dir) == ["step-00000003", "step-00000005"]
    assert record_of(run_dir)["status"] == "stopped"
    result = finetune_model(data_dir, run_dir, make())
    assert (result.n_steps, result.was_done) == (7, False)
    events = [(event["event"], event.get("step")) for event in record_of(run_dir)["events"]]
    assert events == [("resumed", 5)]


def _n_trained(run_dir: Path) -> int:
    log = run_dir / "metrics.jsonl"
    return log.read_text(encoding="utf-8").count('"kind": "train"') if log.exists() else 0


def _interrupt_call(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, when: Callable[[], bool]
) -> None:
    function = getattr(module, name)

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        if when():
            signal.raise_signal(signal.SIGINT)
        return function(*arguments, **settings)

    monkeypatch.setattr(module, name, interrupted)


@pytest.fixture
def half_done(
    data_dir: Path,
    make: Callable[..., Config],
    interrupter: Interrupter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    """A run that was stopped after its fifth step, with checkpoints of steps 3 and 5."""
    run_dir = tmp_path / "half-done"
    _interrupt_call(monkeypatch, step, "collate", lambda: _n_trained(run_dir) == 5)
    assert interrupter.run(0, data_dir, run_dir, make()) is None
    monkeypatch.undo()
    assert steps_in(run_dir) == ["step-00000003", "step-00000005"]
    return run_dir


@pytest.fixture(scope="module")
def unbroken(
    data_dir: Path,
    tiny_llama_dir: Path,
    make_config: MakeConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The run of `make()` that nobody disturbed."""
    run_dir = tmp_path_factory.mktemp("unbroken") / "run"
    finetune_model(data_dir, run_dir, make_config(tiny_llama_dir, *SETTINGS))
    return run_dir


def test_a_run_that_is_done_is_left_alone(
    data_dir: Path, make: Callable[..., Config], unbroken: Path
) -> None:
    before = _times(unbroken)
    result = finetune_model(data_dir, unbroken, make("monitoring.log_every_steps=2"))
    assert (result.was_done, result.n_steps) == (True, 7)
    assert _times(unbroken) == before


def _times(run_dir: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in run_dir.rglob("*") if p.name != "run.lock"}


def test_a_damaged_result_is_made_again_from_the_checkpoints(
    data_dir: Path, make: Callable[..., Config], unbroken: Path, tmp_path: Path
) -> None:
    run_dir = shutil.copytree(unbroken, tmp_path / "run")
    _flip_a_bit(run_dir / "adapter_model.safetensors")
    result = finetune_model(data_dir, run_dir, make())
    assert not result.was_done
    assert_same(run_dir, unbroken)


def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_it_used(
    data_dir: Path,
    make: Callable[..., Config],
    half_done: Path,
    unbroken: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _flip_a_bit(half_done / "checkpoints" / "step-00000005" / "training_state.safetensors")
    finetune_model(data_dir, half_done, make())
    assert_same(half_done, unbroken)
    assert "step-00000005 is damaged" in caplog.text
    resumed, damaged = record_of(half_done)["events"]
    assert (resumed["event"], resumed["step"]) == ("resumed", 3)
    assert damaged["event"] == "checkpoint damaged"
    assert "training_state.safetensors" in damaged["what"]


def test_when_all_checkpoints_are_damaged_only_overwrite_starts_over(
    data_dir: Path, make: Callable[..., Config], half_done: Path, unbroken: Path
) -> None:
    for folder in (half_done / "checkpoints").iterdir():
        _flip_a_bit(folder / "state.json")
    for _ in range(2):
        with pytest.raises(ArtefactError, match="no checkpoint that is whole") as caught:
            finetune_model(data_dir, half_done, make())
        assert "--overwrite" in caught.value.fix
    finetune_model(data_dir, half_done, make(), overwrite=True)
    assert leftovers(half_done) == leftovers(unbroken)


def test_a_damaged_best_checkpoint_gives_the_next_best_and_says_so(
    data_dir: Path,
    make: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run_dir, losses = tmp_path / "run", iter([3.0, 1.0, 2.0, 2.5, 2.5])
    monkeypatch.setattr(loop, "mean_loss", lambda *_, **__: next(losses))
    finetune_model(data_dir, run_dir, make())
    for folder in (run_dir, run_dir / "checkpoints" / "step-00000003"):
        _flip_a_bit(folder / "adapter_model.safetensors")
    result = finetune_model(data_dir, run_dir, make())
    assert result.best_loss == 2.0
    published = (run_dir / "adapter_model.safetensors").read_bytes()
    best = run_dir / "checkpoints" / "step-00000006" / "adapter_model.safetensors"
    assert published == best.read_bytes()
    events = {event["event"]: event for event in record_of(run_dir)["events"]}
    assert events["another checkpoint published"]["step"] == 6


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["fine_tuning.training.learning_rate=1e-3"], "learning_rate: 0.02 -> 0.001"),
        (["fine_tuning.training.gradient_accumulation_steps=1"], "accumulation_steps: 8 -> 4"),
        (["data.max_length=512"], "data.max_length: 1024 -> 512"),
    ],
)
def test_changed_settings_are_refused_and_nothing_is_touched(
    overrides: list[str],
    told: str,
    data_dir: Path,
    make: Callable[..., Config],
    half_done: Path,
) -> None:
    before = leftovers(half_done)
    with pytest.raises(ArtefactError, match=told):
        finetune_model(data_dir, half_done, make(*overrides), allow_changed_data=True)
    assert leftovers(half_done) == before


def test_changed_data_is_refused_unless_it_is_allowed(
    data_dir: Path, make: Callable[..., Config], half_done: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(data_dir, tmp_path / "data")
    lines = (data / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (data / "train.jsonl").write_text("".join(reversed(lines)), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"data.train: \w{12}\.\.\. -> \w{12}\.\.\."):
        finetune_model(data, half_done, make())
    result = finetune_model(data, half_done, make(), allow_changed_data=True)
    assert result.n_steps == 7
    (event,) = (e for e in record_of(half_done)["events"] if e["event"] == "data changed")
    assert (event["field"], event["old"] != event["new"]) == ("data.train", True)


def test_other_surroundings_are_told_and_noted(
    data_dir: Path,
    make: Callable[..., Config],
    half_done: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = record_of(half_done)
    record["environment"]["packages"]["torch"] = "1.0"
    record["hardware"]["threads"] = 96
    (half_done / "run.json").write_text(json.dumps(record), encoding="utf-8")
    finetune_model(data_dir, half_done, make("fine_tuning.training.micro_batch_tokens=64"))
    found = {e["field"]: e["old"] for e in record_of(half_done)["events"] if "field" in e}
    assert found == {"torch": "1.0", "threads": 96, "micro_batch_tokens": 128}
    assert "threads: 96 -> 1" in caplog.text


def test_a_run_that_was_killed_is_told_with_the_likely_cause(
    data_dir: Path,
    make: Callable[..., Config],
    half_done: Path,
    unbroken: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = record_of(half_done)
    (half_done / "run.json").write_text(json.dumps({**record, "status": "running"}))
    finetune_model(data_dir, half_done, make())
    assert "was killed; if it was for lack of memory" in caplog.text
    assert record_of(half_done)["events"][0]["was_killed"]
    assert_same(half_done, unbroken)


def test_a_run_that_never_made_a_checkpoint_starts_over(
    data_dir: Path,
    make: Callable[..., Config],
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run_dir = tmp_path / "run"
    _interrupt_call(monkeypatch, loop, "mean_loss", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        finetune_model(data_dir, run_dir, make())
    monkeypatch.undo()
    finetune_model(data_dir, run_dir, make())
    assert leftovers(run_dir) == leftovers(unbroken)


def test_a_skipped_step_is_skipped_once_and_marks_the_run(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_dir, config = tmp_path / "run", make("fine_tuning.training.max_skipped_steps=1")
    accumulate = optimizer_step.accumulate_gradients
    monkeypatch.setattr(
        optimizer_step,
        "accumulate_gradients",
        lambda *parts, **named: (
            accumulate(*parts, **named) * (torch.inf if named["step"] == 3 else 1)
        ),
    )
    with pytest.raises(NotFiniteError, match="the loss is inf at step 4"):
        finetune_model(data_dir, run_dir, make())
    assert steps_in(run_dir) == ["step-00000003"]
    # It may be decided after the run has stopped at it.
    result = finetune_model(data_dir, run_dir, config)
    finetune_model(data_dir, tmp_path / "unbroken", config)
    assert result.skipped_steps == (4,)
    assert record_of(run_dir)["degraded"]
    ours, theirs = (
        (folder / "metrics.jsonl").read_bytes() for folder in (run_dir, tmp_path / "unbroken")
    )
    assert ours == theirs


def test_a_resumed_run_halves_where_the_first_one_did(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    accumulate, has_failed = optimizer_step.accumulate_gradients, set[str]()
    now = ""

    def out_of_memory_once(*parts: Any, **named: Any) -> float:
        if named["step"] == 4 and now not in has_failed:
            has_failed.add(now)
            raise MemoryError
        return accumulate(*parts, **named)

    monkeypatch.setattr(optimizer_step, "accumulate_gradients", out_of_memory_once)
    for now in ("unbroken", "run"):
        if now == "run":
            # In the step that ran out of memory, before anything of it is in a checkpoint.
            with monkeypatch.context() as patch:
                _interrupt_call(
                    patch,
                    step,
                    "collate",
                    lambda: _n_trained(tmp_path / "run") == 4 and bool("run" in has_failed),
                )
                with pytest.raises(KeyboardInterrupt):
                    finetune_model(data_dir, tmp_path / now, make())
        finetune_model(data_dir, tmp_path / now, make())
    assert_same(tmp_path / "run", tmp_path / "unbroken")
    events = [e for e in record_of(tmp_path / "run")["events"] if e["event"] == "out of memory"]
    assert [(e["n_steps"], e["tokens"]) for e in events] == [(4, 64)]


def test_a_full_disk_costs_the_older_checkpoints_first_and_then_ends_the_run(
    data_dir: Path,
    make: Callable[..., Config],
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run_dir, write, n_left = tmp_path / "run", saving.write_state, [2, 0, 1, 0, 0]

    def full_now_and_then(folder: Path, *parts: Any) -> None:
        if not n_left[0]:
            n_left.pop(0)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "state"))
        n_left[0] -= 1
        write(folder, *parts)

    monkeypatch.setattr(saving, "write_state", full_now_and_then)
    every_step = make("fine_tuning.training.save_every_steps=1")
    with pytest.raises(ResourceError, match="no space is left for the checkpoint of step") as told:
        finetune_model(data_dir, run_dir, every_step)
    assert "run the same command again" in told.value.fix
    monkeypatch.undo()
    assert all(name.startswith("step-") for name in steps_in(run_dir))
    finetune_model(data_dir, run_dir, every_step)
    found, wanted = leftovers(run_dir), leftovers(unbroken)
    assert found["adapter_model.safetensors"] == wanted["adapter_model.safetensors"]
    assert found["metrics.jsonl"] == wanted["metrics.jsonl"]


def test_a_disk_that_breaks_after_it_was_full_is_told_as_that(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faults = iter([errno.ENOSPC, errno.EIO])

    def fail(*_: Any) -> None:
        raise OSError(number := next(faults), os.strerror(number))

    monkeypatch.setattr(saving, "write_state", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as told:
        finetune_model(data_dir, tmp_path / "run", make())
    # The border follows causes to their end.
    assert told.value.__cause__ is None


class Mirror:
    """Notes what it is given."""

    def __init__(self) -> None:
        """Nothing was given yet."""
        self.steps: list[int] = []

    def clear(self) -> None:
        """Nothing to forget."""

    def submit(self, checkpoint: Checkpoint) -> None:
        """Note it."""
        self.steps.append(checkpoint.step)

    def keep(self, steps: Collection[int]) -> None:
        """Keep all."""


def test_a_checkpoint_that_a_signal_came_into_is_mirrored_too(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror = Mirror()
    _interrupt_call(monkeypatch, saving, "write_state", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        finetune_model(data_dir, tmp_path / "run", make(), mirror=mirror)
    assert mirror.steps == [3]


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(folder: Path, n_bytes: int, what: str) -> None:
        assert n_bytes > 4 * 3 * 4 * record["model"]["trained_parameters"]
        raise ResourceError(f"{folder}: {what}")

    record = {"model": {"trained_parameters": 1000}}
    monkeypatch.setattr(space, "require_space", refuse)
    with pytest.raises(ResourceError, match="the checkpoints of this run"):
        finetune_model(data_dir, tmp_path / "a" / "run", make())
    assert list(tmp_path.iterdir()) == []


def test_the_best_checkpoint_and_the_last_two_stay(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    losses = iter([5.0, 1.0, *(2.0 + i for i in range(6))])
    monkeypatch.setattr(loop, "mean_loss", lambda *_, **__: next(losses))
    config = make("fine_tuning.training.eval_every_steps=1")
    result = finetune_model(data_dir, tmp_path / "run", config)
    assert steps_in(tmp_path / "run") == ["step-00000001", "step-00000006", "step-00000007"]
    best = load_file(
        tmp_path / "run" / "checkpoints" / "step-00000001" / "adapter_model.safetensors"
    )
    published = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert all(torch.equal(best[name], published[name]) for name in best)
    assert result.best_loss == 1.0


def test_tensorboard_shows_no_step_twice_after_a_resume(
    data_dir: Path, make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_dir, config = tmp_path / "run", make("monitoring.tensorboard=true")
    _interrupt_call(monkeypatch, loop, "mean_loss", lambda: _n_trained(run_dir) == 6)
    with pytest.raises(KeyboardInterrupt):
        finetune_model(data_dir, run_dir, config)
    monkeypatch.undo()
    finetune_model(data_dir, run_dir, config)
    shown = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    assert [event.step for event in shown.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.step for event in shown.Scalars("eval/loss")] == [0, 3, 6, 7]
