"""The weights that learn are fp32; the model computes with rounded copies."""

import torch
from torch import nn

from gemtune.fine_tuning.masters import MasterWeights


def masters_of(model: nn.Module) -> MasterWeights:
    return MasterWeights(model, torch.bfloat16)


def test_masters_keep_what_the_copies_round_away() -> None:
    model = nn.Linear(4, 4, bias=False)
    exact = model.weight.detach().clone()
    masters = masters_of(model)
    assert model.weight.dtype == torch.bfloat16
    assert torch.equal(masters.weights["weight"], exact)
    assert not torch.equal(model.weight.float(), exact)


def test_only_what_requires_gradients_has_a_master() -> None:
    model = nn.Linear(4, 4)
    model.bias.requires_grad_(False)
    masters = masters_of(model)
    assert list(masters.weights) == ["weight"]
    assert model.bias.dtype == torch.float32


def test_many_small_gradients_are_summed_without_loss() -> None:
    model = nn.Linear(1, 1, bias=False)
    masters = masters_of(model)
    for gradient in [1.0] + [2.0**-10] * 1024:
        model.weight.grad = torch.full_like(model.weight, gradient)
        masters.take_gradients()
    assert masters.weights["weight"].grad is not None
    assert masters.weights["weight"].grad.item() == 2.0
    assert model.weight.grad is None


def test_a_weight_without_gradient_is_skipped() -> None:
    model = nn.Linear(1, 1, bias=False)
    masters = masters_of(model)
    masters.take_gradients()
    assert masters.weights["weight"].grad is None


def test_small_updates_reach_the_model_once_they_add_up() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    masters = masters_of(model)
    for n_updates in range(1, 257):
        masters.weights["weight"].data += 2.0**-14
        masters.publish()
        if n_updates == 1:
            assert model.weight.item() == 1.0
    assert model.weight.item() == 1.015625


def test_the_state_is_a_copy_that_later_steps_do_not_change() -> None:
    model = nn.Linear(1, 1, bias=False)
    masters = masters_of(model)
    state = masters.state()
    before = state["weight"].item()
    masters.weights["weight"].data += 1.0
    assert state["weight"].item() == before
