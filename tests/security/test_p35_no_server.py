"""P35: no command opens a port, calls a shell or, on local files, talks to anybody."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "scripts", "benchmarks")
SOURCES = sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))
SERVING_MODULES = {
    "aiohttp", "asyncio", "bottle", "fastapi", "flask", "gradio", "http", "socketserver",
    "starlette", "streamlit", "tornado", "uvicorn", "waitress", "werkzeug", "xmlrpc",
}  # fmt: skip
SHELL_CALLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn",
    "commands.getoutput", "asyncio.create_subprocess_shell",
}  # fmt: skip
SERVING_METHODS = {"bind", "listen", "serve_forever"}


def findings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every place that calls a shell or could serve, as (line, what)."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="shell", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield value.lineno, "shell="
            case ast.Import(names=names):
                yield from ((node.lineno, n.name) for n in names if _serves(n.name))
            case ast.ImportFrom(module=str(module), level=0) if _serves(module):
                yield node.lineno, module
            case ast.ImportFrom(module="os", names=names):
                bad = {name.name for name in names} & {"system", "popen"}
                yield from ((node.lineno, f"os.{name}") for name in bad)
            case ast.Attribute(attr=name):
                if name in SERVING_METHODS or ast.unparse(node) in SHELL_CALLS:
                    yield node.lineno, ast.unparse(node)


def _serves(module: str) -> bool:
    return module.partition(".")[0] in SERVING_MODULES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_serves_or_calls_a_shell(path: Path) -> None:
    found = list(findings(ast.parse(path.read_text("utf-8"))))

    assert found == [], f"{path}:{found[0][0]}"


@pytest.mark.parametrize(
    "line",
    [
        "run(words, shell=True)", "run(words, shell=x)", "import http.server", "import flask",
        "from socketserver import TCPServer", "os.system(x)", "from os import popen",
        "listener.bind(('', 80))", "subprocess.getoutput(x)", "app.serve_forever()",
    ],
)  # fmt: skip
def test_the_search_finds_every_way(line: str) -> None:
    assert list(findings(ast.parse(line)))


# A process of its own, because an audit hook cannot be taken away again.
PROGRAM = """
import json, sys
sys.path.insert(0, "src")
seen = []

def note(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
                 "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "webbrowser.open"):
        seen.append([event, list(map(str, arguments[1])) if event == "subprocess.Popen" else
                     list(map(str, arguments))])

sys.addaudithook(note)
from gemtune.cli.app import run

codes = [run(words) for words in json.loads(sys.argv[1])]
print(json.dumps([codes, seen]))
"""


def test_commands_on_local_files_talk_to_nobody(tiny_llama_dir: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    row = json.dumps({"input_text": "a", "output_text": "b"}) + "\n"
    for name in ("train.jsonl", "val.jsonl", "test.jsonl"):
        (data / name).write_text(row.replace('"a"', f'"{name}"'))
    model, test = str(tiny_llama_dir), str(data / "test.jsonl")
    commands = [
        ["--help"],
        ["config", "check", "config/default.yaml"],
        ["data", "check", str(data), f"fine_tuning.model={model}"],
        ["data", "convert", test, str(tmp_path / "chat.jsonl"), "--to", "messages"],
        ["finetune", str(data), str(out), f"fine_tuning.model={model}",
         "fine_tuning.training.max_steps=1"],
        ["evaluate", str(out), test, "evaluation.max_new_tokens=2"],
        ["compare", model, str(out), test, "evaluation.max_new_tokens=2"],
        ["verify", str(out)],
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        # Not offline: what tries to reach a hub must be seen trying.
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    codes, seen = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0, 0, 0, 0, 0, 0, 10, 0], done.stderr
    # The first renders chat templates; Python itself asks the second for the processor's name.
    programs = [
        [sys.executable, "-P", str(ROOT / "src/gemtune/models/template_program.py")],
        ["uname", "-p"],
    ]
    assert [event for event in seen if event[1] not in programs] == []
