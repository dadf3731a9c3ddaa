"""Whole files from one format into another: complete or not there."""

from pathlib import Path

import pytest

from gemtune.data.convert import convert_file
from gemtune.data.load import load_examples
from gemtune.errors import DataError, UsageError

PAIRS = '{"id": 1, "input_text": "\u00fc", "output_text": "a"}\n'
CHAT = '{"contents": [{"parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]'
SYSTEM = CHAT + ', "systemInstruction": {"parts": [{"text": "s"}]}}\n'


def test_a_file_comes_back_from_another_format(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("1.jsonl", "2.jsonl", "3.jsonl"))
    first.write_text(PAIRS)
    assert convert_file(first, second, "gemini") == 1
    assert load_examples(second)[0].messages == load_examples(first)[0].messages
    convert_file(second, third, "input_output")
    assert third.read_text() == PAIRS


@pytest.mark.parametrize("content", [PAIRS + "broken\n", PAIRS + SYSTEM, CHAT + "}\n" + SYSTEM])
def test_nothing_is_left_behind_when_a_row_fails(tmp_path: Path, content: str) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(content)
    target.write_text("old")
    with pytest.raises(DataError, match=r"in\.jsonl:2"):
        convert_file(source, target, "input_output", overwrite=True)
    assert target.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_file_is_replaced_only_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(PAIRS)
    with pytest.raises(UsageError, match="exists"):
        convert_file(path, path, "messages")
    assert path.read_text() == PAIRS
    convert_file(path, path, "messages", overwrite=True)
    assert load_examples(path)[0].completion == "a"


@pytest.mark.parametrize("target", [".", "missing/out.jsonl"])
def test_a_target_that_cannot_be_a_file_is_refused(tmp_path: Path, target: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(PAIRS)
    with pytest.raises(UsageError):
        convert_file(source, tmp_path / target, "messages", overwrite=True)
