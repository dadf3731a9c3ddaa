"""A study from where it is to its end: search, choice, proof."""

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

from gemtune.config.dump import dump_yaml
from gemtune.config.params import create_config_from_params
from gemtune.data.files import DataFiles
from gemtune.errors import NotFiniteError
from gemtune.hyperparameter.edges import Edge, find_edges
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.hyperparameter.finalists import Finalist, best_trials, score_finalists
from gemtune.hyperparameter.importance import measure_importance
from gemtune.hyperparameter.ledger import keep_time
from gemtune.hyperparameter.news import tell_result, without_details
from gemtune.hyperparameter.opening import OpenStudy, open_with_engine
from gemtune.hyperparameter.order import Order
from gemtune.hyperparameter.proof import Proof, Question, prove
from gemtune.hyperparameter.record import StudyRecord, finite
from gemtune.hyperparameter.records import Rung, Trial, read_trials
from gemtune.hyperparameter.sampling import space_after
from gemtune.hyperparameter.worker import Worker, run_worker
from gemtune.monitoring.durations import in_words
from gemtune.reporting.study_write import write_study_report
from gemtune.runs.files import write_text

logger = logging.getLogger(__name__)

BEST_CONFIG_FILE, TRIALS_DIR = "best_config.yaml", "trials"


def work_on(order: Order) -> None:
    """Search, choose, prove, publish; study.json says at each moment how far it is.

    Raises:
        BudgetError: time or money do not suffice for the settings that are always tried.
        NotFiniteError: no trial came to its end.
    """
    _warn_without_test_data(order.files)
    opened, engine = open_with_engine(order)
    record = _record(order, opened)
    with closing(opened.store), _keeping_time(order, opened):
        # The rule and all that can be searched are on the disk before anything is known.
        record.write(status="searching", request=dict(order.request))
        logger.info("rule: %s", opened.rule.in_words)
        _search(order, opened, engine, record)
        # Two models need not be in memory at the same time.
        del engine
        finalists = _choose(order, opened, record)
        proof = _prove(order, opened, finalists[0], record)
        _keep(order, opened, finalists[0], proof, record)
        record.write(status="done")


def help_with(order: Order) -> int:
    """Train parts of trials until none is left or the budget is used up; returns how many.

    Raises:
        BudgetError: time or money do not suffice for the settings that are always tried.
    """
    opened, engine = open_with_engine(order)
    with closing(opened.store), _keeping_time(order, opened), without_details():
        tell = partial(tell_result, opened.budget)
        return run_worker(_worker(order, opened, engine, tell)).n_parts


def _keeping_time(order: Order, opened: OpenStudy) -> AbstractContextManager[None]:
    price, store = order.config.hyperparameter.usd_per_hour, opened.store
    return keep_time(
        store.database, store.name, order.identity, order.watch, opened.setup_seconds, price
    )


def _record(order: Order, opened: OpenStudy) -> StudyRecord:
    return StudyRecord(
        output_dir=order.output_dir,
        store=opened.store,
        search=opened.search,
        rule=opened.rule,
        budget=opened.budget,
        preset=order.config.hyperparameter.space,
        fingerprint=opened.fingerprint,
    )


def _worker(
    order: Order,
    opened: OpenStudy,
    engine: TrialEngine,
    on_result: Callable[[Trial, Rung], None],
) -> Worker:
    return Worker(
        store=opened.store,
        search=opened.search,
        engine=engine,
        trials_dir=order.output_dir / TRIALS_DIR,
        may_start=opened.budget.may_start,
        on_result=on_result,
        identity=order.identity,
    )


def _search(order: Order, opened: OpenStudy, engine: TrialEngine, record: StudyRecord) -> None:
    def tell(trial: Trial, rung: Rung) -> None:
        tell_result(opened.budget, trial, rung)
        record.write(packing=engine.packing.as_json())

    with without_details():
        outcome = run_worker(_worker(order, opened, engine, tell))
    trials = read_trials(opened.store.study)
    stopped = None
    if not outcome.is_complete:
        n_left = opened.search.n_trials - len(trials)
        stopped = "the budget has no room for " + (
            f"{n_left} more trials" if n_left else "the rest of the last trials"
        )
    best = best_trials(trials, 1)
    if not best:
        record.write(budget={"stopped": stopped})
        raise _no_trial_ended(trials, write_study_report(order.output_dir))
    edges = find_edges(space_after(opened.search, trials), best[0].params)
    for edge in edges:
        logger.warning("%s", _tell_edge(edge))
    record.write(
        status="choosing",
        budget={"stopped": stopped},
        edges=[{**asdict(edge), "told": _tell_edge(edge)} for edge in edges],
        importance=measure_importance(opened.store.study, trials, opened.search.seed),
    )


def _no_trial_ended(trials: Sequence[Trial], report: Path) -> NotFiniteError:
    reasons = Counter(trial.ended or "not finished" for trial in trials)
    told = ", ".join(f"{n} x {reason}" for reason, n in reasons.items())
    return NotFiniteError(
        f"none of {len(trials)} trials came to its end: {told}; see {report}",
        fix="look at the data (`gemtune data check`) and lower the learning rates: "
        "hyperparameter.space=custom with hyperparameter.ranges.learning_rate",
    )


def _tell_edge(edge: Edge) -> str:
    return (
        f"the best {edge.name} ({edge.best:g}) lies at the {edge.side} end of its range "
        f"({edge.bound:g}): better ones may lie beyond it"
    )


def _choose(order: Order, opened: OpenStudy, record: StudyRecord) -> list[Finalist]:
    assert order.files.val
    trials = best_trials(read_trials(opened.store.study), opened.rule.n_finalists)
    finalists = score_finalists(
        trials,
        opened.rule,
        order.config,
        order.files.val,
        order.output_dir,
        lambda: TrialEngine(order.config, order.files),
        order.on_progress,
    )
    rows = [
        {
            "trial": each.trial.number,
            "params": dict(each.trial.params),
            "loss": each.loss,
            "scores": finite(each.scores),
        }
        for each in finalists
    ]
    record.write(
        status="proving", finalists=rows, winner=rows[0], default=dict(opened.default.params)
    )
    logger.info("trial %d wins among %d that came to the end", rows[0]["trial"], len(rows))
    return finalists


def _prove(order: Order, opened: OpenStudy, winner: Finalist, record: StudyRecord) -> Proof:
    for unit, planned in opened.budget.project().items():
        told = in_words(planned.final) if unit == "seconds" else f"{planned.final:.2f} {unit}"
        logger.info("refits and proof will take about %s", told)
    asked = Question(
        winner=winner,
        default=opened.default,
        data_dir=order.files.train.parent,
        output_dir=order.output_dir,
        config=order.config,
    )
    proof = prove(
        asked, order.on_progress, opened.budget.may_refit, show_progress=order.show_progress
    )
    record.write(proof=proof.as_json())
    return proof


def _keep(
    order: Order, opened: OpenStudy, winner: Finalist, proof: Proof, record: StudyRecord
) -> None:
    """Write down what a user goes on with."""
    params = winner.trial.params if proof.is_proven else opened.default.params
    best = create_config_from_params(order.config, params)
    # The URL of a database may hold a password.
    search = best.hyperparameter.model_copy(update={"storage": None})
    path = order.output_dir / BEST_CONFIG_FILE
    write_text(path, dump_yaml(best.model_copy(update={"hyperparameter": search})))
    words = [
        "gemtune",
        "finetune",
        str(order.files.train.parent),
        "OUT_DIR",
        "--config-path",
        str(path),
        f"fine_tuning.training.seed={proof.published_seed}",
    ]
    record.write(best_params=dict(params), reproduce=shlex.join(words))


def _warn_without_test_data(files: DataFiles) -> None:
    if files.test is None:
        logger.warning(
            "%s holds no test.jsonl: a winner can be found, but not proven to be better",
            files.train.parent,
        )
