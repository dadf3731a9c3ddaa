"""`gemtune data` as a user types it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gemtune.cli.app import run
from gemtune.cli.data_tokens import measure_splits, preview, read_tokens
from gemtune.config.schema import Config
from gemtune.data.examples import EncodedRow, Example
from gemtune.data.folder import check_folder

GOOD = '{"input_text": "q", "output_text": "a"}\n'
OTHER = '{"input_text": "other", "output_text": "b"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").write_text(GOOD + OTHER)
    (tmp_path / "test.jsonl").write_text('{"input_text": "new", "output_text": "c"}\n')
    return tmp_path


def encode_characters(example: Example) -> EncodedRow:
    """Take every character as a token; at most six of them."""
    prompt = f"<s>{example.prompt[0].content}"
    tokens = [ord(character) for character in prompt + example.completion][:6]
    trained = [index >= len(prompt) for index in range(len(tokens))]
    return EncodedRow(tokens, trained, len(prompt) + 1 > 6, min(len(prompt), 6))


def decode_characters(tokens: Sequence[int]) -> str:
    return "".join(map(chr, tokens))


def test_a_sound_folder_ends_with_the_next_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "check", str(folder), "--no-tokens"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert [line.split() for line in shown.out.splitlines()[:2]] == [
        ["train", "test"],
        ["rows", "2", "1"],
    ]
    assert shown.out.endswith(f"next: gemtune finetune {folder} OUT_DIR\n")


def test_errors_go_to_stderr_with_exit_code_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train.jsonl").write_text(GOOD * 6 + '{"input_text": "q"\n')
    assert run(["data", "check", str(folder)]) == 3
    shown = capsys.readouterr()
    assert f"{folder / 'train.jsonl'}:7:19 E101 JSON_SYNTAX" in shown.err
    assert "next: correct what is named above" in shown.out


def test_a_missing_path_is_an_error_of_the_data(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "check", str(folder / "traim.jsonl")]) == 3
    assert f"did you mean {folder / 'train.jsonl'}?" in capsys.readouterr().err


def test_a_leak_fails_only_with_strict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test.jsonl").write_text(GOOD)
    assert run(["data", "check", str(folder), "--no-tokens"]) == 0
    assert "test.jsonl:1 E131 LEAK" in capsys.readouterr().err
    assert run(["data", "check", str(folder), "--no-tokens", "--strict"]) == 3


def test_json_is_one_document_with_every_problem(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train.jsonl").write_text(GOOD + "broken\n")
    (folder / "test.jsonl").write_text(GOOD)
    assert run(["data", "check", str(folder), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["splits"]["train"]["problems"][0]["code"] == "E101"
    assert document["splits"]["train"]["problems"][0]["line"] == 2
    assert document["splits"]["test"]["format"] == "input_output"
    assert document["overlaps"] == {"test": {"n_prompts": 1, "n_pairs": 1}}
    assert [problem["code"] for problem in document["problems"]] == ["E131"]


def test_a_wrong_config_key_is_found_before_the_data_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "check", str(folder), "--no-tokens", "data.max_lenght=7"]) == 2
    assert "max_length" in capsys.readouterr().err


def test_token_lengths_and_rows_without_target_are_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoders = {"train": encode_characters, "test": encode_characters}
    tokens = measure_splits(check_folder(folder), encoders, decode_characters, n_preview=1)
    assert tokens.lengths["train"].total.max == 6
    assert (tokens.lengths["train"].n_truncated, tokens.n_errors) == (1, 2)
    assert "train.jsonl:2 E114 NO_TARGET_TOKENS" in capsys.readouterr().err
    [shown] = tokens.previews
    assert shown.startswith(f"{folder / 'train.jsonl'}:1 ")
    assert shown.endswith("\n<s>q[[a]]\n")


def test_test_rows_are_not_held_to_the_longest_row_of_training(
    folder: Path, tiny_llama_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "test.jsonl").write_text(GOOD.replace('"q"', f'"{"q" * 90}"'))
    words = ["data", "check", str(folder), f"fine_tuning.model={tiny_llama_dir}"]
    assert run([*words, "--json", "data.max_length=80"]) == 0
    shown = capsys.readouterr()
    tokens = json.loads(shown.out)["splits"]["test"]["tokens"]
    assert tokens["n_truncated"] == 0
    assert tokens["total"]["max"] > 90
    assert shown.err == ""


def test_the_next_command_keeps_the_settings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = folder / "my config.yaml"
    config.write_text("data: {max_length: 64}")
    words = ["data", "check", str(folder), "--no-tokens", "--config-path", str(config)]
    assert run([*words, "data.template=plain"]) == 0
    settings = f"--config-path '{config}' data.template=plain"
    assert capsys.readouterr().out.endswith(f"next: gemtune finetune {folder} OUT_DIR {settings}\n")


def test_the_preview_cuts_long_texts_in_the_middle() -> None:
    row = EncodedRow([ord("x")] * 5000, [False] * 5000, False, 5000)
    assert preview(row, decode_characters) == f"{'x' * 300} ... {'x' * 300}"


def test_without_the_local_extra_one_line_says_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert read_tokens(check_folder(folder), Config(), n_preview=1) is None
    assert "pip install 'gemtune[local]'" in capsys.readouterr().err


def test_without_the_tokenizer_the_structure_is_reported_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "check", str(folder), "fine_tuning.model=org/no-such-model"]) == 0
    shown = capsys.readouterr()
    left_out, way_out = shown.err.splitlines()
    assert left_out.startswith("token lengths and preview are left out: model 'org/no-such-model'")
    assert way_out.startswith("to get them: ")
    assert shown.out.splitlines()[1].split() == ["rows", "2", "1"]


def test_convert_writes_the_file_and_names_the_next_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = folder / "chat.jsonl"
    words = ["data", "convert", str(folder / "train.jsonl"), str(target), "--to", "messages"]
    assert run(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"2 rows in format messages are in {target}",
        f"next: gemtune data check {target}",
    ]
    assert run(words) == 2
    assert run([*words, "--overwrite"]) == 0


def test_a_structural_check_loads_neither_torch_nor_transformers(folder: Path) -> None:
    code = (
        "import sys; from gemtune.cli.app import run;"
        f"run(['data', 'check', {str(folder)!r}, '--no-tokens']);"
        "sys.exit(','.join({'torch', 'transformers', 'google', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
