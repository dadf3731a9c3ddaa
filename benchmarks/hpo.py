r"""Search for hyperparameters on a CPU: gemtune, the plan's loop, HF's `hyperparameter_search`.

Everybody searches the same ranges on the same rows of banking77 with SmolLM2-135M and LoRA, in the
same number format, each search in a process of its own, start and import included. Compute is the
CPU time of that process; the wall clock stands beside it, and of a shared machine it says little.
The best adapter of each search is measured by one independent program: mean loss over the answers
of the validation rows, in fp32.

| track | what |
|---|---|
| systems | the same given settings for all, every one trained to its end: what a trial costs |
| trials | the same number of trials, everybody free to stop some early |
| budget | everybody has the CPU time that the plan's loop took for its trials |

In both spaces, `seed` (the plan's ranges) and `recommended`, for everybody. gemtune tries the
user's config, the plan's example and the default by evidence first: they alone are the row "3
trials". In the row "ranges alone" it does not, so that nothing but the ranges is searched.

    python benchmarks/hpo.py [--rows 64] [--trials 9] [--seeds 42] [--spaces seed recommended]
                             [--tracks systems trials] [--threads 2] [--quick]

`--quick` runs all tracks with a tiny random model on made rows: the figures say nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from gemtune.config.load import load_config
from gemtune.config.params import params_of
from gemtune.config.schema import Config
from gemtune.hyperparameter.presets import search_space
from gemtune.hyperparameter.space import Choices, Space, Span
from gemtune.models.source import model_folder

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
BANKING77 = ROOT.parent / "shared" / "datasets" / "banking77"
PLAN, HF = "the plan's loop, repaired", "HF hyperparameter_search"
OURS, OURS_ALONE, OURS_FIRST = "gemtune", "gemtune, ranges alone", "gemtune, 3 trials"
PROGRAMS = {
    PLAN: "hf_search.py",
    HF: "hf_search.py",
    OURS: "gemtune_search.py",
    OURS_ALONE: "gemtune_search.py",
    OURS_FIRST: "gemtune_search.py",
}
WAYS = {PLAN: "plan's loop", HF: "hyperparameter_search"}
# Where on the recommended range of the learning rate, on its log scale.
FROZEN_SHARES, FROZEN_RANKS = (0.0, 0.4, 0.7), (8, 16, 32)
# With a budget, it alone ends the search.
MANY_TRIALS = 10_000
TRACKS, SPACES = ["systems", "trials", "budget"], ["seed", "recommended"]
Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched on, and with how much."""

    data: Path
    model: Path
    folder: Path
    """For everything that is written."""
    options: argparse.Namespace

    def settings(self, space: str) -> list[str]:
        """The user's config, as overrides."""
        return [
            f"fine_tuning.model={self.model}",
            "fine_tuning.lora.target_modules=all-linear",
            f"fine_tuning.training.epochs={self.options.epochs}",
            f"fine_tuning.training.precision={self.options.precision}",
            "data.template=plain",
            f"hyperparameter.space={space}",
            f"hyperparameter.n_trials={self.options.trials}",
            f"hyperparameter.validation_rows={self.options.validation_rows}",
            "monitoring.tensorboard=false",
        ]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search took and found."""

    who: str
    cpu_seconds: float
    wall_seconds: float
    peak_gib: float
    n_trials: int
    n_whole: int
    adapters: tuple[str, ...]
    """Of its best trial, or of all where settings were given."""
    losses: tuple[float, ...] = ()
    """Of the adapters, measured independently."""


Rows = dict[tuple[str, str], list[list[Search]]]
"""By track and space: for each seed, all searches, that of the plan first."""


def main() -> None:
    """Run the tracks and print a table for each."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        task = open_task(Path(folder), options)
        if "systems" in options.tracks:
            print_systems(*compare_systems(task), task)
        if {"trials", "budget"} & set(options.tracks):
            rows: Rows = {}
            for space, seed in product(options.spaces, options.seeds):
                for track, found in compare_searches(task, space, seed).items():
                    rows.setdefault((track, space), []).append(found)
            print_searches(rows, task)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=64, help="to train on")
    parser.add_argument("--validation-rows", type=int, default=16)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--trials", type=int, default=9)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="of the search")
    parser.add_argument("--spaces", nargs="+", choices=SPACES, default=SPACES)
    parser.add_argument("--tracks", nargs="+", choices=TRACKS, default=TRACKS[:2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--quick", action="store_true", help="a tiny model, to see that it runs")
    return parser.parse_args()


def open_task(folder: Path, options: argparse.Namespace) -> Task:
    """Rows and model."""
    data, model = folder / "data", folder / "model"
    if options.quick:
        make_quick_task(data, model)
        options.precision, options.trials = "fp32", 4
        options.tracks, options.spaces = TRACKS, ["recommended"]
        return Task(data, model, folder, options)
    if not BANKING77.exists():
        sys.exit(f"skipped: {BANKING77} is not there")
    data.mkdir()
    for split, n_rows in (("train", options.rows), ("val", options.validation_rows)):
        lines = (BANKING77 / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        chosen = [lines[i * len(lines) // n_rows] + "\n" for i in range(n_rows)]
        (data / f"{split}.jsonl").write_text("".join(chosen), encoding="utf-8")
    return Task(data, model_folder("smollm2-135m", None, with_weights=True), folder, options)


def make_quick_task(data: Path, model: Path) -> None:
    """Colours and a tiny random model, made by what makes them for the tests."""
    sys.path.append(str(ROOT / "tests"))
    from faults.tasks import write_base
    from small_study import write_study_data

    write_base(model)
    write_study_data(data, has_test=False)


def compare_systems(task: Task) -> tuple[float, list[Search]]:
    """Everybody trains the same settings to their end; also the loss of the base."""
    config = load_config((), task.settings("recommended"))
    span = space_of(config, task).ranges["learning_rate"]
    assert isinstance(span, Span)
    frozen = [
        {
            **params_of(config),
            "learning_rate": float(f"{span.low * (span.high / span.low) ** share:.3g}"),
            "lora_r": rank,
        }
        for share, rank in zip(FROZEN_SHARES, FROZEN_RANKS, strict=True)
    ]
    given = {"n_trials": len(frozen), "frozen": frozen}
    found = [run_search(task, who, "recommended", **given) for who in (PLAN, HF, OURS)]
    return measure(task, found)


def compare_searches(task: Task, space: str, seed: int) -> dict[str, list[Search]]:
    """Everybody searches: the same number of trials, then the same CPU time."""
    plan = run_search(task, PLAN, space, seed)
    contestants: dict[str, list[tuple[str, Spec]]] = {
        "trials": [(HF, {}), (OURS, {}), (OURS_ALONE, {}), (OURS_FIRST, {"n_trials": 3})],
        "budget": [
            (who, {"n_trials": MANY_TRIALS, "budget_cpu_seconds": plan.cpu_seconds})
            for who in (HF, OURS)
        ],
    }
    found = {
        track: [plan, *(run_search(task, who, space, seed, **given) for who, given in others)]
        for track, others in contestants.items()
        if track in task.options.tracks
    }
    return {track: measure(task, searches)[1] for track, searches in found.items()}


def run_search(task: Task, who: str, space: str, seed: int = 42, **given: Any) -> Search:
    """One search in a process of its own; `given` is what is special about it."""
    options, config = task.options, load_config((), task.settings(space))
    spec = {
        "way": WAYS.get(who),
        **common_spec(task),
        "seed": seed,
        "n_trials": options.trials,
        "budget_cpu_seconds": None,
        "frozen": None,
        "ranges": ranges_for_peers(config, task),
        "defaults": params_of(config),
        "warmup_ratio": config.fine_tuning.training.warmup_ratio,
        "settings": [*task.settings(space), f"hyperparameter.seed={seed}"],
        "tries_first": who != OURS_ALONE,
        **given,
    }
    found, cpu_seconds, wall_seconds = run_peer(PROGRAMS[who], spec)
    told = f"{who}, {space}, seed {seed}: {cpu_seconds:.0f} CPU s in {wall_seconds:.0f} s"
    print(told, file=sys.stderr, flush=True)
    states = [trial["state"] for trial in found["trials"]]
    wanted = found["trials"] if spec["frozen"] else [found["trials"][found["best"]]]
    return Search(
        who=who,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        peak_gib=found["peak_gib"],
        n_trials=len(states),
        n_whole=states.count("complete"),
        adapters=tuple(trial["adapter"] for trial in wanted),
    )


def measure(task: Task, searches: list[Search]) -> tuple[float, list[Search]]:
    """The loss of the base, and the searches with the losses of their adapters."""
    adapters = [adapter for each in searches for adapter in each.adapters]
    spec = {"way": "loss", **common_spec(task), "adapters": adapters}
    base_loss, *losses = run_peer("hf_search.py", spec)[0]["losses"]
    loss_of = dict(zip(adapters, losses, strict=True))
    return base_loss, [
        replace(each, losses=tuple(loss_of[adapter] for adapter in each.adapters))
        for each in searches
    ]


def common_spec(task: Task) -> Spec:
    """What every program needs."""
    return {
        "model": str(task.model),
        "data": str(task.data),
        # Adapters stay there until everything is measured.
        "out": tempfile.mkdtemp(dir=task.folder),
        "threads": task.options.threads,
        "precision": task.options.precision,
        "epochs": task.options.epochs,
    }


def ranges_for_peers(config: Config, task: Task) -> dict[str, Spec]:
    """The ranges of the space, as Optuna's `suggest` methods take them."""
    return {
        name: {"choices": list(each.values)}
        if isinstance(each, Choices)
        else {"low": each.low, "high": each.high, "log": each.is_log}
        for name, each in space_of(config, task).ranges.items()
    }


def space_of(config: Config, task: Task) -> Space:
    """The space that a config asks for, for this model."""
    model = json.loads((task.model / "config.json").read_text(encoding="utf-8"))
    return search_space(config, task.options.trials, model["hidden_size"], model["model_type"])


def run_peer(program: str, spec: Spec) -> tuple[Spec, float, float]:
    """Run a program with a spec; its last line, and the CPU and wall seconds that it took."""
    path = Path(spec["out"], "spec.json")
    path.write_text(json.dumps(spec), encoding="utf-8")
    before, started = children_seconds(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, PEERS / program, path],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    wall_seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{program} failed:\n{done.stderr[-2000:]}")
    result: Spec = json.loads(done.stdout.splitlines()[-1])
    return result, children_seconds() - before, wall_seconds


def children_seconds() -> float:
    """CPU time of all processes that were started here and have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def print_systems(base_loss: float, found: list[Search], task: Task) -> None:
    """What a trial costs, and whether the same was computed."""
    ours = found[-1]
    print(f"\nsystems: {len(ours.losses)} given settings, each to its end; {describe(task)}")
    print(f"untrained, the loss is {base_loss:.4f}\n")
    print("| who | CPU s | x gemtune | wall s | peak GiB | losses |")
    print("|---|---|---|---|---|---|")
    for each in found:
        losses = ", ".join(f"{loss:.3f}" for loss in each.losses)
        print(
            f"| {each.who} | {each.cpu_seconds:.0f} | {each.cpu_seconds / ours.cpu_seconds:.2f}"
            f" | {each.wall_seconds:.0f} | {each.peak_gib:.1f} | {losses} |"
        )


def print_searches(rows: Rows, task: Task) -> None:
    """Cost and loss of each search, medians over the seeds."""
    print(f"\nsearches: medians of {len(task.options.seeds)} seeds; {describe(task)}")
    print(
        "| track | space | who | CPU s | x less than the plan's | wall s | trials | whole | loss |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for (track, space), repeats in rows.items():
        for searches in zip(*repeats, strict=True):
            # The plan's search comes first in each repeat.
            ratios = [
                found[0].cpu_seconds / each.cpu_seconds
                for found, each in zip(repeats, searches, strict=True)
            ]
            cells = [
                f"{median(each.cpu_seconds for each in searches):.0f}",
                f"{median(ratios):.2f}",
                f"{median(each.wall_seconds for each in searches):.0f}",
                f"{median(each.n_trials for each in searches):.0f}",
                f"{median(each.n_whole for each in searches):.0f}",
                f"{median(each.losses[0] for each in searches):.4f}",
            ]
            print(f"| {track} | {space} | {searches[0].who} | {' | '.join(cells)} |")


def describe(task: Task) -> str:
    """The task in words."""
    options = task.options
    if options.quick:
        return "a tiny random model, figures without meaning"
    return (
        f"SmolLM2-135M, banking77, {options.rows} rows, {options.epochs:g} epochs,"
        f" {options.validation_rows} validation rows, {options.precision},"
        f" {options.threads} threads"
    )


if __name__ == "__main__":
    main()
