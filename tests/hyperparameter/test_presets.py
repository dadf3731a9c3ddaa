"""The spaces that can be asked for."""

import math
from typing import Any

import pytest

from gemtune.config.load import load_config
from gemtune.config.params import create_config_from_params
from gemtune.config.schema import Config
from gemtune.hyperparameter.presets import always_tried, central_rate, search_space
from gemtune.hyperparameter.space import Choices, Space, Span

NARROW, WIDE = 576, 4096


def space(*overrides: str, n_trials: int = 20, width: int = NARROW, **about: Any) -> Space:
    return search_space(load_config([], list(overrides)), n_trials, width, **about)


def test_the_seed_space_is_the_plans_as_written() -> None:
    ranges = space("hyperparameter.space=seed").ranges
    assert ranges == {
        "learning_rate": Span(1e-6, 1e-4, is_log=True),
        "batch_size": Choices((4, 8, 16)),
        "lora_r": Choices((8, 16, 32)),
        "lora_alpha": Choices((16.0, 32.0, 64.0)),
        "lora_dropout": Span(0.0, 0.3),
        "weight_decay": Span(0.01, 0.1),
    }


@pytest.mark.parametrize(
    ("width", "family", "rate"),
    [(4096, "llama", 2.86e-4), (576, "llama", 1.32e-3), (576, None, 1e-3), (4096, None, 5e-4)],
)
def test_the_central_rate_follows_the_evidence(width: int, family: str | None, rate: float) -> None:
    assert central_rate(width, family) == pytest.approx(rate, rel=0.01)


def test_the_recommended_rates_lie_around_the_central_one() -> None:
    found = space(width=WIDE).ranges["learning_rate"]
    assert found == Span(2.5e-5, 3e-3, is_log=True)


def test_the_recommended_space_holds_the_users_rate() -> None:
    found = space("fine_tuning.training.learning_rate=2e-6").ranges["learning_rate"]
    assert isinstance(found, Span)
    assert found.low == pytest.approx(2e-6)


def test_few_trials_search_few_names() -> None:
    assert list(space(n_trials=12).ranges) == ["learning_rate", "batch_size", "lora_dropout"]
    assert "lora_r" in space(n_trials=15).ranges
    many = space(n_trials=30).ranges
    assert many["target_modules"] == Choices(("all-linear", "attention"))
    assert many["batch_size"] == Choices((4, 8, 16, 32))


def test_rows_that_are_seen_once_need_no_dropout() -> None:
    assert "lora_dropout" not in space("fine_tuning.training.epochs=1").ranges


def test_batch_sizes_are_those_of_the_config_key_and_reach_the_same_rows_a_step() -> None:
    found = space("fine_tuning.training.gradient_accumulation_steps=4")
    assert found.ranges["batch_size"] == Choices((1, 2, 4))
    assert found.reference_batch == 2


def test_a_custom_space_is_what_the_config_says() -> None:
    found = space(
        "hyperparameter.space=custom",
        "hyperparameter.ranges.lora_r={choices: [32, 8]}",
        "hyperparameter.ranges.learning_rate={low: 1e-4, high: 1e-2, log: true}",
    )
    assert found.ranges["lora_r"] == Choices((8, 32))
    assert found.ranges["learning_rate"] == Span(1e-4, 1e-2, is_log=True)
    assert found.reference_batch is None


def test_first_come_the_users_settings_the_plans_example_and_the_evidence() -> None:
    config = load_config([], ["fine_tuning.training.learning_rate=3e-4", "fine_tuning.lora.r=64"])
    tried = always_tried(config, WIDE)
    assert [each.source for each in tried] == ["config", "plan", "evidence"]
    assert create_config_from_params(config, tried[0].params) == config
    assert [each.params["learning_rate"] for each in tried] == [3e-4, 1e-5, 5e-4]
    assert [each.params["lora_r"] for each in tried] == [64, 16, 16]


def test_what_would_be_tried_twice_is_tried_once() -> None:
    assert [each.source for each in always_tried(Config(), WIDE)] == ["config", "plan"]


def test_every_default_rate_lies_inside_its_space() -> None:
    for width in (NARROW, WIDE):
        found = space(width=width).ranges["learning_rate"]
        assert isinstance(found, Span)
        assert found.low < central_rate(width) < found.high
        assert math.log10(found.high / found.low) > 2
