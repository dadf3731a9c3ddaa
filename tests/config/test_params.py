"""Hyperparameters under the names of the search."""

import pytest

from gemtune.config.load import load_config
from gemtune.config.params import create_config_from_params, params_of
from gemtune.config.schema import Config
from gemtune.errors import ConfigError


@pytest.mark.parametrize("path", ["config/default.yaml", "config/modified_config.yaml"])
def test_what_is_read_from_a_config_gives_it_back(path: str) -> None:
    config = load_config([path])
    assert create_config_from_params(Config(), params_of(config)).fine_tuning.lora.r == 16
    assert create_config_from_params(config, params_of(config)) == config


def test_parameters_of_the_plan_land_under_their_keys() -> None:
    params = {"learning_rate": 1e-5, "batch_size": 4, "lora_r": 8, "lora_alpha": 16}
    config = create_config_from_params(Config(), {**params, "lora_dropout": 0.2, "epochs": 2.0})
    lora, training = config.fine_tuning.lora, config.fine_tuning.training
    assert (training.learning_rate, training.batch_size, training.epochs) == (1e-5, 4, 2.0)
    assert (lora.r, lora.alpha, lora.dropout) == (8, 16.0, 0.2)


def test_a_warmup_ratio_takes_the_place_of_warmup_steps() -> None:
    config = load_config([], ["fine_tuning.training.warmup_steps=100"])
    assert "warmup_ratio" not in params_of(config)
    training = create_config_from_params(config, {"warmup_ratio": 0.1}).fine_tuning.training
    assert (training.warmup_steps, training.warmup_ratio) == (None, 0.1)


def test_a_list_of_modules_survives() -> None:
    config = load_config([], ["fine_tuning.lora.target_modules=[c_attn, c_proj]"])
    assert params_of(config)["target_modules"] == ["c_attn", "c_proj"]
    assert create_config_from_params(Config(), params_of(config)).fine_tuning == config.fine_tuning


def test_an_unknown_name_and_a_wrong_value_are_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lora_r'"):
        create_config_from_params(Config(), {"lora_rr": 8})
    with pytest.raises(ConfigError, match=r"'fine_tuning\.lora\.dropout' must be a number"):
        create_config_from_params(Config(), {"lora_dropout": 2.0})
