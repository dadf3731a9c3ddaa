"""`gemtune config`: what a user sees of the configuration."""

import json
from pathlib import Path

import pytest

from gemtune.cli.app import run
from gemtune.config.explain import schema_text
from gemtune.config.load import load_config


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = Path("c.yaml")
    file.write_text("fine_tuning:\n  lora:\n    r: 4\n", encoding="utf-8")
    return file


def test_show_prints_yaml_that_is_itself_a_config(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "show", "data.max_length=64", "--config-path", "c.yaml"]) == 0
    Path("shown.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    config = load_config([Path("shown.yaml")])
    assert config == load_config([path], ["data.max_length=64"])


def test_show_json_prints_every_key(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("d.yaml").write_text("data: {max_length: 9}", encoding="utf-8")
    words = [
        "--config-path",
        str(path),
        "fine_tuning.lora.r=8",
        "--json",
        "--config-path",
        "d.yaml",
    ]
    assert run(["config", "show", *words]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fine_tuning"]["lora"]["r"] == 8
    assert shown["data"]["max_length"] == 9
    assert shown["evaluation"]["max_new_tokens"] is None


def test_check_says_ok_and_the_next_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", str(path), "data.separator=a b"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok: c.yaml, data.separator=a b",
        "next: gemtune finetune DATA_DIR OUT_DIR --config-path c.yaml 'data.separator=a b'",
    ]


def test_check_takes_a_file_whose_name_has_an_equals_sign(path: Path) -> None:
    path.rename("r=4.yaml")
    assert run(["config", "check", "r=4.yaml"]) == 0


def test_check_takes_an_override_that_is_longer_than_any_file_name(path: Path) -> None:
    names = ", ".join(f"layers_{i}_proj" for i in range(100))
    assert run(["config", "check", str(path), f"fine_tuning.lora.target_modules=[{names}]"]) == 0


def test_check_lists_every_problem_and_ends_with_2(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("fine_tuning:\n  lora:\n    dropuot: 1\n    r: x\n", encoding="utf-8")
    assert run(["config", "check", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: 2 problems in the configuration"
    assert lines[1].startswith("  c.yaml:3: unknown key")
    assert lines[2].startswith("  c.yaml:4: 'fine_tuning.lora.r' must be")
    assert lines[3].startswith("fix: ")


def test_check_passes_warnings_on(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", str(path), "fine_tuning.training.learning_rate=1e-5"]) == 0
    assert capsys.readouterr().err.startswith("warning: fine_tuning.training.learning_rate=1e-05")


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_explain_prints_one_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", "fine_tuning.lora.r"]) == 0
    assert capsys.readouterr().out.startswith("fine_tuning.lora.r: a whole number, at least 1\n")


def test_explain_of_an_unknown_key_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", "lora.r"]) == 2
    assert "did you mean 'fine_tuning.lora.r'?" in capsys.readouterr().err
