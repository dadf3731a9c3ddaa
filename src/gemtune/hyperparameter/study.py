"""Opening a study: Optuna's record of the trials and our claims, in one database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import optuna
from optuna.storages import RDBStorage

from gemtune.errors import ArtefactError
from gemtune.hyperparameter.claims import make_table
from gemtune.hyperparameter.database import (
    Database,
    engine_options,
    naming_database,
    open_database,
)

FINGERPRINT, MADE_BY = "fingerprint", "made_by"
_N_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Store:
    """An open study; `close` it when it is not needed any more."""

    database: Database
    storage: RDBStorage
    study: optuna.Study

    @property
    def name(self) -> str:
        """Of the study; a database can hold many."""
        return self.study.study_name

    def close(self) -> None:
        """End all connections of this thread's work."""
        self.storage.remove_session()
        self.storage.engine.dispose()
        self.database.engine.dispose()


def open_study(url: str, name: str, fingerprint: Mapping[str, Any]) -> Store:
    """Open a study, or begin it.

    Args:
        url: Its database.
        name: Of the study within the database.
        fingerprint: What decides its results, by name, as plain JSON values.

    Raises:
        ConfigError: there can be no study at `url`.
        RemoteError: the database cannot be reached.
        ArtefactError: the study was begun with something else; what it was is named.
    """
    _let_us_log()
    database = open_database(url)
    with naming_database(database), database.deciding(name):
        make_table(database)
        address = database.url.render_as_string(hide_password=False)
        storage = RDBStorage(address, engine_kwargs=engine_options(database.url))
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="minimize",
            load_if_exists=True,
            # Settings are chosen elsewhere; this is for those who look at the study with Optuna.
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=optuna.pruners.NopPruner(),
        )
        _require_same(study, database, json.loads(json.dumps(fingerprint)))
    return Store(database, storage, study)


def _require_same(study: optuna.Study, database: Database, now: Mapping[str, Any]) -> None:
    before = study.user_attrs.get(FINGERPRINT)
    if before is None:
        study.set_user_attr(MADE_BY, f"gemtune {version('gemtune')}, optuna {optuna.__version__}")
        study.set_user_attr(FINGERPRINT, dict(now))
        return
    names = sorted(before.keys() | now.keys())
    changes = [
        f"{name}: {_shown(before.get(name))} -> {_shown(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]
    if changes:
        raise ArtefactError(
            f"{database} holds a study {study.study_name!r} that was begun with something else: "
            + "; ".join(changes),
            fix="bring back what it was begun with, or choose another output folder",
        )


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= _N_SHOWN else f"{text[:_N_SHOWN]}..."


def _let_us_log() -> None:
    """Optuna writes to stderr on its own account; what it says goes where our logs go instead."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
