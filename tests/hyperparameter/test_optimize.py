"""A whole study with a tiny model: search, choice, proof, and the same call once more."""

import json
import math
import multiprocessing
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_study import study_settings, write_study_data

from gemtune import finetune_with_best_params, optimize_hyperparameters
from gemtune.config.load import load_config
from gemtune.config.params import create_config_from_params
from gemtune.config.schema import Config
from gemtune.errors import (
    ArtefactError,
    BudgetError,
    ConfigError,
    DataError,
    NotFiniteError,
    UsageError,
)
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.hyperparameter.optimize import help_study, run_study, with_arguments
from gemtune.hyperparameter.result import StudyResult

LONGEST_SECONDS = 300.0
Start = Callable[[Callable[..., object], "Study", Path], Any]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["gemtune.hyperparameter.stages", "peft", "torch"])


@dataclass(frozen=True, slots=True)
class Study:
    """A finished study."""

    data_dir: Path
    output_dir: Path
    config: Config
    result: StudyResult

    @property
    def record(self) -> dict[str, Any]:
        """What study.json says."""
        return read_record(self.output_dir)


def read_record(output_dir: Path) -> dict[str, Any]:
    return json.loads((output_dir / "study.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def config(tiny_llama_dir: Path) -> Config:
    return load_config((), study_settings(tiny_llama_dir, "hyperparameter.n_refits=1"))


@pytest.fixture(scope="module")
def study(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    data_dir = write_study_data(folder / "data")
    result = run_study(data_dir, folder / "out", config)
    return Study(data_dir, folder / "out", config, result)


def test_every_trial_ends_and_the_winner_is_the_best_of_the_finalists(study: Study) -> None:
    record = study.record
    assert record["status"] == "done"
    assert len(record["trials"]) == study.config.hyperparameter.n_trials
    assert {trial["source"] for trial in record["trials"]} == {
        "config", "plan", "evidence", "sampler",
    }  # fmt: skip
    assert {trial["state"] for trial in record["trials"]} <= {"complete", "pruned"}
    scores = [each["scores"]["accuracy"] for each in record["finalists"]]
    assert record["winner"]["scores"]["accuracy"] == max(scores)


def test_what_is_kept_is_written_as_a_config_that_trains_the_same_model(
    study: Study, tmp_path: Path
) -> None:
    kept = load_config([study.output_dir / "best_config.yaml"])
    assert kept == study.result.best_config
    assert kept == create_config_from_params(study.config, study.result.best_params)
    words = study.result.reproduce.split()
    assert words[:3] == ["gemtune", "finetune", str(study.data_dir)]
    again = load_config([words[words.index("--config-path") + 1]], words[-1:])
    run = finetune_with_best_params(
        study.data_dir, tmp_path / "run", again, study.result.best_params
    )
    name = "adapter_model.safetensors"
    published = study.output_dir / "model" / name
    assert (run.output_dir / name).read_bytes() == published.read_bytes()


def test_best_so_far_falls_while_the_cost_grows(study: Study) -> None:
    points = study.record["best_so_far"]
    losses, seconds = ([point[key] for point in points] for key in ("loss", "seconds"))
    assert losses == sorted(losses, reverse=True)
    assert seconds == sorted(seconds)
    whole = sum(trial["rungs"][-1]["fraction"] for trial in study.record["trials"])
    assert points[-1]["trials"] == pytest.approx(whole)


def test_the_same_call_has_nothing_to_do(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(TrialEngine, "__init__", refuse)
    result = run_study(study.data_dir, study.output_dir, study.config)
    assert result.was_done
    assert (result.best_params, result.proof) == (study.result.best_params, study.result.proof)
    best = optimize_hyperparameters(study.data_dir, study.output_dir, study.config)
    assert best == (study.result.best_params, study.result.best_config)


def test_other_data_is_another_study(study: Study) -> None:
    other = write_study_data(study.output_dir.parent / "other")
    rows = (other / "train.jsonl").read_text(encoding="utf-8")
    (other / "train.jsonl").write_text(rows.replace("red", "pink"), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"begun with something else: data\.train"):
        run_study(other, study.output_dir, study.config)


def test_a_worker_finds_nothing_to_do_in_a_study_that_is_done(study: Study) -> None:
    assert help_study(study.data_dir, study.output_dir, study.config) == 0


def test_the_rule_is_on_the_disk_before_the_first_trial_begins(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrialEngine, "advance", stop)
    with pytest.raises(KeyboardInterrupt):
        run_study(study.data_dir, tmp_path / "out", study.config)
    record = read_record(tmp_path / "out")
    assert record["rule"] == study.record["rule"]
    assert record["status"] == "searching"
    assert record["best_so_far"] == []


def test_a_trial_that_diverges_ends_alone(study: Study, tmp_path: Path) -> None:
    settings = [
        "hyperparameter.space=custom",
        "hyperparameter.ranges.learning_rate.choices=[1.0e+20, 1.0e+25]",
        "hyperparameter.select=loss",
    ]
    config = load_config((), [*study_settings(Path(study.config.fine_tuning.model)), *settings])
    result = run_study(study.data_dir, tmp_path / "out", with_arguments(config, n_trials=5))
    ended = [each for each in read_record(tmp_path / "out")["trials"] if each["state"] == "ended"]
    assert [trial["source"] for trial in ended] == ["sampler", "sampler"]
    assert all(trial["reason"] for trial in ended)
    assert result.n_trials["complete"] >= 1


def test_a_study_in_which_no_trial_came_to_its_end_has_a_report_that_tells_why(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> Advance:
        return Advance(3, 300, math.inf, 0.1, ended="not finite")

    monkeypatch.setattr(TrialEngine, "advance", diverge)
    with pytest.raises(NotFiniteError, match="none of 4 trials came to its end: 4 x not finite"):
        run_study(study.data_dir, tmp_path / "out", study.config)
    trials = read_record(tmp_path / "out")["trials"]
    assert {(trial["state"], trial["reason"]) for trial in trials} == {("ended", "not finite")}
    assert "not finite" in (tmp_path / "out" / "study_report.html").read_text(encoding="utf-8")


def test_arguments_take_the_place_of_keys_of_the_config() -> None:
    config = with_arguments(Config(), n_trials=7, timeout=60)
    assert config.hyperparameter.n_trials == 7
    assert config.hyperparameter.timeout_seconds == 60.0
    assert with_arguments(Config()) == Config()


def test_a_budget_that_is_much_too_small_ends_after_the_first_part_with_what_would_do(
    study: Study, tmp_path: Path
) -> None:
    with pytest.raises(BudgetError, match="are too little"):
        optimize_hyperparameters(study.data_dir, tmp_path / "out", study.config, 4, 0.01)
    rungs = [rung for trial in read_record(tmp_path / "out")["trials"] for rung in trial["rungs"]]
    assert len(rungs) == 1


def test_money_without_a_price_is_refused_before_anything_is_loaded(
    study: Study, tmp_path: Path
) -> None:
    search = study.config.hyperparameter.model_copy(update={"max_usd": 1.0})
    config = study.config.model_copy(update={"hyperparameter": search})
    with pytest.raises(ConfigError, match="max_usd"):
        run_study(study.data_dir, tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_a_model_of_somebody_else_is_not_replaced(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    with pytest.raises(UsageError, match="is not of a study of gemtune"):
        run_study(study.data_dir, tmp_path / "out", study.config)


def test_a_study_needs_validation_data(study: Study, tmp_path: Path) -> None:
    data_dir = write_study_data(tmp_path / "data")
    (data_dir / "val.jsonl").unlink()
    with pytest.raises(DataError, match=r"holds no val\.jsonl"):
        run_study(data_dir, tmp_path / "out", study.config)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def start() -> Iterator[Start]:
    """Begin work on a study in a process of its own, which does not outlive the test."""
    processes = []

    def begin(work: Callable[..., object], study: Study, output_dir: Path) -> Any:
        process = _FORKS.Process(target=work, args=(study.data_dir, output_dir, study.config))
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.join()


def test_a_study_that_is_killed_again_and_again_ends_with_the_same_trials(
    study: Study, tmp_path: Path, start: Start
) -> None:
    chosen, output_dir = random.Random(6), tmp_path / "out"
    start(run_study, study, tmp_path / "warm up").join(1.0)
    moments = [chosen.uniform(0.0, study.result.wall_seconds) for _ in range(3)]
    for moment in moments:
        process = start(run_study, study, output_dir)
        process.join(moment)
        process.kill()
        process.join()
    last = start(run_study, study, output_dir)
    last.join(LONGEST_SECONDS)
    assert last.exitcode == 0, f"killed after {moments} seconds"
    _require_same(read_record(output_dir), study.record)


def test_two_processes_share_the_trials_and_change_nothing(
    study: Study, tmp_path: Path, start: Start
) -> None:
    processes = [start(work, study, tmp_path / "out") for work in (run_study, help_study)]
    for process in processes:
        process.join(LONGEST_SECONDS)
        assert process.exitcode == 0
    record = read_record(tmp_path / "out")
    assert len(record["budget"]["sessions"]) == 2
    _require_same(record, study.record)


def _require_same(record: dict[str, Any], other: dict[str, Any]) -> None:
    """All that no clock has a part in."""
    for key in ("best_params", "winner", "finalists"):
        assert record[key] == other[key]
    trials, others = ([_outcome(trial) for trial in each["trials"]] for each in (record, other))
    assert trials == others
    for name in ("outcome", "difference", "low", "high", "winner_losses", "default_losses"):
        assert record["proof"][name] == other["proof"][name]


def _outcome(trial: dict[str, Any]) -> dict[str, Any]:
    rungs = [
        {key: value for key, value in rung.items() if key not in ("seconds", "usd")}
        for rung in trial["rungs"]
    ]
    clock = ("rungs", "seconds", "usd")
    return {key: value for key, value in trial.items() if key not in clock} | {"rungs": rungs}
