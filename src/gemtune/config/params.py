"""Hyperparameters under the names of the search, put into a config and read from one."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from gemtune.config.complaints import complain_about_value
from gemtune.config.schema import Config
from gemtune.errors import ConfigError

Param = float | int | str | list[str]
Params = Mapping[str, Param]

_LORA = ("fine_tuning", "lora")
_TRAINING = ("fine_tuning", "training")

PATHS: Mapping[str, tuple[str, str, str]] = {
    "learning_rate": (*_TRAINING, "learning_rate"),
    "batch_size": (*_TRAINING, "batch_size"),
    "lora_r": (*_LORA, "r"),
    "lora_alpha": (*_LORA, "alpha"),
    "lora_dropout": (*_LORA, "dropout"),
    "weight_decay": (*_TRAINING, "weight_decay"),
    "epochs": (*_TRAINING, "epochs"),
    "target_modules": (*_LORA, "target_modules"),
    "warmup_ratio": (*_TRAINING, "warmup_ratio"),
}
"""The key of the config behind each name."""

WHOLE_NUMBERS = frozenset({"batch_size", "lora_r"})


def create_config_from_params(config: Config, params: Params) -> Config:
    """A copy of `config` with the hyperparameters of a trial.

    `warmup_ratio` takes the place of `warmup_steps`, which would override it.

    Raises:
        ConfigError: a name is unknown, or its key does not take the value.
    """
    values: dict[str, Any] = config.model_dump()
    for name, value in params.items():
        top, section, key = PATHS[require_name(name)]
        values[top][section][key] = value
    if "warmup_ratio" in params:
        values["fine_tuning"]["training"]["warmup_steps"] = None
    try:
        return Config.model_validate(values, strict=True)
    except ValidationError:
        raise _value_error(params) from None


def params_of(config: Config) -> dict[str, Param]:
    """The hyperparameters of a config; putting them back gives an equal config."""
    values = config.model_dump()
    found = {name: values[top][section][key] for name, (top, section, key) in PATHS.items()}
    if config.fine_tuning.training.warmup_steps is not None:
        del found["warmup_ratio"]
    return found


def require_name(name: str) -> str:
    """Return the name of a hyperparameter as it is.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in PATHS:
        near = get_close_matches(name, PATHS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PATHS)}"
        raise ConfigError(f"no hyperparameter is called {name!r}; {hint}")
    return name


def complain_about_param(name: str, value: Param) -> str | None:
    """What is wrong with the value of one hyperparameter; None if its key takes it."""
    top, section, key = PATHS[name]
    try:
        Config.model_validate({top: {section: {key: value}}}, strict=True)
    except ValidationError:
        return complain_about_value(PATHS[name], value)
    return None


def _value_error(params: Params) -> ConfigError:
    complaints = [complain_about_param(name, value) for name, value in params.items()]
    return ConfigError("; ".join(filter(None, complaints)))
