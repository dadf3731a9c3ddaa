"""Who trains which part of which trial: leases in the database of the study.

A row is a part of a trial, from one rung to the next. It is made by the worker that takes the part,
and holds the result once there is one. Every change is a single statement that names the holder, so
a worker that was thought dead and wakes up can neither keep nor overwrite anything.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import ColumnElement, Executable

from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.database import Database

_METADATA = MetaData()
_PARTS = Table(
    "gemtune_parts",
    _METADATA,
    Column("study", String(200), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("rung", Integer, primary_key=True, autoincrement=False),
    Column("worker", String(200), nullable=False),
    Column("beats", Integer, nullable=False),
    Column("n_deaths", Integer, nullable=False),
    Column("result", Text),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a trial that somebody took."""

    trial: int
    rung: int
    worker: str
    """Its holder; empty if the last one gave it back."""
    beats: int
    """Grows while the holder lives, and whenever the holder changes."""
    n_deaths: int
    """How many holders died while they had it."""
    result: Advance | None = None


def make_table(database: Database) -> None:
    """Make the table if it is not there."""
    _METADATA.create_all(database.engine)


def read_parts(database: Database, study: str) -> dict[tuple[int, int], Part]:
    """All parts of a study that anybody took, by trial and rung."""
    query = select(_PARTS).where(_PARTS.c.study == study)
    with database.engine.connect() as connection:
        rows = connection.execute(query).all()
    parts = (
        Part(row.trial, row.rung, row.worker, row.beats, row.n_deaths, _decode(row.result))
        for row in rows
    )
    return {(part.trial, part.rung): part for part in parts}


def take_part(
    database: Database, study: str, key: tuple[int, int], worker: str, previous: Part | None
) -> Part | None:
    """Take a part; None if somebody else was faster, or its holder showed a sign of life.

    Args:
        database: Where the study is.
        study: Its name.
        key: Trial and rung.
        worker: The new holder.
        previous: The part as it was read; None if nobody has taken it yet.
    """
    trial, rung = key
    if previous is None:
        part = Part(trial, rung, worker, 0, 0)
        row = {"study": study, "trial": trial, "rung": rung, "worker": worker}
        statement = insert(_PARTS).values(**row, beats=0, n_deaths=0)
        return part if _insert(database, statement) else None
    n_deaths = previous.n_deaths + (1 if previous.worker else 0)
    beats = previous.beats + 1
    part = Part(trial, rung, worker, beats, n_deaths)
    values = {"worker": worker, "beats": beats, "n_deaths": n_deaths}
    is_unchanged = (_PARTS.c.beats == previous.beats) & _is_held(study, previous)
    return part if _change(database, update(_PARTS).where(is_unchanged).values(values)) else None


def beat(database: Database, study: str, part: Part) -> bool:
    """Show a sign of life; False if the part is not this worker's any more."""
    statement = update(_PARTS).where(_is_held(study, part)).values(beats=_PARTS.c.beats + 1)
    return _change(database, statement)


def finish_part(database: Database, study: str, part: Part, result: Advance) -> bool:
    """Keep the result; False if the part is not this worker's any more."""
    values: Mapping[str, object] = {"result": json.dumps(asdict(result))}
    return _change(database, update(_PARTS).where(_is_held(study, part)).values(values))


def give_back_part(database: Database, study: str, part: Part) -> bool:
    """Let somebody else take the part at once; no death is counted."""
    values = {"worker": "", "beats": _PARTS.c.beats + 1}
    return _change(database, update(_PARTS).where(_is_held(study, part)).values(values))


def _is_held(study: str, part: Part) -> ColumnElement[bool]:
    return (
        (_PARTS.c.study == study)
        & (_PARTS.c.trial == part.trial)
        & (_PARTS.c.rung == part.rung)
        & (_PARTS.c.worker == part.worker)
        & _PARTS.c.result.is_(None)
    )


def _change(database: Database, statement: Executable) -> bool:
    with database.writing(), database.engine.begin() as connection:
        return connection.execute(statement).rowcount == 1


def _insert(database: Database, statement: Executable) -> bool:
    try:
        with database.writing(), database.engine.begin() as connection:
            connection.execute(statement)
    except IntegrityError:
        return False
    return True


def _decode(text: str | None) -> Advance | None:
    return None if text is None else Advance(**json.loads(text))
