"""gemtune's side of `hpo.py`: the search of `gemtune optimize`, without choice and proof.

Prints trials as one line of JSON.
"""

import json
import resource
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gemtune.config.load import load_config
from gemtune.config.schema import Config
from gemtune.data.files import find_data_files
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.hyperparameter.finalists import best_trials
from gemtune.hyperparameter.ledger import Stopwatch
from gemtune.hyperparameter.opening import open_with_engine
from gemtune.hyperparameter.order import Order
from gemtune.hyperparameter.parking import parked_adapter
from gemtune.hyperparameter.records import Trial, read_trials
from gemtune.hyperparameter.settle import Work, trial_dir
from gemtune.hyperparameter.stages import TRIALS_DIR
from gemtune.hyperparameter.study import Store
from gemtune.hyperparameter.worker import Worker, run_worker

Spec = dict[str, Any]


def main() -> None:
    """Train given trials, or search."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    config = load_config((), spec["settings"])
    found = train_frozen(spec, config) if spec["frozen"] else search(spec, config)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found | {"peak_gib": peak_gib}))


def train_frozen(spec: Spec, config: Config) -> Spec:
    """Train every given trial to its end."""
    engine = TrialEngine(config, find_data_files(Path(spec["data"])))
    trials = []
    for number, params in enumerate(spec["frozen"]):
        folder = Path(spec["out"], f"trial-{number}")
        reached = engine.advance(params, folder, 1.0)
        adapter = str(parked_adapter(folder))
        trials.append({"state": "complete", "loss": reached.loss, "adapter": adapter})
    best = min(range(len(trials)), key=lambda number: trials[number]["loss"])
    return {"best": best, "trials": trials, "base_loss": engine.base_loss}


def search(spec: Spec, config: Config) -> Spec:
    """Search as `gemtune optimize worker` does."""
    out = Path(spec["out"])
    order = Order(find_data_files(Path(spec["data"])), out, config, {}, Stopwatch())
    opened, engine = open_with_engine(order)
    wanted = replace(opened.search, n_trials=spec["n_trials"])
    if not spec["tries_first"]:
        wanted = replace(wanted, tried=())

    def may_start(work: Work) -> bool:
        return has_room(work, opened.store, spec["budget_cpu_seconds"])

    worker = Worker(opened.store, wanted, engine, out / TRIALS_DIR, may_start)
    with closing(opened.store):
        run_worker(worker)
        trials = read_trials(opened.store.study)
    best = best_trials(trials, 1)[0]
    found = [describe(trial, out / TRIALS_DIR) for trial in trials]
    return {"best": best.number, "trials": found, "base_loss": engine.base_loss}


def has_room(work: Work, store: Store, budget_cpu_seconds: float | None) -> bool:
    """Whether a new group will end within the budget, if its trials cost what others did."""
    trials = read_trials(store.study)
    is_begun = not trials or any(trial.state == "running" for trial in trials)
    if budget_cpu_seconds is None or is_begun:
        return True
    return time.process_time() * (1 + work.n_trials / len(trials)) <= budget_cpu_seconds


def describe(trial: Trial, trials_dir: Path) -> Spec:
    """A trial as plain data; only those that came to the end have an adapter."""
    is_complete = trial.state == "complete"
    adapter = str(parked_adapter(trial_dir(trials_dir, trial.number))) if is_complete else None
    return {"state": trial.state, "loss": trial.loss, "adapter": adapter}


if __name__ == "__main__":
    main()
