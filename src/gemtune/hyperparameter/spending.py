"""What a study has cost so far."""

from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.hyperparameter.ledger import Session, wall_seconds
from gemtune.hyperparameter.limits import Limit


@dataclass(frozen=True, slots=True)
class Spent:
    """What a study has cost so far."""

    wall_seconds: float
    """In which at least one process worked."""
    machine_seconds: float
    """Summed over all processes."""
    usd: float
    setup_seconds: float
    """To load the model and the data once; the longest that it took."""

    def of(self, limit: Limit) -> float:
        """In the unit of a limit."""
        return self.wall_seconds if limit.unit == "seconds" else self.usd

    @property
    def parallel(self) -> float:
        """How many processes worked at the same time, on average."""
        return max(1.0, self.machine_seconds / max(self.wall_seconds, 1e-9))


def spent_by(sessions: Sequence[Session]) -> Spent:
    """Add up what processes have cost."""
    return Spent(
        wall_seconds=wall_seconds(sessions),
        machine_seconds=sum(each.seconds for each in sessions),
        usd=sum(each.usd for each in sessions),
        setup_seconds=max((each.setup_seconds for each in sessions), default=0.0),
    )
