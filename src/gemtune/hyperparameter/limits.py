"""The budgets that a config sets."""

import math
from dataclasses import dataclass

from gemtune.config.schema import HyperparameterConfig
from gemtune.errors import ConfigError
from gemtune.monitoring.durations import in_words

_ONE_CENT = 0.01


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget in one unit."""

    amount: float
    unit: str
    """`seconds` or `USD`."""
    per_second: float
    """Units that a second of this machine's work takes."""

    def shown(self, amount: float) -> str:
        """An amount in words."""
        if self.unit == "seconds":
            return in_words(amount)
        return f"{amount:.2g} USD" if 0 < amount < _ONE_CENT else f"{amount:.2f} USD"

    def enough(self, amount: float) -> str:
        """What suffices, as one would type it: the next whole second, or the next cent."""
        if self.unit == "seconds":
            return f"{math.ceil(amount)}"
        return f"{math.ceil(amount / _ONE_CENT) * _ONE_CENT:.2f}"


def limits_of(search: HyperparameterConfig) -> tuple[Limit, ...]:
    """The budgets that the config sets.

    Raises:
        ConfigError: money is limited, and nobody says what an hour costs.
    """
    found = []
    if search.timeout_seconds is not None:
        found.append(Limit(search.timeout_seconds, "seconds", 1.0))
    if search.max_usd is not None:
        if search.usd_per_hour is None:
            raise ConfigError(
                "hyperparameter.max_usd is set, but not what an hour of this machine costs",
                fix="set hyperparameter.usd_per_hour, as in hyperparameter.usd_per_hour=1.20",
            )
        found.append(Limit(search.max_usd, "USD", search.usd_per_hour / 3600))
    return tuple(found)
