"""P36: exact versions, nothing sent home, and nothing that happens when a module is imported."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?==[\w.!+-]+( ;.*)?")
# A process of its own, because an audit hook cannot be taken away again.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path.insert(0, "src")
seen = []

def note(event, arguments):
    if event.startswith(("socket.connect", "socket.bind", "socket.get", "os.system", "subprocess")):
        seen.append([event, str(arguments)])
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if not str(arguments[0]).endswith(".pyc") and "/dev/null" not in str(arguments[0]):
            seen.append([event, str(arguments)])

sys.addaudithook(note)
import gemtune

for module in pkgutil.walk_packages(gemtune.__path__, "gemtune."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "google":
                raise
print(json.dumps(seen))
"""


def test_every_dependency_is_pinned_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]

    assert [line for line in pins if not PIN.fullmatch(line)] == []
    assert len(pins) > 50


def test_every_dependency_of_the_project_has_a_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    pinned = {plain_name(line) for line in (ROOT / "constraints.txt").read_text().splitlines()}

    assert {plain_name(line) for line in wanted} - pinned == {"gemtune"}


def plain_name(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement)[0].lower().replace("_", "-")


def test_torch_and_jinja2_have_the_fixes_of_known_holes() -> None:
    """CVE-2025-32434 and CVE-2026-24747 (torch), the sandbox escapes before jinja2 3.1.6."""
    pins = dict(
        line.split("==", 1)
        for line in (ROOT / "constraints.txt").read_text("utf-8").lower().splitlines()
        if "==" in line
    )

    assert release(pins["torch"]) >= (2, 10)
    assert release(pins["jinja2"]) >= (3, 1, 6)


def release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def test_importing_every_module_touches_no_network_and_writes_no_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        env={**os.environ, "HF_HUB_OFFLINE": "0", "HOME": str(tmp_path)},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    # urllib3 tries at import whether there is IPv6, by an address of this machine alone.
    assert [event for event in seen if "('::1', 0)" not in event[1]] == []


def test_a_download_tells_the_hub_nothing_of_the_machine() -> None:
    import huggingface_hub.constants
    from huggingface_hub.utils import build_hf_headers

    import gemtune.models.hub  # noqa: F401

    assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
    agent = build_hf_headers()["user-agent"]
    assert "torch" not in agent


def test_checks_run_what_the_repository_holds_and_nothing_from_elsewhere() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    commands = [line for line in script.splitlines() if line and not line.startswith(("#", "set"))]

    assert commands == ['cd "$(dirname "$0")/.."', "make test", "make check"]
    assert not (ROOT / ".github").exists(), "add a check of the workflows' pins here"
    assert not re.search(r"curl|wget|http", (ROOT / "Makefile").read_text("utf-8"))
