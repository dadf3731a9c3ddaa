"""P32: text of data, models and file names is shown as text; it never commands the terminal.

Of the outputs that a browser shows there is none yet; TensorBoard gets numbers only.
"""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from gemtune.cli.app import run
from gemtune.cli.border import report_error
from gemtune.cli.logs import start_logging
from gemtune.errors import DataError

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]
ATTACKS = {
    "a new title": "\x1b]0;owned\x07",
    "a cleared screen": "\x1b[2J\x1b[H",
    "an answer typed back": "\x1b[6n",
    "a link to elsewhere": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "a command of eight bits": "\x9b31m",
    "an overwritten line": "failed\rpassed",
    "erased letters": "no\x08\x08ok",
    "another direction": "\u202egnp.exe",
    "isolated text": "\u2066hidden\u2069",
    "the end of a string": "\x00",
    "a delete": "\x7f",
}
COMMANDS = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\n", "\t"}
COMMANDS |= {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def assert_shows_text_only(text: str) -> None:
    assert text
    assert not COMMANDS & set(text), ascii(text)


@pytest.fixture
def model(make_tokenizer: MakeTokenizer, tmp_path: Path) -> str:
    """A folder with a tokenizer: all of a model that the check of data needs."""
    make_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    return f"fine_tuning.model={tmp_path / 'model'}"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_the_check_of_data_shows_rows_as_text(
    tmp_path: Path, model: str, attack: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"input_text": f"before {attack} after", "output_text": f"yes {attack}"},
        {"input_text": "a", f"output{attack}": "an unknown key"},
        {"input_text": "a", "output_text": "b", f"extra{attack}": "c"},
    ]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in (rows[0], rows[2])))
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(json.dumps(row) + "\n" for row in rows) + f'{{"a": {attack}}}\n')

    assert run(["data", "check", str(data), model, *options]) == 0
    shown = "".join(capsys.readouterr())
    assert_shows_text_only(shown)
    assert "before " in shown or options
    assert run(["data", "check", str(bad), model, *options]) == 3
    assert_shows_text_only("".join(capsys.readouterr()))


def test_a_document_for_machines_gives_the_text_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = ATTACKS["a command of eight bits"]
    data = tmp_path / f"{attack}.jsonl"
    data.write_text('{"input_text": "a", "output_text": "b"}\n')

    run(["data", "check", str(data), "--no-tokens", "--json"])

    assert json.loads(capsys.readouterr().out)["splits"][attack]["path"] == str(data)


@pytest.mark.parametrize("attack", [a for a in ATTACKS.values() if "\0" not in a])
def test_names_of_files_keys_and_models_are_shown_as_text(
    tmp_path: Path, attack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"project": {f"name{attack}": 1}, "target": attack}))
    commands = [
        ["data", "check", str(tmp_path / attack.replace("/", ""))],
        ["config", "check", str(config)],
        ["config", "check", f"project.name{attack}=3", f"project={attack}"],
        ["evaluate", attack, "x.jsonl"],
        ["evaluate", f"./{attack}", "x.jsonl"],
        [attack],
    ]
    for words in commands:
        assert run(words) != 0
        assert_shows_text_only("".join(capsys.readouterr()))


def test_a_config_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"data": {"separator": "".join(ATTACKS.values())[:40]}}))
    for options in ([], ["--json"]):
        assert run(["config", "show", "--config-path", str(config), *options]) == 0
        assert_shows_text_only(capsys.readouterr().out)


def test_the_words_of_a_chat_template_are_shown_as_text(
    make_tokenizer: MakeTokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = ATTACKS["a new title"]
    template = "{{ raise_exception('" + attack + "') }}"
    make_tokenizer(chat_template=template).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "train.jsonl").write_text('{"input_text": "a", "output_text": "b"}\n')

    words = ["data", "check", str(tmp_path), f"fine_tuning.model={tmp_path / 'model'}"]
    assert run(words) == 3

    shown = capsys.readouterr().err
    assert "refuses this conversation" in shown
    assert_shows_text_only(shown)


@pytest.mark.parametrize("error", [DataError, RuntimeError], ids=["error", "bug"])
def test_errors_and_tracebacks_are_shown_as_text(
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for attack in ATTACKS.values():
        for debug in (True, False):
            report_error(error(f"in {attack} row"), debug=debug)
            assert_shows_text_only(capsys.readouterr().err)


@pytest.fixture
def _logging() -> Iterator[None]:
    start_logging()
    yield
    logging.getLogger("gemtune").handlers = []
    logging.getLogger("gemtune").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("_logging")
def test_log_lines_are_shown_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for attack in ATTACKS.values():
        logging.getLogger("gemtune.x").warning("of %s", attack)
    assert_shows_text_only(stream.getvalue())
