"""Loss and gradient against a plain reference: full logits, one row at a time, no padding."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gemtune.config.schema import FineTuningConfig, LoraConfig
from gemtune.fine_tuning.batches import collate
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.fine_tuning.step import accumulate_gradients, mean_loss, summed_loss
from gemtune.models.attention import choose_attention

MakeRows = Callable[..., list[Row]]


def adapted(base: PreTrainedModel, lora: LoraConfig | None = None) -> PreTrainedModel:
    """An adapter that has already learned something, so that A gets gradients too."""
    config = FineTuningConfig(lora=lora or LoraConfig(r=4))
    model = setup_peft_model(base, config).get_base_model()
    assert isinstance(model, PreTrainedModel)
    random = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05, generator=random)
    return model


def head_of(model: PreTrainedModel) -> nn.Module:
    head = model.get_output_embeddings()
    assert head is not None
    return head


def reference_loss(model: nn.Module, rows: list[Row]) -> Tensor:
    """Token-mean cross-entropy as one would write it down."""
    losses = []
    for row in rows:
        token_ids = torch.from_numpy(row.token_ids)
        log_probabilities = model(input_ids=token_ids[None]).logits[0].log_softmax(-1)
        for t in range(1, len(token_ids)):
            if row.trained[t]:
                losses.append(-log_probabilities[t - 1, token_ids[t]])
    return torch.stack(losses).double().mean()


def reference_gradients(model: nn.Module, rows: list[Row]) -> dict[str, Tensor]:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(reference_loss(model, rows), list(trained.values()))
    return dict(zip(trained, found, strict=True))


def relative_difference(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    assert found.keys() == wanted.keys()
    gap = sum((found[n] - wanted[n]).double().square().sum().item() for n in wanted)
    size = sum(wanted[n].double().square().sum().item() for n in wanted)
    return (gap / size) ** 0.5


@pytest.mark.parametrize("max_tokens", [1, 100, 10_000])
def test_the_mean_loss_is_the_cross_entropy_of_every_target_token(
    base: PreTrainedModel, make_rows: MakeRows, max_tokens: int
) -> None:
    rows = make_rows(9)
    model = adapted(base).eval()
    with torch.no_grad():
        wanted = reference_loss(model, rows).item()
    assert mean_loss(model, rows, max_tokens=max_tokens) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("max_tokens", [1, 100, 10_000])
def test_loss_and_gradient_do_not_depend_on_the_micro_batches(
    base: PreTrainedModel, make_rows: MakeRows, max_tokens: int
) -> None:
    rows = make_rows(9)
    model = adapted(base).eval()
    wanted = reference_gradients(model, rows)
    masters = MasterWeights(model, torch.float32)
    loss = accumulate_gradients(model, masters, rows, max_tokens=max_tokens, seed=0, step=0)
    assert loss == pytest.approx(reference_loss(model, rows).item(), rel=1e-6)
    found = {name: w.grad for name, w in masters.weights.items() if w.grad is not None}
    assert relative_difference(found, wanted) < 1e-6


@pytest.mark.parametrize("packed", [False, True])
def test_a_longer_row_beside_it_changes_nothing_for_a_row(
    base: PreTrainedModel, make_rows: MakeRows, packed: bool
) -> None:
    rows = sorted(make_rows(9), key=lambda row: len(row.token_ids))
    short, long = rows[0], rows[-1]
    if packed:
        base.config.sliding_window = 1024
        choose_attention(base, torch.device("cpu"), 1024)
    alone, beside = collate([short], packed=packed), collate([long, short], packed=packed)
    beside.is_target.view(-1)[: len(long.token_ids)] = False
    with torch.no_grad():
        wanted = summed_loss(base, alone).item()
        found = summed_loss(base, beside).item()
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("position", [1, 4, 9])
def test_the_loss_is_taken_on_the_marked_token_alone(llama: PreTrainedModel, position: int) -> None:
    token_ids = np.arange(20, 30)
    row = Row("a", token_ids, np.arange(10) == position)
    with torch.no_grad():
        logits = llama(input_ids=torch.from_numpy(token_ids)[None]).logits[0]
    wanted = -logits.log_softmax(-1)[position - 1, token_ids[position]].item()
    assert mean_loss(llama, [row], max_tokens=1) == pytest.approx(wanted, rel=1e-6)


def test_the_head_sees_only_positions_with_a_target(
    base: PreTrainedModel, make_rows: MakeRows
) -> None:
    rows = make_rows(4)
    batch, head, shapes = collate(rows, packed=False), head_of(base), []
    with torch.no_grad():
        handle = head.register_forward_hook(lambda _, args, out: shapes.append(args[0].shape))
        summed_loss(base, batch)
        handle.remove()
        full = base(input_ids=batch.token_ids).logits
    assert shapes == [(sum(row.n_targets for row in rows), base.config.hidden_size)]
    assert full.shape[:2] == batch.token_ids.shape


def test_dropout_depends_on_seed_step_and_micro_batch_alone(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    rows = make_rows(6)
    model = adapted(llama, LoraConfig(r=4, dropout=0.5)).train()
    masters = MasterWeights(model, torch.float32)

    def loss(max_tokens: int, seed: int, step: int) -> float:
        torch.rand(3)
        return accumulate_gradients(
            model, masters, rows, max_tokens=max_tokens, seed=seed, step=step
        )

    assert loss(60, 1, 1) == loss(60, 1, 1)
    assert len({loss(60, 1, 1), loss(60, 1, 2), loss(60, 2, 1)}) == 3


def test_two_micro_batches_of_the_same_row_drop_different_inputs(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    [row] = make_rows(1)
    model = adapted(llama, LoraConfig(r=4, dropout=0.5)).train()
    masters = MasterWeights(model, torch.float32)
    one = accumulate_gradients(model, masters, [row], max_tokens=1, seed=0, step=0)
    two = accumulate_gradients(model, masters, [row, row], max_tokens=1, seed=0, step=0)
    assert one != two


def test_validation_has_no_dropout_and_leaves_the_mode_as_it_was(
    llama: PreTrainedModel, make_rows: MakeRows
) -> None:
    model = adapted(llama, LoraConfig(r=4, dropout=0.5)).train()
    assert len({mean_loss(model, make_rows(3), max_tokens=50) for _ in range(2)}) == 1
    assert all(module.training for module in model.modules())


def test_validation_that_runs_out_of_memory_leaves_the_mode_as_it_was(
    llama: PreTrainedModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    model = adapted(llama, LoraConfig(r=4, dropout=0.5)).train()
    monkeypatch.setattr(model, "forward", fail)
    with pytest.raises(MemoryError):
        mean_loss(model, make_rows(3), max_tokens=50)
    assert all(module.training for module in model.modules())


def test_the_time_of_every_micro_batch_is_told(llama: PreTrainedModel, make_rows: MakeRows) -> None:
    model, told = adapted(llama, LoraConfig(r=4)).train(), []
    masters = MasterWeights(model, torch.float32)
    accumulate_gradients(
        model,
        masters,
        make_rows(3),
        max_tokens=1,
        seed=0,
        step=0,
        on_micro_batch=told.append,
    )
    assert len(told) == 3
    assert min(told) > 0
