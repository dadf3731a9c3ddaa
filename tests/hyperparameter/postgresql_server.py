"""A real PostgreSQL server in a temporary folder, reached through a socket in that folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTING_SECONDS = 60.0


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; None if PostgreSQL is not installed."""
    found = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    candidates = [Path(found).resolve()] if found else []
    folders = [path.parent for path in [*candidates, *versions]]
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextmanager
def serving(binaries: Path) -> Iterator[str]:
    """Run a server while the block runs; yields the URL of its database."""
    # The path of a socket has to be short, and that of a test's own folder is not.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    who = _unprivileged()
    if who:
        os.chown(folder, who["user"], who["group"])
    data, log = folder / "data", folder / "log.txt"
    make = [str(binaries / "initdb"), "-D", str(data), "-U", "gemtune", "-A", "trust"]
    options: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ["PATH"]}, **who}
    subprocess.run(
        [*make, "--no-sync", "--no-locale", "-E", "UTF8"],
        check=True,
        capture_output=True,
        **options,
    )
    serve = [str(binaries / "postgres"), "-D", str(data), "-k", str(folder), "-h", "", "-F"]
    with log.open("wb") as output:
        server = subprocess.Popen(serve, stdout=output, stderr=output, **options)
    try:
        _wait_for(folder / ".s.PGSQL.5432", server, log)
        yield f"postgresql+psycopg://gemtune@/postgres?host={folder}"
    finally:
        server.terminate()
        try:
            server.wait(timeout=STARTING_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder)


def _unprivileged() -> dict[str, Any]:
    """How to start a process that is not root: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wait_for(socket: Path, server: "subprocess.Popen[Any]", log: Path) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while "ready to accept connections" not in log.read_text(errors="replace"):
        told = log.read_text(errors="replace")
        assert server.poll() is None, f"PostgreSQL ended: {told}"
        assert time.monotonic() < deadline, f"PostgreSQL did not start: {told}"
        time.sleep(0.05)
    assert socket.exists()
