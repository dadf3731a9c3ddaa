"""Databases for studies."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hyperparameter.postgresql_server import find_binaries, serving

from gemtune.hyperparameter.database import sqlite_url


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A server of this session; skips where PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (scripts/install_test_tools.sh does it)")
    with serving(binaries) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both kinds of database, one after the other."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "study.db")
    return request.getfixturevalue("postgresql_url")
