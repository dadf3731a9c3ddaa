"""A small task, the unbroken run of it, a server that runs attempts, and the counts at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crafted_models import tiny_gguf
from faults.attempts import ForkServer
from faults.tally import all_tallies
from faults.tasks import Reference, Task, make_task, run_undisturbed

__all__ = ["tiny_gguf"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say k/n of every kind of fault."""
    tallies = all_tallies()
    if tallies:
        terminalreporter.section("faults survived")
        for tally in tallies:
            terminalreporter.write_line(str(tally))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, gemtune_cache: Path) -> Iterator[ForkServer]:
    """Runs one attempt at a time."""
    server = ForkServer(tmp_path_factory.mktemp("logs"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A task of 30 rows for a tiny model."""
    return make_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="session")
def reference(
    server: ForkServer, task: Task, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """The run that nobody disturbed."""
    return run_undisturbed(server, task, tmp_path_factory.mktemp("reference"))
