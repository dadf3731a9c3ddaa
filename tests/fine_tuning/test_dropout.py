"""Cheap dropout does what `nn.Dropout` does."""

import pytest
import torch
from torch import nn

from gemtune.fine_tuning.dropout import CpuDropout, replace_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_and_the_scale_are_those_of_dropout(dtype: torch.dtype) -> None:
    torch.manual_seed(0)

    dropped = CpuDropout(0.1).train()(torch.ones(1000, 1000, dtype=dtype))

    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.002)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.9, dtype=dtype).item()}


def test_the_gradient_passes_where_the_value_passed() -> None:
    x = torch.randn(30, 7, requires_grad=True)

    dropped = CpuDropout(0.5).train()(x)
    dropped.sum().backward()

    assert x.grad is not None
    assert torch.equal(x.grad, torch.where(dropped == 0, 0.0, 2.0))


def test_masks_repeat_with_the_seed_and_differ_between_layers() -> None:
    layer, x = CpuDropout(0.5).train(), torch.ones(64, 64)

    def two_masks(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return [layer(x), layer(x)]

    first, again, other = two_masks(1), two_masks(1), two_masks(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_nothing_is_dropped_in_eval_mode() -> None:
    x = torch.randn(5, 5)

    assert torch.equal(CpuDropout(0.5).eval()(x), x)


def test_every_active_dropout_of_a_model_is_replaced() -> None:
    model = nn.Sequential(nn.Dropout(0.2), nn.Dropout(0.0), nn.ModuleDict({"a": nn.Dropout(0.3)}))

    replace_dropout(model.eval())

    found = {name: m.p for name, m in model.named_modules() if isinstance(m, CpuDropout)}
    assert found == {"0": 0.2, "2.a": 0.3}
    assert not any(module.training for module in model.modules())
