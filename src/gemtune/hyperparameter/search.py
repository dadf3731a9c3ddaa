"""What a search is: everything that decides which trials there are and which go on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gemtune.config.params import Params, params_of
from gemtune.config.schema import Config
from gemtune.hyperparameter.presets import Tried, always_tried, search_space
from gemtune.hyperparameter.rungs import rung_fractions
from gemtune.hyperparameter.space import Space


@dataclass(frozen=True, slots=True)
class Search:
    """The same one gives the same trials, whoever works on them and however often it stops."""

    space: Space
    tried: tuple[Tried, ...]
    """Settings that come first."""
    base: Params
    """The values of what is not searched."""
    fractions: tuple[float, ...]
    """Shares of a trial's token budget at which trials are compared; the last is 1."""
    n_trials: int
    eta: int
    seed: int
    auto_extend: bool


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What the evidence about learning rates depends on."""

    hidden_size: int
    model_type: str | None = None
    """As transformers calls the family."""


def plan_search(
    config: Config, n_trials: int, model: BaseModel, n_steps: int, n_warmup: int
) -> Search:
    """Decide on space, first settings and rungs.

    Args:
        config: The user's; its section `hyperparameter` says what is wanted.
        n_trials: How many settings are tried.
        model: The base model.
        n_steps: Optimizer steps of a whole trial with the user's settings.
        n_warmup: Those of them that warm up.
    """
    wanted = config.hyperparameter
    return Search(
        space=search_space(config, n_trials, model.hidden_size, model.model_type),
        tried=always_tried(config, model.hidden_size, model.model_type),
        base=params_of(config),
        fractions=rung_fractions(wanted.eta, n_steps, n_warmup),
        n_trials=n_trials,
        eta=wanted.eta,
        seed=wanted.seed,
        auto_extend=wanted.auto_extend,
    )


def fingerprint_of(search: Search) -> dict[str, Any]:
    """What must be the same for a study to go on; more trials may be asked for at any time."""
    ranges: Mapping[str, Any] = {name: asdict(each) for name, each in search.space.ranges.items()}
    return {
        **{f"space.{name}": found for name, found in ranges.items()},
        "space.reference_batch": search.space.reference_batch,
        "first settings": [asdict(each) for each in search.tried],
        "rungs": list(search.fractions),
        "hyperparameter.eta": search.eta,
        "hyperparameter.seed": search.seed,
        "hyperparameter.auto_extend": search.auto_extend,
    }
