"""The spaces that can be asked for, and the settings that every search tries first."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gemtune.config.params import WHOLE_NUMBERS, Params, params_of
from gemtune.config.schema import Config, LoraConfig, SearchRange, TrainingConfig
from gemtune.config.search_ranges import as_param
from gemtune.hyperparameter.space import Choices, Range, Space, Span

N_TRIALS_FOR_RANK = 15
N_TRIALS_FOR_TARGETS = 30

PLAN_RANGES: dict[str, Range] = {
    "learning_rate": Span(1e-6, 1e-4, is_log=True),
    "batch_size": Choices((4, 8, 16)),
    "lora_r": Choices((8, 16, 32)),
    "lora_alpha": Choices((16.0, 32.0, 64.0)),
    "lora_dropout": Span(0.0, 0.3),
    "weight_decay": Span(0.01, 0.1),
}
PLAN_EXAMPLE: Params = {
    "learning_rate": 1e-5,
    "batch_size": 8,
    "lora_r": 16,
    "lora_alpha": 32.0,
    "lora_dropout": 0.1,
    "weight_decay": 0.01,
}

REFERENCE_ROWS = 8
_ROWS = (4, 8, 16)
_MOST_ROWS = 32
_RANKS = (8, 16, 32)
_DROPOUTS = (0.0, 0.05, 0.1)
_BELOW, _ABOVE = 20.0, 6.0
# Of `hyperparam_utils.py` in the Tinker cookbook (thinking-machines-lab/tinker-cookbook, 9dfcc3a).
_TINKER_RATE, _TINKER_WIDTH = 5e-4, 2000
_TINKER_POWERS = {"llama": 0.781, "qwen2": 0.0775, "qwen3": 0.0775}
_NARROW = 1024
_RATE, _RATE_IF_NARROW = 5e-4, 1e-3


@dataclass(frozen=True, slots=True)
class Tried:
    """A setting that is tried whatever the sampler thinks."""

    source: str
    """`config`: the user's; `plan`: the plan's example; `evidence`: the default by evidence."""
    params: Params


def search_space(
    config: Config, n_trials: int, hidden_size: int, model_type: str | None = None
) -> Space:
    """The space that `hyperparameter.space` asks for.

    Args:
        config: What is not searched stays as it is here.
        n_trials: Few trials search few names.
        hidden_size: Width of the base model.
        model_type: Its family as transformers calls it, such as `llama`.
    """
    search = config.hyperparameter
    if search.space == "seed":
        return Space(PLAN_RANGES)
    if search.space == "custom":
        return Space({name: _from_config(name, each) for name, each in search.ranges.items()})
    return _recommended(config, n_trials, central_rate(hidden_size, model_type))


def central_rate(hidden_size: int, model_type: str | None = None) -> float:
    """The learning rate that is best by evidence, for 8 rows a step, alpha 32 and rank 16."""
    if model_type in _TINKER_POWERS:
        return _TINKER_RATE * (_TINKER_WIDTH / hidden_size) ** _TINKER_POWERS[model_type]
    return _RATE_IF_NARROW if hidden_size < _NARROW else _RATE


def always_tried(
    config: Config, hidden_size: int, model_type: str | None = None
) -> tuple[Tried, ...]:
    """The settings that are tried first: the user's, the plan's example, the evidence default."""
    own = params_of(config)
    wanted = [
        Tried("config", own),
        Tried("plan", {**own, **PLAN_EXAMPLE}),
        Tried("evidence", evidence_params(config, hidden_size, model_type)),
    ]
    return tuple(_distinct(wanted))


def evidence_params(config: Config, hidden_size: int, model_type: str | None = None) -> Params:
    """The default by evidence; what it says nothing about stays as the user has it."""
    training, lora = TrainingConfig(), LoraConfig()
    evidence: Params = {
        "learning_rate": float(f"{central_rate(hidden_size, model_type):.3g}"),
        "batch_size": max(1, round(REFERENCE_ROWS / _accumulation(config))),
        "lora_r": lora.r,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "weight_decay": training.weight_decay,
    }
    return {**params_of(config), **evidence}


def _recommended(config: Config, n_trials: int, centre: float) -> Space:
    accumulation = _accumulation(config)
    rows = (*_ROWS, _MOST_ROWS) if n_trials >= N_TRIALS_FOR_TARGETS else _ROWS
    reference = REFERENCE_ROWS / accumulation
    training = config.fine_tuning.training
    own_rate = training.learning_rate / math.sqrt(training.batch_size / reference)
    low, high = min(centre / _BELOW, own_rate), max(centre * _ABOVE, own_rate)
    ranges: dict[str, Range] = {"learning_rate": Span(_short(low), _short(high), is_log=True)}
    batches = sorted({max(1, round(n / accumulation)) for n in rows})
    if len(batches) > 1:
        ranges["batch_size"] = Choices(tuple(batches))
    if n_trials >= N_TRIALS_FOR_RANK:
        ranges["lora_r"] = Choices(_RANKS)
    if training.epochs > 1:
        # With fresh rows only there is nothing to memorise.
        ranges["lora_dropout"] = Choices(_DROPOUTS)
    if n_trials >= N_TRIALS_FOR_TARGETS:
        ranges["target_modules"] = Choices(("all-linear", "attention"))
    return Space(ranges, reference if "batch_size" in ranges else None)


def _from_config(name: str, found: SearchRange) -> Range:
    if found.choices is not None:
        values = [as_param(name, value) for value in found.choices]
        is_text = isinstance(values[0], str)
        return Choices(tuple(values if is_text else sorted(values)))
    assert found.low is not None and found.high is not None
    return Span(found.low, found.high, found.log, name in WHOLE_NUMBERS)


def _distinct(wanted: list[Tried]) -> Iterator[Tried]:
    seen: list[Params] = []
    for each in wanted:
        if each.params not in seen:
            seen.append(each.params)
            yield each


def _accumulation(config: Config) -> int:
    return config.fine_tuning.training.gradient_accumulation_steps


def _short(value: float) -> float:
    return float(f"{value:.3g}")
