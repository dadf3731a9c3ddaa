"""The database of a study: where it is, and how one process at a time decides about it."""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from gemtune.errors import ConfigError, RemoteError
from gemtune.redaction import redact
from gemtune.runs.files import make_folder
from gemtune.runs.lock import waiting_lock

SQLITE, POSTGRESQL = "sqlite", "postgresql"

_WAIT_SECONDS = 60
# A machine that vanished must not hold the lock of a study for hours.
_POSTGRESQL_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_FIX = (
    "sqlite:////folder/study.db for the processes of one machine, "
    "postgresql+psycopg://user@host/database for many"
)


@dataclass(frozen=True, slots=True)
class Database:
    """A database that holds studies."""

    url: URL
    engine: Engine
    lock_path: Path | None
    """Beside the file of SQLite; None for PostgreSQL, which has locks of its own."""

    def __str__(self) -> str:
        """Where it is, without a password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def deciding(self, study: str) -> Iterator[None]:
        """Let one process at a time decide about a study, wherever the others are.

        The lock is given back when its holder dies, and not before.
        """
        if self.lock_path:
            with waiting_lock(self.lock_path):
                yield
            return
        key = int.from_bytes(hashlib.sha256(study.encode()).digest()[:8], "big", signed=True)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            try:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
                yield
            finally:
                # A session that is reused would keep it; one that is closed cannot.
                connection.invalidate()

    def writing(self) -> AbstractContextManager[None]:
        """Around a single write: SQLite gives up at once where two writers wait for each other."""
        return waiting_lock(self.lock_path) if self.lock_path else nullcontext()


def open_database(url: str) -> Database:
    """Find the database of a URL; the file of SQLite is made if it is not there.

    Raises:
        ConfigError: the URL is not one, or names another kind of database.
    """
    parsed = _parse(url)
    lock_path = None
    if parsed.get_backend_name() == SQLITE:
        path = Path(str(parsed.database)).absolute()
        make_folder(path.parent)
        lock_path = path.with_name(f"{path.name}.lock")
    return Database(parsed, sqlalchemy.create_engine(parsed, **engine_options(parsed)), lock_path)


def sqlite_url(path: Path) -> str:
    """The URL of a file of SQLite."""
    return f"sqlite:///{path.absolute()}"


def engine_options(url: URL) -> dict[str, Any]:
    """How connections are made."""
    if url.get_backend_name() == SQLITE:
        return {"connect_args": {"timeout": _WAIT_SECONDS}}
    return {"connect_args": dict(_POSTGRESQL_OPTIONS), "pool_pre_ping": True}


@contextmanager
def naming_database(database: Database) -> Iterator[None]:
    """Say which database it was that did not do what it was asked for in the block.

    Raises:
        RemoteError: it cannot be reached or refused.
    """
    try:
        yield
    except Exception as error:
        cause = _find_refusal(error)
        if cause is None:
            raise
        raise RemoteError(
            f"{database}: {redact(str(cause.orig).strip())}",
            fix="see to the database, then run the same command again: it goes on from here",
        ) from error


def _find_refusal(error: BaseException | None) -> DBAPIError | None:
    """Optuna wraps what SQLAlchemy raises."""
    while error is not None:
        if isinstance(error, OperationalError):
            return error
        error = error.__cause__
    return None


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(f"{redact(url)!r} is not the URL of a database", fix=_FIX) from None
    kind = parsed.get_backend_name()
    if kind == POSTGRESQL:
        return parsed.set(drivername="postgresql+psycopg")
    if kind != SQLITE or parsed.database in (None, "", ":memory:"):
        raise ConfigError(f"a study cannot be kept in {redact(url)!r}", fix=_FIX)
    return parsed
