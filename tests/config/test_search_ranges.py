"""Ranges of a custom space are checked where the user wrote them."""

from pathlib import Path

import pytest

from gemtune.config.load import load_config
from gemtune.errors import ConfigError

CUSTOM = "hyperparameter.space=custom"


def problem(range_: str, name: str = "learning_rate") -> str:
    with pytest.raises(ConfigError) as caught:
        load_config([], [CUSTOM, f"hyperparameter.ranges.{name}={range_}"])
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "range_"),
    [
        ("learning_rate", "{low: 1e-4, high: 1e-2, log: true}"),
        ("batch_size", "{choices: [4, 8]}"),
        ("lora_r", "{low: 4, high: 64, log: true}"),
        ("target_modules", "{choices: [attention, all-linear]}"),
    ],
)
def test_a_sound_range_is_taken(name: str, range_: str) -> None:
    config = load_config([], [CUSTOM, f"hyperparameter.ranges.{name}={range_}"])
    assert name in config.hyperparameter.ranges


@pytest.mark.parametrize(
    ("name", "range_", "told"),
    [
        ("learning_rat", "{low: 1, high: 2}", "did you mean 'learning_rate'?"),
        ("learning_rate", "{low: 1e-4}", "needs low and high, or choices"),
        ("learning_rate", "{low: 1e-2, high: 1e-4}", "low must be below high"),
        ("lora_dropout", "{low: 0, high: 0.3, log: true}", "must be above 0"),
        ("lora_dropout", "{low: 0, high: 1}", "below 1; got 1.0"),
        ("lora_r", "{choices: [8, 0.5]}", "must be a whole number"),
        ("lora_r", "{choices: [8]}", "two or more"),
        ("lora_r", "{choices: [8, 16], low: 8}", "keep one of them"),
        ("target_modules", "{choices: [attention, 3]}", "all numbers or all text"),
    ],
)
def test_a_range_that_cannot_be_searched_is_told(name: str, range_: str, told: str) -> None:
    assert told in problem(range_, name)


def test_a_misspelt_key_of_a_range_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("hyperparameter:\n  ranges:\n    lora_r:\n      hgh: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"c\.yaml:4: unknown key .*did you mean 'high'"):
        load_config([path])


def test_a_custom_space_without_ranges_and_ranges_without_it_are_refused() -> None:
    with pytest.raises(ConfigError, match="give a range"):
        load_config([], [CUSTOM])
    with pytest.raises(ConfigError, match="for a custom space"):
        load_config([], ["hyperparameter.ranges.lora_r={choices: [8, 16]}"])
