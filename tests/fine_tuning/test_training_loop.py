"""The loop: when it validates, saves, stops and complains."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from gemtune.config.schema import FineTuningConfig
from gemtune.errors import NotFiniteError, ResourceError
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.loop import LoopResult, TrainingLoop
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.optimizer import build_optimizer
from gemtune.fine_tuning.plan import plan_run
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.fine_tuning.state import Progress
from gemtune.monitoring.recorder import Recorder

MakeRows = Callable[..., list[Row]]


class Run:
    """A loop over random rows, and what it saved and recorded."""

    def __init__(
        self, base: PreTrainedModel, train: list[Row], val: list[Row], **training: object
    ) -> None:
        """Put an adapter on `base`; the other keywords are keys of `fine_tuning.training`."""
        lora = {"r": 4, "dropout": training.pop("dropout", 0.0)}
        config = FineTuningConfig.model_validate({"lora": lora, "training": training})
        model = setup_peft_model(base, config).get_base_model()
        assert isinstance(model, PreTrainedModel)
        self.model = model
        self.masters = MasterWeights(self.model, torch.float32)
        self.plan = plan_run(len(train), config.training)
        self.saved: dict[int, Mapping[str, Tensor]] = {}
        self.limits: list[TokenLimit] = []
        self._stream = io.StringIO()
        limit = TokenLimit(0, False, config.training.micro_batch_tokens)
        self._ingredients = Ingredients(
            model=self.model,
            masters=self.masters,
            optimizer=build_optimizer(self.masters.weights, config.training, config.lora),
            train=train,
            val=val,
            plan=self.plan,
            training=config.training,
            recorder=Recorder(Path("run"), self._stream, io.StringIO(), ()),
            memory=MemoryLimit([limit], self._note_limits),
            progress=Progress(),
        )

    def go(self, log_every_steps: int = 1) -> LoopResult:
        """Train to the end."""
        return TrainingLoop(self._ingredients, self._save, log_every_steps).run()

    def _note_limits(self, limits: Sequence[TokenLimit]) -> None:
        self.limits = [*limits]

    def _save(self, progress: Progress) -> float:
        self.saved[progress.n_steps] = self.masters.state()
        return 0.0

    def records(self, kind: str) -> list[dict[str, float]]:
        """What was recorded of one kind."""
        lines = map(json.loads, self._stream.getvalue().splitlines())
        return [line for line in lines if line["kind"] == kind]

    def steps(self, kind: str) -> list[float]:
        """After which steps that was."""
        return [record["step"] for record in self.records(kind)]


def test_the_base_is_validated_first_then_every_epoch(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(20), make_rows(4, seed=1), batch_size=8, epochs=2)
    result = run.go()
    assert run.steps("eval") == [0, 3, 6]
    assert run.steps("epoch") == [3, 6]
    assert result.first is not None
    assert (result.first.n_steps, result.n_steps, list(run.saved)) == (0, 6, [3, 6])


def test_validation_every_n_steps_saves_each_time(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(16), make_rows(4, seed=1), epochs=2.5, eval_every_steps=2)
    run.go()
    assert run.steps("eval") == [0, 2, 4, 5]
    assert list(run.saved) == [2, 4, 5]


def test_checkpoints_come_at_validations_and_every_n_steps(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(32), make_rows(4, seed=1), eval_every_steps=4, save_every_steps=3,
              max_steps=8)  # fmt: skip
    run.go()
    assert list(run.saved) == [3, 4, 6, 8]


def test_checkpoints_come_after_every_step_that_takes_longer_than_the_time_set(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(32), [], save_every_minutes=1e-9, max_steps=3)
    run.go()
    assert list(run.saved) == [1, 2, 3]


def test_the_best_are_the_weights_of_the_lowest_validation_loss(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    # Learning far too fast, on other rows than it is validated on: sooner or later it gets worse.
    run = Run(
        llama, make_rows(16), make_rows(4, seed=1), learning_rate=0.1, lr_scheduler="constant",
        epochs=4, eval_every_steps=1,
    )  # fmt: skip
    result = run.go()
    losses = [record["eval/loss"] for record in run.records("eval")][1:]
    assert result.best is not None
    assert result.best.loss == losses[result.best.n_steps - 1] == min(losses) < losses[-1]


def test_without_validation_data_it_saves_at_the_end_of_an_epoch_all_the_same(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(16), [], epochs=2)
    result = run.go()
    assert list(run.saved) == [2, 4]
    assert (result.first, result.best, run.steps("eval")) == (None, None, [])


def test_it_stops_early_when_validation_stalls_and_records_the_last_step(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(
        llama, make_rows(40), make_rows(4, seed=1), learning_rate=0.3, epochs=20,
        early_stopping_patience=2, eval_every_steps=3, warmup_ratio=0.0,
    )  # fmt: skip
    result = run.go(log_every_steps=100)
    assert result.stopped_early
    assert result.best is not None
    assert result.n_steps == result.best.n_steps + 2 * 3 < run.plan.n_steps
    assert run.steps("train")[-1] == result.n_steps


def test_a_run_that_stalls_in_its_last_step_did_not_stop_early(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(
        llama, make_rows(8), make_rows(4, seed=1), learning_rate=0.3, epochs=2,
        early_stopping_patience=1, warmup_ratio=0.0,
    )  # fmt: skip
    result = run.go()
    assert result.n_steps == 2
    assert not result.stopped_early


def test_training_has_dropout_from_the_first_step_on(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    rows = make_rows(8)
    for val in ([], make_rows(4, seed=1)):
        run = Run(llama, rows, val, dropout=0.5, max_steps=1)
        run.go()
        assert all(module.training for module in run.model.modules())


def test_the_model_computes_with_the_weights_that_were_saved_last(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(16), [], epochs=1)
    start = run.masters.state()
    run.go()
    saved = run.saved[2]
    in_model = dict(run.model.named_parameters())
    assert all(torch.equal(weight, in_model[name]) for name, weight in saved.items())
    assert any(not torch.equal(weight, start[name]) for name, weight in saved.items())


def test_every_step_starts_without_gradients(llama: PreTrainedModel, make_rows: MakeRows) -> None:
    run = Run(llama, make_rows(8), [], max_steps=1)
    run.go()
    assert all(weight.grad is None for weight in run.masters.parameters())


def test_clipping_makes_the_step_smaller(llama: PreTrainedModel, make_rows: MakeRows) -> None:
    moved = []
    for limit in (1e-12, 0.0):
        # AdamW undoes any scale of the gradient but one so small that its epsilon is larger.
        run = Run(llama, make_rows(8), [], max_steps=1, max_grad_norm=limit, weight_decay=0.0)
        start = run.masters.state()
        run.go()
        moved.append(max((w - start[n]).abs().max().item() for n, w in run.saved[1].items()))
    assert moved[0] < 1e-3 * moved[1]


def test_the_gradient_norm_is_that_before_clipping(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    norms = []
    for limit in (0.0, 1e-3):
        run = Run(llama, make_rows(8), [], max_steps=1, max_grad_norm=limit)
        run.go()
        norms.append(run.records("train")[0]["train/grad_norm"])
    assert norms[0] == norms[1] > 1e-3


def test_a_loss_that_is_not_finite_names_the_step_and_its_rows(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    embeddings = llama.get_parameter("model.embed_tokens.weight").data
    embeddings[7] = torch.nan
    rows = make_rows(8)
    for row in rows:
        row.token_ids[row.token_ids == 7] = 8
    rows[5].token_ids[0] = 7
    run = Run(llama, rows, [], batch_size=1, epochs=1)
    with pytest.raises(NotFiniteError, match=r"the loss is nan at step \d; rows: row-5$"):
        run.go()
    weights = run.masters.state()
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_a_base_that_is_not_finite_is_told_before_the_first_step(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    llama.get_parameter("model.embed_tokens.weight").data.fill_(torch.nan)
    run = Run(llama, make_rows(8), make_rows(2))
    with pytest.raises(NotFiniteError, match="nan before the first step: the base model's"):
        run.go()


def test_a_learning_rate_beyond_fp32_is_told_before_a_weight_is_touched(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, make_rows(8), [], learning_rate=1e38, max_steps=1, warmup_ratio=0.0)
    start = run.masters.state()
    with pytest.raises(NotFiniteError, match="the step size is inf at step 1"):
        run.go()
    assert all(torch.equal(weight, start[name]) for name, weight in run.masters.state().items())


def test_a_perplexity_beyond_all_numbers_is_left_out(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    llama.get_parameter("lm_head.weight").data.mul_(1e5)
    run = Run(llama, make_rows(8), make_rows(2), max_steps=1)
    run.go()
    assert run.records("eval")[0]["eval/loss"] > 710
    assert "eval/perplexity" not in run.records("eval")[0]


def test_a_step_that_is_not_finite_leaves_the_last_good_one_saved(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    run = Run(llama, _with_one_bad_row(llama, make_rows), [], batch_size=1, epochs=1)
    with pytest.raises(NotFiniteError) as caught:
        run.go()
    assert "max_skipped_steps" in caught.value.fix
    n_good = int(str(caught.value).split(" at step ")[1].split(";")[0]) - 1
    assert list(run.saved) == ([n_good] if n_good else [])


def test_a_step_that_is_not_finite_is_skipped_if_that_is_allowed(
    llama: PreTrainedModel, make_rows: MakeRows, caplog: pytest.LogCaptureFixture
) -> None:
    rows = _with_one_bad_row(llama, make_rows)
    run = Run(llama, rows, [], batch_size=1, epochs=1, max_skipped_steps=1, save_every_steps=1)
    result = run.go()
    (skipped,) = result.skipped_steps
    assert result.n_steps == 8
    assert run.steps("skipped") == [skipped]
    assert run.steps("train") == [step for step in range(1, 9) if step != skipped]
    before = run.saved.get(skipped - 1)
    after = run.saved[skipped]
    assert before is None or all(torch.equal(after[name], before[name]) for name in before)
    assert f"step {skipped} is skipped: the loss is nan" in caplog.text
    assert caplog.text.count("row-5") == 1


def test_one_more_step_than_may_be_skipped_ends_the_run(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    rows = _with_one_bad_row(llama, make_rows)
    run = Run(llama, rows, [], batch_size=1, epochs=2, max_skipped_steps=1)
    with pytest.raises(NotFiniteError, match="row-5"):
        run.go()


def _with_one_bad_row(model: PreTrainedModel, make_rows: MakeRows) -> list[Row]:
    model.get_parameter("model.embed_tokens.weight").data[7] = torch.nan
    rows = make_rows(8)
    for row in rows:
        row.token_ids[row.token_ids == 7] = 8
    rows[5].token_ids[0] = 7
    return rows


@pytest.mark.parametrize("where", ["training", "validation"])
def test_out_of_memory_halves_micro_batches_and_keeps_the_batch(
    where: str, llama: PreTrainedModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, val = make_rows(24), make_rows(8, seed=1)
    unlimited = Run(llama, rows, val, max_steps=3, micro_batch_tokens=256)
    wanted = unlimited.go()
    run = Run(llama, rows, val, max_steps=3, micro_batch_tokens=256)
    _limit_memory(run.model, 64, monkeypatch, in_training=where == "training")
    result = run.go()
    assert run.limits[-1] == TokenLimit(0, where == "training", 64)
    assert result.n_steps == wanted.n_steps
    assert result.n_tokens == wanted.n_tokens
    assert result.train_loss == pytest.approx(wanted.train_loss, rel=1e-4)
    first = [found.records("train")[0]["train/grad_norm"] for found in (unlimited, run)]
    assert first[0] == pytest.approx(first[1], rel=1e-5)


def test_a_row_that_does_not_fit_alone_is_told_with_what_was_tried(
    llama: PreTrainedModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(llama, make_rows(16), [], max_steps=3, micro_batch_tokens=100)
    _limit_memory(run.model, 1, monkeypatch, in_training=True)
    with pytest.raises(ResourceError, match=r"in step 1: a row of \d+ tokens .* of 25 tokens"):
        run.go()
    assert run.saved == {}


def test_a_row_longer_than_a_micro_batch_is_tried_before_the_first_step(
    llama: PreTrainedModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(16)
    longest = max(len(row.token_ids) for row in rows)
    run = Run(llama, rows, rows[:2], epochs=1, batch_size=2, micro_batch_tokens=longest - 1)
    _limit_memory(run.model, longest - 1, monkeypatch, in_training=True)
    with pytest.raises(ResourceError, match=f"in step 1: a row of {longest} tokens"):
        run.go()
    assert run.records("eval") == []


def _limit_memory(
    model: PreTrainedModel, max_tokens: int, monkeypatch: pytest.MonkeyPatch, *, in_training: bool
) -> None:
    """Let the model fail as torch does on a CPU when it is given more tokens."""
    forward = model.forward

    def limited(input_ids: Tensor, **settings: Any) -> Any:
        if model.training == in_training and input_ids.numel() > max_tokens:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 bytes")
        return forward(input_ids, **settings)

    monkeypatch.setattr(model, "forward", limited)
