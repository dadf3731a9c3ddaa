"""Trials of the engine that are trained together, parked, and go on in other company."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from gemtune.config.load import load_config
from gemtune.config.params import Params
from gemtune.data.files import find_data_files
from gemtune.errors import GemtuneError
from gemtune.fine_tuning import state
from gemtune.hyperparameter.advance import Advance, Errand
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.hyperparameter.packing.network import PackedNetwork
from gemtune.hyperparameter.parking import parked_adapter
from gemtune.models.quiet import quiet_transformers

TRIALS: tuple[Params, ...] = (
    {"learning_rate": 1e-2},
    {"learning_rate": 1e-3, "lora_dropout": 0.2, "batch_size": 4, "lora_r": 8},
    {"learning_rate": 2e-2, "lora_r": 2, "batch_size": 16},
)
ATTENTION: Params = {"learning_rate": 5e-3, "target_modules": "attention"}


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
def engine(tiny_llama_dir: Path, data_dir: Path) -> TrialEngine:
    """It packs up to four."""
    settings = (
        f"fine_tuning.model={tiny_llama_dir}",
        "fine_tuning.lora.r=4",
        "fine_tuning.lora.dropout=0.1",
        "fine_tuning.training.precision=fp32",
        "fine_tuning.training.epochs=1.5",
        "fine_tuning.training.micro_batch_tokens=256",
        "hyperparameter.packing=4",
    )
    return TrialEngine(load_config((), settings), find_data_files(data_dir))


@pytest.fixture(scope="module")
def alone(engine: TrialEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each trial as it is without others, at a third and to its end."""
    folder = tmp_path_factory.mktemp("alone")
    for number, params in enumerate(TRIALS):
        for fraction in (1 / 3, 1.0):
            engine.advance(params, folder / str(number), fraction)
    return folder


def pack(
    engine: TrialEngine,
    folder: Path,
    fraction: float,
    numbers: tuple[int, ...] = (0, 1, 2),
    on_step: Callable[[], None] = lambda: None,
) -> list[Advance]:
    errands = [Errand(TRIALS[n], folder / str(n), fraction, on_step) for n in numbers]
    return engine.advance_together(errands)


def assert_same_trials(folder: Path, alone: Path, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    """The same files, and in them the same numbers up to what fp32 rounds."""
    for number in numbers:
        mine, yours = folder / str(number), alone / str(number)
        assert files_of(mine) == files_of(yours)
        found, wanted = (json.loads((each / "run.json").read_text()) for each in (mine, yours))
        assert found.keys() == wanted.keys()
        assert (found["status"], found["params"]) == (wanted["status"], wanted["params"])
        for rung, known in zip(found["rungs"], wanted["rungs"], strict=True):
            assert rung == pytest.approx(known, rel=1e-4)
        weights, others = (
            load_file(parked_adapter(each) / state.TENSORS_FILE) for each in (mine, yours)
        )
        assert weights.keys() == others.keys()
        for name in weights:
            torch.testing.assert_close(weights[name], others[name], rtol=1e-2, atol=1e-4)


def files_of(trial_dir: Path) -> set[str]:
    """In the folder and in the newest checkpoint; older ones tell when somebody stopped."""
    folders = (trial_dir, parked_adapter(trial_dir))
    return {path.name for folder in folders for path in folder.iterdir() if path.is_file()}


def step_of(trial_dir: Path) -> int:
    step: int = json.loads((parked_adapter(trial_dir) / "state.json").read_text())["step"]
    return step


def test_trials_of_a_pack_leave_what_they_leave_alone(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    pack(engine, tmp_path, 1 / 3)
    found = pack(engine, tmp_path, 1.0)
    assert_same_trials(tmp_path, alone)
    wanted = [engine.advance(params, alone / str(n), 1.0) for n, params in enumerate(TRIALS)]
    assert [each.n_steps for each in found] == [each.n_steps for each in wanted] == [9, 18, 5]
    assert [each.loss for each in found] == pytest.approx([w.loss for w in wanted], rel=1e-4)
    assert all(each.seconds > 0 for each in found)


def test_a_trial_goes_on_alone_or_in_other_company(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    pack(engine, tmp_path, 1 / 3, (0, 1))
    engine.advance(TRIALS[2], tmp_path / "2", 1 / 3)
    engine.advance(TRIALS[0], tmp_path / "0", 1.0)
    pack(engine, tmp_path, 1.0, (2, 1))
    assert_same_trials(tmp_path, alone)


def test_a_pack_that_was_stopped_goes_on_where_it_was(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    steps = iter([None] * 7)

    def stop() -> None:
        if next(steps, 0) == 0:
            raise KeyboardInterrupt

    pack(engine, tmp_path, 1 / 3)
    with pytest.raises(KeyboardInterrupt):
        pack(engine, tmp_path, 1.0, on_step=stop)
    assert sum(step_of(tmp_path / f"{n}") for n in (0, 1, 2)) == 3 + 6 + 2 + 8
    pack(engine, tmp_path, 1.0)
    assert_same_trials(tmp_path, alone)


def test_what_is_known_already_is_not_trained_again(engine: TrialEngine, tmp_path: Path) -> None:
    first = pack(engine, tmp_path, 1 / 3)
    called = []
    again = pack(engine, tmp_path, 1 / 3, on_step=lambda: called.append(1))
    assert not called
    assert [each.loss for each in again] == [each.loss for each in first]


def test_a_trial_that_is_not_finite_ends_and_leaves_the_others_to_go_on(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    wild: Params = {"learning_rate": 1e30}
    errands = [
        Errand(params, tmp_path / name, 1 / 3, lambda: None)
        for params, name in ((wild, "wild"), (TRIALS[0], "0"), (TRIALS[1], "1"))
    ]
    ended, *others = engine.advance_together(errands)
    assert ended.ended in ("not finite", "diverged")
    assert [each.ended for each in others] == [None, None]
    errands = errands[1:]
    engine.advance_together([Errand(e.params, e.trial_dir, 1.0, e.on_step) for e in errands])
    assert_same_trials(tmp_path, alone, (0, 1))


def test_trials_on_other_layers_are_trained_beside_the_pack(
    engine: TrialEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = set()
    compute = PackedNetwork.add_gradients

    def watch(network: PackedNetwork, shares: list[object]) -> list[float]:
        sizes.add(len(shares))
        return compute(network, shares)  # type: ignore[bad-argument-type]

    monkeypatch.setattr(PackedNetwork, "add_gradients", watch)
    asked = (TRIALS[0], ATTENTION, TRIALS[1])
    errands = [Errand(p, tmp_path / str(n), 1 / 3, lambda: None) for n, p in enumerate(asked)]
    found = engine.advance_together(errands)
    wanted = [engine.advance(p, tmp_path / "alone" / str(n), 1 / 3) for n, p in enumerate(asked)]
    assert sizes == {2}
    assert [each.loss for each in found] == pytest.approx([w.loss for w in wanted], rel=1e-4)


def test_peft_answers_with_a_parked_trial_as_with_the_one_that_was_alone(
    engine: TrialEngine, alone: Path, tmp_path: Path
) -> None:
    pack(engine, tmp_path, 1 / 3)
    pack(engine, tmp_path, 1.0)
    for number in range(len(TRIALS)):
        mine, yours = (logits_of(engine, folder / str(number)) for folder in (tmp_path, alone))
        torch.testing.assert_close(mine, yours, rtol=1e-3, atol=1e-3)
        assert (mine - logits_of(engine, None)).abs().max() > 0.1


def logits_of(engine: TrialEngine, trial_dir: Path | None) -> torch.Tensor:
    """Of the base, with the adapter of a trial if there is one, by plain PEFT."""
    name = engine.foundation.base_name
    model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    if trial_dir:
        with quiet_transformers():
            model = PeftModel.from_pretrained(model, str(parked_adapter(trial_dir)))
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.arange(5, 25)[None]).logits
    return logits


def test_an_error_of_one_trial_parks_the_others(engine: TrialEngine, tmp_path: Path) -> None:
    engine.advance_together([Errand(TRIALS[0], tmp_path / "0", 1 / 3, lambda: None)])
    n_steps = iter(range(100))

    def fail() -> None:
        if next(n_steps) == 2:
            raise GemtuneError("the disk is gone", fix="find it")

    errands = [
        Errand(TRIALS[0], tmp_path / "0", 1.0, lambda: None),
        Errand(TRIALS[1], tmp_path / "1", 1.0, fail),
    ]
    with pytest.raises(GemtuneError, match="gone"):
        engine.advance_together(errands)
    assert step_of(tmp_path / "0") > 3
