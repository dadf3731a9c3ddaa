"""study.json: everything about a study as plain data, for the report and for the next call.

| key | what |
|---|---|
| `schema_version`, `status` | 1; `searching`, `choosing`, `proving`, then `done` |
| `rule` | how the winner is chosen, written before the search |
| `space` | `preset`, `ranges` by name, `widened`: the ranges as they are by now |
| `first_settings`, `rungs`, `eta`, `n_trials`, `sampler`, `seed` | the rest of the search |
| `trials` | a row each: params, state, reason, loss, rungs with tokens, seconds and USD |
| `best_so_far` | the lowest loss against seconds, USD and whole trials |
| `importance`, `edges` | null and empty until the search has ended |
| `budget` | limits, what is spent, what is projected, why the search stopped, sessions |
| `packing` | how many trials this process trained together, why, and what the probe measured |
| `finalists`, `winner`, `default`, `proof` | null until they are known |
| `best_params`, `reproduce` | what is kept, and the command that trains it |
| `fingerprint`, `environment` | what the study was begun with, and on |
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna

from gemtune.hyperparameter.budget import Budget
from gemtune.hyperparameter.claims import read_parts
from gemtune.hyperparameter.finalists import Rule
from gemtune.hyperparameter.records import read_trials
from gemtune.hyperparameter.sampling import N_RANDOM, space_after
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.space import Space
from gemtune.hyperparameter.spending import spent_by
from gemtune.hyperparameter.study import Store
from gemtune.hyperparameter.trial_table import best_so_far, trial_rows
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import write_json
from gemtune.runs.plain_files import parse_json

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1


@dataclass(slots=True)
class StudyRecord:
    """study.json of a study that is worked on."""

    output_dir: Path
    store: Store
    search: Search
    rule: Rule
    budget: Budget
    preset: str
    fingerprint: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    """What was found besides the trials; kept from one writing to the next."""

    def write(self, **values: Any) -> None:
        """Write all that is known by now in one step; `values` are added."""
        self.values |= values
        write_json(self.output_dir / STUDY_FILE, self._describe())

    def _describe(self) -> dict[str, Any]:
        store, search = self.store, self.search
        trials, parts = read_trials(store.study), read_parts(store.database, store.name)
        sessions = self.budget.sessions()
        rows = trial_rows(trials, parts, search.fractions, sessions)
        spent = asdict(spent_by(sessions))
        limits = {limit.unit: limit.amount for limit in self.budget.limits}
        projected = {unit: asdict(found) for unit, found in self.budget.project().items()}
        return {
            "schema_version": SCHEMA_VERSION,
            "status": "searching",
            "rule": {**asdict(self.rule), "in_words": self.rule.in_words},
            "space": {
                "preset": self.preset,
                **_plain(search.space),
                "widened": _plain(space_after(search, trials)),
            },
            "first_settings": [asdict(each) for each in search.tried],
            "rungs": list(search.fractions),
            "eta": search.eta,
            "n_trials": search.n_trials,
            "seed": search.seed,
            "sampler": _sampler(),
            "trials": rows,
            "best_so_far": best_so_far(rows),
            "importance": None,
            "edges": [],
            "budget": {
                "limits": limits,
                "reserve_share": self.budget.reserve_share,
                "spent": spent,
                "projected": projected,
                "stopped": None,
                "sessions": [asdict(each) for each in sessions],
                **self.values.get("budget", {}),
            },
            "packing": None,
            "finalists": None,
            "winner": None,
            "default": None,
            "proof": None,
            "best_params": None,
            "reproduce": None,
            **{name: value for name, value in self.values.items() if name != "budget"},
            "storage": str(store.database),
            "study_name": store.name,
            "fingerprint": dict(self.fingerprint),
            "environment": {**describe_environment(), "optuna": optuna.__version__},
        }


def read_study(output_dir: Path) -> dict[str, Any] | None:
    """study.json of a folder; None if there is none that can be read."""
    path = output_dir / STUDY_FILE
    if not path.exists():
        return None
    try:
        found = parse_json(path.read_bytes())
    except ValueError:
        # It is made anew from the database, which holds the truth.
        return None
    return found if isinstance(found, dict) else None


def _plain(space: Space) -> dict[str, Any]:
    return {
        "ranges": {name: asdict(found) for name, found in space.ranges.items()},
        "reference_batch": space.reference_batch,
    }


def _sampler() -> dict[str, Any]:
    return {
        "name": "TPESampler",
        "multivariate": True,
        "constant_liar": True,
        "n_startup_trials": N_RANDOM,
    }


def finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Figures that are no finite number have no place in JSON."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same once they are JSON."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
