"""A trial reaches the same wherever it was parked, and whatever was trained beside it."""

import hashlib
import itertools
import json
import math
import os
import resource
import signal
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gemtune.config.load import load_config
from gemtune.config.params import Params, create_config_from_params
from gemtune.config.schema import Config
from gemtune.data.files import find_data_files
from gemtune.errors import DataError, RunLockedError
from gemtune.fine_tuning import state
from gemtune.fine_tuning.train import finetune_model
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.hyperparameter.parking import forget_state, parked_adapter
from gemtune.models.load import load_model_for_generation
from gemtune.runs.run import open_run

SETTINGS = (
    "fine_tuning.lora.r=4",
    "fine_tuning.lora.dropout=0.1",
    "fine_tuning.training.precision=fp32",
    "fine_tuning.training.epochs=1.5",
    "fine_tuning.training.micro_batch_tokens=256",
    "fine_tuning.training.early_stopping_patience=1",
    "hyperparameter.validation_rows=5",
)
PLAIN: Params = {"learning_rate": 1e-2}
OTHERS: tuple[Params, ...] = (
    {"learning_rate": 2e-2, "lora_r": 8, "target_modules": "attention"},
    {"learning_rate": 1e-3, "lora_dropout": 0.0, "batch_size": 4},
    {"learning_rate": 5e-3, "lora_r": 2, "target_modules": ["q_proj"], "lora_dropout": 0.3},
)
RUNGS = (1 / 9, 1 / 3, 1.0)
MakeEngine = Callable[..., TrialEngine]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task of 48 rows that a tiny model learns in a few steps, and 12 to validate on."""
    folder = tmp_path_factory.mktemp("task")
    words = ("red", "green", "blue")
    lines = [
        json.dumps({"input_text": f"colour {i} of {i % 3}?", "output_text": words[i % 3]})
        for i in range(60)
    ]
    (folder / "train.jsonl").write_text("\n".join(lines[:48]) + "\n", encoding="utf-8")
    (folder / "val.jsonl").write_text("\n".join(lines[48:]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def make_config(tiny_llama_dir: Path) -> Callable[..., Config]:
    """Settings of the user, with overrides."""
    return lambda *overrides: load_config(
        (), (f"fine_tuning.model={tiny_llama_dir}", *SETTINGS, *overrides)
    )


@pytest.fixture(scope="module")
def make_engine(make_config: Callable[..., Config], data_dir: Path) -> MakeEngine:
    """An engine of its own."""
    return lambda *overrides: TrialEngine(make_config(*overrides), find_data_files(data_dir))


@pytest.fixture(scope="module")
def engine(make_engine: MakeEngine) -> TrialEngine:
    """One engine for many tests: nothing that they do may change it."""
    return make_engine()


@pytest.fixture(scope="module")
def alone(make_engine: MakeEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain trial, trained at once on an engine that trained nothing else."""
    folder = tmp_path_factory.mktemp("alone") / "trial"
    make_engine().advance(PLAIN, folder, 1.0)
    return folder


def parked_state(trial_dir: Path) -> dict[str, bytes]:
    """Adapter, weights and optimizer of a trial, in bytes."""
    adapter = parked_adapter(trial_dir)
    names = ("adapter_model.safetensors", "adapter_config.json", state.TENSORS_FILE)
    return {name: (adapter / name).read_bytes() for name in names}


def losses(trial_dir: Path) -> list[tuple[int, int, float]]:
    rungs = json.loads((trial_dir / "run.json").read_text())["rungs"]
    return [(rung["n_steps"], rung["n_tokens"], rung["loss"]) for rung in rungs]


def test_a_whole_trial_is_the_run_that_finetune_makes_of_its_settings(
    engine: TrialEngine, make_config: Callable[..., Config], data_dir: Path, tmp_path: Path
) -> None:
    *_, reached = [engine.advance(PLAIN, tmp_path / "trial", fraction) for fraction in RUNGS]
    config = create_config_from_params(
        make_config("fine_tuning.training.early_stopping_patience=null"), PLAIN
    )
    run = finetune_model(data_dir, tmp_path / "run", config)
    assert (reached.n_steps, reached.n_tokens) == (run.n_steps, run.n_tokens) == (9, run.n_tokens)
    last = tmp_path / "run" / "checkpoints" / "step-00000009"
    for name, content in parked_state(tmp_path / "trial").items():
        assert content == (last / name).read_bytes(), name


def test_parking_a_trial_changes_nothing(engine: TrialEngine, alone: Path, tmp_path: Path) -> None:
    reached = [engine.advance(PLAIN, tmp_path / "trial", fraction) for fraction in RUNGS]
    assert parked_state(tmp_path / "trial") == parked_state(alone)
    assert losses(tmp_path / "trial")[-1] == losses(alone)[-1]
    assert [found.n_steps for found in reached] == [1, 3, 9]
    assert all(before.n_tokens < after.n_tokens for before, after in pairwise(reached))
    assert reached[-1].loss < engine.base_loss


def test_neither_do_trials_before_it_after_it_and_in_between(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    for fraction in RUNGS:
        for number, params in enumerate(OTHERS):
            engine.advance(params, tmp_path / f"{number}", fraction)
        engine.advance(PLAIN, tmp_path / "trial", fraction)
    assert parked_state(tmp_path / "trial") == parked_state(alone)
    wanted = {number: parked_state(tmp_path / f"{number}") for number in range(len(OTHERS))}
    for number, params in reversed(list(enumerate(OTHERS))):
        engine.advance(params, tmp_path / "again" / f"{number}", 1.0)
        assert parked_state(tmp_path / "again" / f"{number}") == wanted[number]


def test_the_base_is_the_same_bit_for_bit_after_any_trial(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    engine = make_engine("fine_tuning.lora.init=pissa", "fine_tuning.lora.bias=all")
    base = engine.foundation.base
    before, modules = digest(base), [type(module) for module in base.modules()]
    for number, params in enumerate((PLAIN, *OTHERS)):
        engine.advance(params, tmp_path / f"{number}", 1 / 3)
    assert digest(base) == before
    assert [type(module) for module in base.modules()] == modules
    assert all(parameter.grad is None for parameter in base.parameters())


def digest(model: PreTrainedModel) -> str:
    """SHA-256 of all weights and buffers with their names."""
    sha256 = hashlib.sha256()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        sha256.update(name.encode())
        sha256.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()


def test_a_rung_that_was_reached_is_told_again_without_training(
    engine: TrialEngine, tmp_path: Path
) -> None:
    first = engine.advance(PLAIN, tmp_path / "trial", 1 / 3)
    engine.advance(PLAIN, tmp_path / "trial", 1.0)
    steps: list[None] = []
    again = engine.advance(PLAIN, tmp_path / "trial", 1 / 3, lambda: steps.append(None))
    assert not steps
    assert (again.n_steps, again.n_tokens, again.loss, again.ended) == (
        first.n_steps, first.n_tokens, first.loss, None,
    )  # fmt: skip


def test_every_step_is_told(engine: TrialEngine, tmp_path: Path) -> None:
    steps: list[None] = []
    engine.advance(PLAIN, tmp_path / "trial", 1 / 3, lambda: steps.append(None))
    assert len(steps) == 3


def test_an_interrupted_trial_goes_on_after_its_last_step(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    for at in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            engine.advance(PLAIN, tmp_path / "trial", 1.0, countdown(at))
    steps: list[None] = []
    engine.advance(PLAIN, tmp_path / "trial", 1.0, lambda: steps.append(None))
    assert len(steps) == 9 - 1 - 4
    assert parked_state(tmp_path / "trial") == parked_state(alone)


def countdown(n_steps: int) -> Callable[[], None]:
    """Something that stops a trial after so many steps."""
    left = iter(range(n_steps - 1))

    def stop() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return stop


def test_a_trial_that_is_killed_between_any_two_files_goes_on(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    n_files = count_files(engine, tmp_path / "whole")
    n_killed = 0
    for at in range(1, n_files, 7):
        trial_dir = tmp_path / f"trial-{at}"
        n_killed += dies(partial(train_until, engine, trial_dir, at))
        for fraction in RUNGS:
            engine.advance(PLAIN, trial_dir, fraction)
        assert parked_state(trial_dir) == parked_state(alone)
        assert losses(trial_dir)[-1] == losses(alone)[-1]
    assert n_killed == len(range(1, n_files, 7)) > 3


def train_until(engine: TrialEngine, trial_dir: Path, at: int) -> None:
    """Train through all rungs; be killed before file number `at` of the trial gets its name."""
    n_files = itertools.count(1)

    def kill_in_time(source: Path) -> None:
        if source.is_relative_to(trial_dir) and next(n_files) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    watch_names(kill_in_time)
    for fraction in RUNGS:
        engine.advance(PLAIN, trial_dir, fraction)


def count_files(engine: TrialEngine, trial_dir: Path) -> int:
    """How many files and folders get their name on the way."""
    seen: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        watch_names(seen.append, patch)
        for fraction in RUNGS:
            engine.advance(PLAIN, trial_dir, fraction)
    return len(seen)


def watch_names(watch: Callable[[Path], None], patch: pytest.MonkeyPatch | None = None) -> None:
    """Call `watch` before anything is renamed; without `patch` until the process ends."""
    for name in ("replace", "rename"):
        original = getattr(Path, name)

        def watched(source: Path, target: Path, original: Any = original) -> Path:
            watch(source)
            return original(source, target)

        (patch or pytest.MonkeyPatch()).setattr(Path, name, watched)


def dies(work: Callable[[], None]) -> bool:
    """Whether a copy of this process that does the work is killed."""
    with warnings.catch_warnings():
        # torch has threads, which wait for work that the copy does not give them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_damage_costs_only_the_time_to_begin_anew(
    engine: TrialEngine, alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("checkpoints/step-00000003/training_state.safetensors", "run.json"):
        engine.advance(PLAIN, tmp_path / name / "trial", 1 / 3)
        damaged = tmp_path / name / "trial" / name
        damaged.write_bytes(damaged.read_bytes()[:-20])
        engine.advance(PLAIN, tmp_path / name / "trial", 1.0)
        assert parked_state(tmp_path / name / "trial") == parked_state(alone)
    assert caplog.text.count("begins anew") == 2


def test_what_another_trial_left_in_the_folder_is_replaced(
    engine: TrialEngine, alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine.advance({"learning_rate": 2e-2}, tmp_path / "trial", 1 / 3)
    engine.advance(PLAIN, tmp_path / "trial", 1.0)
    assert parked_state(tmp_path / "trial") == parked_state(alone)
    assert len(losses(tmp_path / "trial")) == 1
    assert "holds another trial" in caplog.text
    assert "fine_tuning.training.learning_rate: 0.02 -> 0.01" in caplog.text


def test_a_trial_that_was_forgotten_leaves_its_record_and_can_begin_anew(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    engine.advance(PLAIN, tmp_path / "trial", 1 / 9)
    engine.advance(PLAIN, tmp_path / "trial", 1 / 3)
    forget_state(tmp_path / "trial")
    left = {path.name for path in (tmp_path / "trial").rglob("*")}
    assert {"run.json", "metrics.jsonl", "config.resolved.json"} <= left
    assert not any(name.endswith(".safetensors") for name in left)
    assert len(losses(tmp_path / "trial")) == 2
    engine.advance(PLAIN, tmp_path / "trial", 1.0)
    assert parked_state(tmp_path / "trial") == parked_state(alone)


def test_nobody_else_may_work_on_a_trial(engine: TrialEngine, tmp_path: Path) -> None:
    with open_run(tmp_path / "trial", overwrite=False), pytest.raises(RunLockedError):
        engine.advance(PLAIN, tmp_path / "trial", 1.0)


def test_a_trial_that_is_not_finite_ends_itself_and_the_next_one_is_as_ever(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        reached = engine.advance({"learning_rate": 1e37}, tmp_path / "bad", 1.0)
        assert (reached.ended, reached.loss) == ("not finite", math.inf)
        assert reached.n_steps < 9
    engine.advance(PLAIN, tmp_path / "trial", 1.0)
    assert parked_state(tmp_path / "trial") == parked_state(alone)


def test_a_trial_that_is_worse_than_the_base_after_its_warm_up_has_diverged(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    engine = make_engine()
    # As if the base knew nearly all answers: no random one does.
    engine.base_loss = 0.1
    slow: Params = {"learning_rate": 1e-6, "warmup_ratio": 0.3}
    assert engine.advance(slow, tmp_path / "trial", 1 / 9).ended is None
    for _ in range(2):
        reached = engine.advance(slow, tmp_path / "trial", 1 / 3)
        assert reached.ended == "diverged"
        assert reached.loss > 0.6


@pytest.mark.parametrize(("n_fitting", "ended"), [(100, None), (1, "out of memory")])
def test_out_of_memory_halves_micro_batches_and_ends_only_this_trial(
    n_fitting: int,
    ended: str | None,
    engine: TrialEngine,
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = type(engine.foundation.base.get_input_embeddings())
    with monkeypatch.context() as patch:
        patch.setattr(layer, "forward", little_memory(nn.Embedding.forward, n_fitting))
        reached = engine.advance(PLAIN, tmp_path / "small", 1.0)
    assert reached.ended == ended
    record = json.loads((tmp_path / "small" / "run.json").read_text())
    assert [limit["tokens"] for limit in record["micro_batches"]][-1] < 256
    engine.advance(PLAIN, tmp_path / "trial", 1.0)
    assert parked_state(tmp_path / "trial") == parked_state(alone)


def little_memory(forward: Callable[..., Tensor], n_fitting: int) -> Callable[..., Tensor]:
    """Fail as torch does on a CPU when a model in training is given more tokens."""

    def limited(self: nn.Embedding, token_ids: Tensor) -> Tensor:
        if self.training and token_ids.numel() > n_fitting:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 bytes")
        return forward(self, token_ids)

    return limited


def test_trials_are_ranked_by_the_same_few_rows(
    engine: TrialEngine, make_engine: MakeEngine
) -> None:
    few = [row.id for row in engine.foundation.rows["val"]]
    more = make_engine("hyperparameter.validation_rows=9").foundation.rows["val"]
    other = make_engine("hyperparameter.seed=1").foundation.rows["val"]
    everything = make_engine("hyperparameter.validation_rows=99").foundation.rows["val"]
    assert (len(few), len(set(few)), len(everything)) == (5, 5, 12)
    assert [row.id for row in more][:5] == few != [row.id for row in other]


def test_the_loss_is_the_mean_over_the_tokens_of_these_rows(
    engine: TrialEngine, tmp_path: Path
) -> None:
    reached = engine.advance(PLAIN, tmp_path / "trial", 1 / 3)
    assert reached.loss == pytest.approx(plain_loss(engine, parked_adapter(tmp_path / "trial")))


def plain_loss(engine: TrialEngine, adapter: Path) -> float:
    """The same with the adapter merged, row by row."""
    model = load_model_for_generation(adapter, revision=None, precision="fp32").model
    sums, n_targets = 0.0, 0
    for row in engine.foundation.rows["val"]:
        token_ids = torch.from_numpy(row.token_ids.astype(np.int64))
        targets = torch.where(torch.from_numpy(row.trained), token_ids, -100)
        with torch.no_grad():
            logits = model(input_ids=token_ids[None]).logits[0]
        sums += nn.functional.cross_entropy(logits[:-1], targets[1:], reduction="sum").item()
        n_targets += row.n_targets
    return sums / n_targets


def test_without_validation_data_there_is_nothing_to_rank_by(
    make_config: Callable[..., Config], data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_bytes((data_dir / "train.jsonl").read_bytes())
    with pytest.raises(DataError, match=r"no val\.jsonl"):
        TrialEngine(make_config(), find_data_files(tmp_path))


def test_memory_does_not_grow_with_the_number_of_trials(
    engine: TrialEngine, tmp_path: Path
) -> None:
    resident = []
    for number in range(20):
        params = (PLAIN, *OTHERS)[number % 4]
        engine.advance(params, tmp_path / f"{number}", 1 / 9)
        resident.append(resident_bytes())
    slope = np.polyfit(range(10), resident[10:], 1)[0]
    # One adapter with its optimizer and its copy of the modules takes more.
    assert slope < 2**16, resident


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return n_pages * resource.getpagesize()
