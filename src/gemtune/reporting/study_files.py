"""What study.json tells about a search for hyperparameters."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from gemtune.errors import ArtefactError
from gemtune.reporting.read import fit, read_document

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1

Param = int | float | str | list[str] | None
Params = dict[str, Param]


@dataclass(frozen=True, slots=True)
class Rung:
    """What a trial had reached when it was compared with others."""

    fraction: float
    """Of the tokens of a whole trial."""
    from_fraction: float
    loss: float | None
    """None where training broke down before."""
    n_steps: int
    n_tokens: int
    """From the beginning of the trial on."""
    seconds: float
    """Of this part alone."""
    usd: float | None


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting, and how far it came."""

    number: int
    source: str
    params: Params
    state: Literal["running", "complete", "pruned", "ended"]
    reason: str | None
    loss: float | None
    rungs: tuple[Rung, ...]
    seconds: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """The lowest loss that was known when this much was spent."""

    seconds: float
    usd: float | None
    trials: float
    loss: float
    trial: int


@dataclass(frozen=True, slots=True)
class Span:
    """Every number between two."""

    low: float
    high: float
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values."""

    values: tuple[Param, ...]


@dataclass(frozen=True, slots=True)
class Widened:
    """The ranges as they were at the end."""

    ranges: dict[str, Span | Choices]


@dataclass(frozen=True, slots=True)
class Space:
    """What was searched."""

    preset: str
    ranges: dict[str, Span | Choices]
    widened: Widened
    reference_batch: float | None = None
    """The batch size that the range of the learning rate is meant for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the winner was chosen."""

    metric: str
    select: str
    in_words: str


@dataclass(frozen=True, slots=True)
class Finalist:
    """A trial that was looked at again."""

    trial: int
    params: Params
    loss: float
    scores: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Proof:
    """What the comparison of winner and default on the test data found."""

    outcome: Literal["proven", "not proven", "default is best", "no test data"]
    told: str
    published: str
    winner_losses: tuple[float, ...]
    default_losses: tuple[float, ...]
    comparison_dir: str | None = None
    verdict: str | None = None
    metric: str | None = None
    default_score: float | None = None
    winner_score: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    n_rows: int | None = None
    selection_bias: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the spread of losses one hyperparameter explains."""

    importance: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Importance:
    """The shares of all hyperparameters that were searched."""

    method: str
    fraction: float
    n_trials: int
    is_enough: bool
    confidence: float
    params: dict[str, Share]


@dataclass(frozen=True, slots=True)
class Edge:
    """A best value at the end of its range."""

    name: str
    told: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What everything took."""

    wall_seconds: float
    machine_seconds: float
    usd: float
    setup_seconds: float


@dataclass(frozen=True, slots=True)
class Session:
    """One process that worked on the study."""

    started_at: float
    seconds: float
    setup_seconds: float
    usd_per_hour: float | None


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits, and what was spent."""

    limits: dict[str, float]
    spent: Spent
    stopped: str | None
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """All of it."""

    status: str
    rule: Rule
    space: Space
    rungs: tuple[float, ...]
    eta: int
    n_trials: int
    seed: int
    sampler: dict[str, Any]
    trials: tuple[Trial, ...]
    best_so_far: tuple[Point, ...]
    importance: Importance | None
    edges: tuple[Edge, ...]
    budget: Budget
    finalists: tuple[Finalist, ...] | None
    winner: Finalist | None
    default: Params | None
    proof: Proof | None
    best_params: Params | None
    reproduce: str | None
    storage: str
    study_name: str
    fingerprint: dict[str, Any]
    environment: dict[str, Any]
    packing: Any = None
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def default_trial(self) -> Trial | None:
        """The trial that tried what the winner has to beat."""
        return next((each for each in self.trials if each.params == self.default), None)

    @property
    def usd(self) -> float | None:
        """What everything cost; None where the price of a machine is not known."""
        prices = [session.usd_per_hour for session in self.budget.sessions]
        return self.budget.spent.usd if prices and None not in prices else None

    def n_in_state(self, state: str) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self.trials)


_DOCUMENT = TypeAdapter(dict[str, Any])
_STUDY = TypeAdapter(Study)


def read_study_file(study_dir: Path) -> Study:
    """Read study.json.

    Raises:
        ArtefactError: It is missing or damaged, or another gemtune wrote it.
    """
    path = study_dir / STUDY_FILE
    document = read_document(path, _DOCUMENT)
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{path}: version {version!r} instead of {SCHEMA_VERSION}",
            fix="build the report with the gemtune that made the study",
        )
    return fit(document, _STUDY, str(path))
