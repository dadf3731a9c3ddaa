"""`gemtune report`: where the page is, opening it, and folders that are none."""

import sys
from pathlib import Path

import pytest

from gemtune.cli.app import run


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"status": "done", "model": {"name": "gpt2"}}')
    return folder


def test_report_prints_where_the_page_is(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(run_dir)]) == 0
    assert capsys.readouterr().out == f"{run_dir / 'report.html'}\n"
    assert (run_dir / "report.md").exists()


def test_report_opens_the_page_in_the_browser(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    (tmp_path / "browser.py").write_text(script)
    opened = tmp_path / "opened"
    browser = f"{sys.executable} {tmp_path / 'browser.py'} {opened} %s"
    monkeypatch.setenv("BROWSER", browser)
    # The module looks for browsers once in the life of a process.
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setattr("webbrowser._browsers", {})

    assert run(["report", str(run_dir), "--open"]) == 0
    assert opened.read_text() == (run_dir / "report.html").as_uri()


@pytest.mark.parametrize(
    ("name", "content", "exit_code", "message"),
    [
        (None, "", 2, "is neither a run nor a comparison"),
        ("run.json", "{", 4, "run.json: not JSON"),
        ("comparison.json", "{}", 4, "comparison.json: version None instead of 2"),
    ],
)
def test_report_says_what_is_wrong_with_a_folder(
    name: str | None,
    content: str,
    exit_code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name:
        (tmp_path / name).write_text(content)

    assert run(["report", str(tmp_path)]) == exit_code
    shown = capsys.readouterr().err
    assert message in shown
    assert "fix: " in shown
