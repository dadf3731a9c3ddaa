"""Which weights decay, how fast which ones learn, and how the learning rate goes over a run."""

import pytest
import torch
from torch import nn

from gemtune.config.schema import LoraConfig, TrainingConfig
from gemtune.fine_tuning.optimizer import (
    build_optimizer,
    learning_rate_at,
    n_warmup_steps,
    set_learning_rate,
)

WEIGHTS = {
    "q.lora_A.default.weight": nn.Parameter(torch.ones(2, 3)),
    "q.lora_B.default.weight": nn.Parameter(torch.ones(3, 2)),
    "q.lora_magnitude_vector.default.weight": nn.Parameter(torch.ones(3)),
    "q.base_layer.bias": nn.Parameter(torch.ones(3)),
}


def settings_of(optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Weight decay and learning rate by the name of the weight."""
    return {
        name: (group["weight_decay"], group["lr"])
        for name, weight in WEIGHTS.items()
        for group in optimizer.param_groups
        if any(weight is found for found in group["params"])
    }


def rates(training: TrainingConfig, n_steps: int) -> list[float]:
    return [learning_rate_at(step, n_steps, training) for step in range(n_steps)]


def test_only_the_matrices_decay() -> None:
    optimizer = build_optimizer(WEIGHTS, TrainingConfig(weight_decay=0.3), LoraConfig())
    decays = {name: decay for name, (decay, _) in settings_of(optimizer).items()}
    assert list(decays.values()) == [0.3, 0.3, 0.0, 0.0]


def test_with_lora_plus_only_b_learns_faster() -> None:
    optimizer = build_optimizer(WEIGHTS, TrainingConfig(), LoraConfig(lora_plus_ratio=16.0))
    set_learning_rate(optimizer, 1e-3)
    learning_rates = [rate for _, rate in settings_of(optimizer).values()]
    assert learning_rates == pytest.approx([1e-3, 16e-3, 1e-3, 1e-3])


def test_every_weight_is_in_one_group() -> None:
    groups = build_optimizer(WEIGHTS, TrainingConfig(), LoraConfig()).param_groups
    found = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(found) == sorted(map(id, WEIGHTS.values()))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_rate_rises_evenly_to_its_peak_at_the_end_of_the_warmup(schedule: str) -> None:
    training = TrainingConfig.model_validate(
        {"learning_rate": 1.0, "warmup_steps": 4, "lr_scheduler": schedule}
    )
    assert rates(training, 20)[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_linear_falls_evenly_and_would_reach_zero_after_the_last_step() -> None:
    training = TrainingConfig(learning_rate=1.0, warmup_steps=0, lr_scheduler="linear")
    assert rates(training, 5) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert learning_rate_at(5, 5, training) == 0.0


def test_cosine_is_half_way_down_in_the_middle_and_zero_after_the_last_step() -> None:
    training = TrainingConfig(learning_rate=1.0, warmup_steps=0, lr_scheduler="cosine")
    assert learning_rate_at(0, 10, training) == 1.0
    assert learning_rate_at(5, 10, training) == pytest.approx(0.5)
    assert learning_rate_at(10, 10, training) == pytest.approx(0.0)
    assert all(
        earlier > later
        for earlier, later in zip(rates(training, 10), rates(training, 10)[1:], strict=False)
    )


def test_constant_stays_at_its_peak() -> None:
    training = TrainingConfig(learning_rate=1.0, warmup_steps=0, lr_scheduler="constant")
    assert rates(training, 3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("training", "n_steps", "n_warmup"),
    [
        (TrainingConfig(warmup_ratio=0.1), 50, 5),
        (TrainingConfig(warmup_ratio=0.1, warmup_steps=7), 50, 7),
        (TrainingConfig(warmup_steps=100), 50, 25),
        (TrainingConfig(warmup_steps=100), 1, 0),
    ],
)
def test_a_warmup_in_steps_wins_but_never_takes_more_than_half(
    training: TrainingConfig, n_steps: int, n_warmup: int
) -> None:
    assert n_warmup_steps(training, n_steps) == n_warmup
