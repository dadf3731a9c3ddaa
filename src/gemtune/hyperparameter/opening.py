"""Everything that a process needs before it can work on a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.data.files import DataFiles
from gemtune.hyperparameter.budget import Budget
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.hyperparameter.finalists import Rule, declare_rule
from gemtune.hyperparameter.inputs import describe_inputs, load_validation, storage_of
from gemtune.hyperparameter.ledger import Stopwatch
from gemtune.hyperparameter.limits import limits_of
from gemtune.hyperparameter.order import Order
from gemtune.hyperparameter.pace import FinalWork
from gemtune.hyperparameter.presets import evidence_params
from gemtune.hyperparameter.refits import Contender
from gemtune.hyperparameter.search import BaseModel, Search, fingerprint_of, plan_search
from gemtune.hyperparameter.study import Store, open_study


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study that can be worked on."""

    store: Store
    search: Search
    rule: Rule
    budget: Budget
    default: Contender
    """What the winner has to beat: the default by evidence."""
    fingerprint: Mapping[str, Any]
    setup_seconds: float
    """What it took to load the model and the data; later models take as long."""


def open_with_engine(order: Order) -> tuple[OpenStudy, TrialEngine]:
    """Load model and data, and open the study or begin it.

    The engine comes apart from the rest, so that its memory can be given back after the search.

    Raises:
        ConfigError: budget, metric or storage cannot be used.
        DataError: the data is wrong, or there is no validation data.
        ArtefactError: the study was begun with something else, or the model cannot be used.
    """
    files, config = order.files, order.config
    wanted = config.hyperparameter
    limits = limits_of(wanted)
    validation = load_validation(files)
    rule = declare_rule(config, validation)
    watch = Stopwatch()
    engine = TrialEngine(config, files)
    setup_seconds = watch.seconds
    base = engine.foundation.base.config
    model = BaseModel(base.hidden_size, base.model_type)
    search = plan_search(config, wanted.n_trials, model, engine.n_steps, engine.n_warmup_steps)
    fingerprint = {**describe_inputs(config, files), **fingerprint_of(search)}
    store = open_study(storage_of(config, order.output_dir), config.project.name, fingerprint)
    opened = OpenStudy(
        store=store,
        search=search,
        rule=rule,
        budget=Budget(
            store=store,
            search=search,
            limits=limits,
            reserve_share=wanted.reserve,
            final_work=_final_work(engine, files, validation, config),
            n_validation_tokens=sum(len(row.token_ids) for row in engine.foundation.rows["val"]),
            identity=order.identity,
            watch=order.watch,
            start_seconds=order.watch.seconds,
        ),
        default=Contender("default", evidence_params(config, model.hidden_size, model.model_type)),
        fingerprint=fingerprint,
        setup_seconds=setup_seconds,
    )
    return opened, engine


def _final_work(
    engine: TrialEngine, files: DataFiles, validation: list[Example], config: Config
) -> FinalWork:
    """What refits and proof will have to do, without a look into the test data."""
    wanted = config.hyperparameter
    rows = engine.foundation.rows["train"]
    tokens_per_row = sum(len(row.token_ids) for row in rows) / len(rows)
    n_finalists = wanted.n_finalists if wanted.select == "metric" else 0
    n_answers = n_finalists * len(validation)
    if files.test and files.val:
        # Rows of the two are alike, so the size of the file tells how many there are.
        share = files.test.stat().st_size / files.val.stat().st_size
        n_answers += round((wanted.n_refits + 1) * share * len(validation))
    n_refits = 2 * wanted.n_refits
    n_validations = n_refits * (1 + config.fine_tuning.training.epochs)
    return FinalWork(
        n_refits=n_refits,
        n_answering=n_finalists + wanted.n_refits + 1,
        n_answered_tokens=n_answers * tokens_per_row,
        n_validated_tokens=n_validations * len(validation) * tokens_per_row,
    )
