"""The frame around every command: exit codes, short errors, options in any place."""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from gemtune.cli import app
from gemtune.errors import DataError, ResourceError
from gemtune.runs.signals import StopSignal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """Put a command in the place of `demo` that raises what the list holds."""
    errors: list[BaseException] = []
    module = ModuleType("a_module_with_a_command")

    @click.command()
    def demo() -> int:
        logging.getLogger("gemtune.some.place").debug("a detail")
        logging.getLogger("gemtune.some.place").info("a note")
        logging.getLogger("gemtune.some.place").warning("a doubt")
        if errors:
            raise errors[0]
        return 10

    module.__dict__["demo"] = demo
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = app.LazyCommand(f"{module.__name__}:demo", "")
    monkeypatch.setitem(app.COMMANDS, "demo", entry)
    monkeypatch.delenv("GEMTUNE_DEBUG", raising=False)
    yield errors
    logging.getLogger("gemtune").handlers = []
    logging.getLogger("gemtune").setLevel(logging.NOTSET)


def run_process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, entry in app.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.help)}$", shown, re.MULTILINE)


def test_h_is_short_for_help_in_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["config", "check", "-h"]) == 0
    assert "FILE..." in capsys.readouterr().out


def test_no_arguments_show_the_help_as_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out == "gemtune 0.1.0\n"


@pytest.mark.parametrize(
    ("words", "error", "fix"),
    [
        (["finetun"], "No such command 'finetun'. Did you mean 'finetune'?", "gemtune --help"),
        (["zzz"], "No such command 'zzz'.", "gemtune --help"),
        (["--quit"], "No such option '--quit'. Did you mean '--quiet'?", "gemtune --help"),
        (["config", "check"], "Missing argument 'FILE...", "gemtune config check --help"),
        (["config", "show", "--jsn"], "Did you mean '--json'?", "gemtune config show --help"),
    ],
)
def test_a_wrong_command_line_is_two_lines_and_exit_code_2(
    words: list[str], error: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(words) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert second == f"fix: `{fix}` shows what it takes"


def test_an_error_of_ours_is_its_message_its_cure_and_its_exit_code(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(DataError("rows.jsonl:7: no answer", fix="add one"))
    assert app.run(["demo", "-q"]) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        "error: rows.jsonl:7: no answer",
        "fix: add one",
    ]


def test_a_command_may_return_its_exit_code(failing: list[BaseException]) -> None:
    assert not failing
    assert app.run(["demo"]) == 10


def test_an_interrupt_is_exit_code_130(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(KeyboardInterrupt())
    assert app.run(["demo"]) == 130
    assert capsys.readouterr().err.splitlines()[-2].startswith("interrupted; ")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stop_that_a_library_turned_into_another_error_is_still_a_stop(
    signum: int, code: int, failing: list[BaseException]
) -> None:
    # What modules in C++ make of an exception that strikes while they are imported.
    error = ImportError("initialization failed")
    error.__cause__ = StopSignal(signum)
    failing.append(error)
    assert app.run(["demo"]) == code


def test_an_error_that_came_while_a_stop_was_answered_is_told(failing: list[BaseException]) -> None:
    error = ResourceError("no space is left for the checkpoint")
    error.__context__ = StopSignal(signal.SIGTERM)
    failing.append(error)
    assert app.run(["demo"]) == 6


@pytest.mark.parametrize("module", ["torch", "transformers.models", "gguf", "psutil"])
def test_a_missing_extra_is_one_sentence_with_the_pip_line(
    module: str, failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert app.run(["demo", "-q"]) == 9
    top = module.partition(".")[0]
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"error: this command needs {top!r}, which is not installed",
        "fix: pip install 'gemtune[local]'",
    ]


def test_an_unknown_error_is_a_bug_whose_traceback_is_kept(
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing.append(KeyError("lost\nkey"))
    assert app.run(["demo", "-q"]) == 1
    _, error, fix = capsys.readouterr().err.splitlines()
    [kept] = tmp_path.iterdir()
    assert error == r"error: this is a bug in gemtune: KeyError: 'lost\nkey'"
    assert fix.endswith(str(kept))
    assert "Traceback" in kept.read_text(encoding="utf-8")
    assert "in demo" in kept.read_text(encoding="utf-8")


def test_a_module_of_ours_that_is_missing_is_a_bug(failing: list[BaseException]) -> None:
    failing.append(ModuleNotFoundError("No module named 'gemtune.x'", name="gemtune.x"))
    assert app.run(["demo"]) == 1


@pytest.mark.parametrize("words", [["--debug", "demo"], ["demo", "--debug"]])
def test_debug_shows_the_traceback(
    words: list[str], failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(DataError("rows.jsonl:7: no answer"))
    assert app.run(words) == 3
    assert "Traceback" in capsys.readouterr().err


def test_an_environment_variable_shows_the_traceback(
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMTUNE_DEBUG", "1")
    failing.append(DataError("rows.jsonl:7: no answer"))
    app.run(["demo"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["demo"], ["a note", "warning: a doubt"]),
        (["demo", "-v"], ["debug: a detail", "a note", "warning: a doubt"]),
        (["--verbose", "demo"], ["debug: a detail", "a note", "warning: a doubt"]),
        (["demo", "--quiet"], ["warning: a doubt"]),
        (["-q", "demo"], ["warning: a doubt"]),
    ],
)
def test_the_log_goes_to_stderr_as_loud_as_asked(
    words: list[str],
    lines: list[str],
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not failing
    app.run(words)
    app.run(words)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == lines * 2
    assert captured.out == ""


@pytest.mark.parametrize("module", ["gemtune", "src.main"])
def test_the_command_line_runs_as_a_module_from_a_clone(module: str) -> None:
    process = run_process("-m", module, "--version")
    assert (process.returncode, process.stdout) == (0, "gemtune 0.1.0\n")


def test_src_main_finds_the_package_when_nothing_is_installed() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-m", "src.main", "--version"], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60, env=environment,
    )  # fmt: skip
    assert process.stdout == "gemtune 0.1.0\n"


def test_a_reader_that_goes_away_ends_the_command_without_a_word() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gemtune", "config", "schema"], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(timeout=60) == 141
