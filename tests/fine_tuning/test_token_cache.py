"""The second run does not tokenize, and trains on the same rows."""

import json
import logging
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import Config, DataConfig, FineTuningConfig
from gemtune.data.examples import EncodedRow, Example, Message
from gemtune.errors import ConfigError, DataError
from gemtune.fine_tuning import token_cache
from gemtune.fine_tuning.rows import Row, encode_rows
from gemtune.fine_tuning.token_cache import cached_rows
from gemtune.fine_tuning.train import finetune_model
from gemtune.models.load import load_tokenizer
from gemtune.models.template import row_encoder

WriteTask = Callable[..., Path]
MakeConfig = Callable[..., Config]


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The part of an empty cache that tokens are kept in."""
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def tokenizer(tiny_llama_dir: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(FineTuningConfig(model=str(tiny_llama_dir)))


@pytest.fixture
def n_encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that went through the tokenizer."""
    seen: list[str] = []

    def counting(
        tokenizer: PreTrainedTokenizerBase, config: DataConfig
    ) -> Callable[[Example], EncodedRow]:
        encode = row_encoder(tokenizer, config)

        def count(example: Example) -> EncodedRow:
            seen.append(example.id)
            return encode(example)

        return count

    monkeypatch.setattr(token_cache, "row_encoder", counting)
    return seen


def task(n_rows: int = 5, answer: str = "an answer") -> list[Example]:
    return [
        Example(
            (Message("user", f"question {i}"), Message("assistant", answer)),
            id=f"row-{i}",
            path=Path("train.jsonl"),
            line=i + 1,
        )
        for i in range(n_rows)
    ]


def as_lists(rows: list[Row]) -> list[tuple[object, ...]]:
    return [
        (r.id, r.token_ids.tolist(), r.token_ids.dtype, r.trained.tolist(), r.trained.dtype,
         r.is_cut)
        for r in rows
    ]  # fmt: skip


def test_the_second_time_the_same_rows_come_without_the_tokenizer(
    tokenizer: PreTrainedTokenizerBase, n_encoded: list[str]
) -> None:
    config = DataConfig(max_length=48)
    wanted = encode_rows(task(), row_encoder(tokenizer, config))
    first = cached_rows(task(), tokenizer, config)
    assert len(n_encoded) == 5
    second = cached_rows(task(), tokenizer, config)
    assert len(n_encoded) == 5
    assert as_lists(first) == as_lists(second) == as_lists(wanted)
    assert any(row.is_cut for row in cached_rows(task(), tokenizer, DataConfig(max_length=36)))


def test_rows_are_mapped_and_what_is_done_to_them_stays_in_memory(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    cached_rows(task(), tokenizer, DataConfig())
    [row, *_] = cached_rows(task(), tokenizer, DataConfig())
    memory = row.token_ids
    while isinstance(memory, np.ndarray) and memory.base is not None:
        memory = memory.base
    assert isinstance(memory, mmap.mmap)
    row.token_ids[0] += 1
    assert cached_rows(task(), tokenizer, DataConfig())[0].token_ids[0] == row.token_ids[0] - 1


def test_whatever_tokens_depend_on_makes_them_again(
    tokenizer: PreTrainedTokenizerBase, n_encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def n_made(examples: list[Example], config: DataConfig) -> int:
        n_encoded.clear()
        cached_rows(examples, tokenizer, config)
        return len(n_encoded)

    assert n_made(task(), DataConfig()) == 5
    assert n_made(task(), DataConfig()) == 0
    assert n_made(task(answer="another"), DataConfig()) == 5
    assert n_made(task(4), DataConfig()) == 4
    assert n_made(task(), DataConfig(max_length=64)) == 5
    assert n_made(task(), DataConfig(template="plain")) == 5
    assert n_made(task(), DataConfig(template="plain", separator=" ")) == 5
    tokenizer.chat_template = f"{tokenizer.chat_template} "
    assert n_made(task(), DataConfig()) == 5
    tokenizer.add_tokens(["question"])
    assert n_made(task(), DataConfig()) == 5
    monkeypatch.setattr(token_cache, "_LAYOUT_VERSION", 0)
    assert n_made(task(), DataConfig()) == 5


def test_ids_and_places_of_rows_are_those_of_the_file_as_it_is_now(
    tokenizer: PreTrainedTokenizerBase, n_encoded: list[str]
) -> None:
    cached_rows(task(), tokenizer, DataConfig())
    renamed = [
        Example(example.messages, id=f"new-{example.line}", path=Path("train.jsonl"))
        for example in task()
    ]
    rows = cached_rows(renamed, tokenizer, DataConfig())
    assert rows[0].id == "new-1"
    assert len(n_encoded) == 5


@pytest.mark.parametrize("name", ["token_ids.npy", "trained.npy", "lengths.npy", "manifest.json"])
@pytest.mark.parametrize("how", ["cut", "changed", "missing"])
def test_a_damaged_file_is_made_again(
    how: str, name: str, room: Path, tokenizer: PreTrainedTokenizerBase, n_encoded: list[str]
) -> None:
    wanted = cached_rows(task(), tokenizer, DataConfig())
    [path] = room.glob(f"*/{name}")
    content = bytearray(path.read_bytes())
    path.unlink()
    content[-8] ^= 1
    if how != "missing":
        path.write_bytes(content[:-9] if how == "cut" else content)
    rows = cached_rows(task(), tokenizer, DataConfig())
    assert (as_lists(rows), len(n_encoded)) == (as_lists(wanted), 10)
    cached_rows(task(), tokenizer, DataConfig())
    assert len(n_encoded) == 10


def test_rows_that_cannot_be_learned_from_are_told_every_time(
    room: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    for _ in range(2):
        with pytest.raises(DataError, match=r"5 problems in train\.jsonl"):
            cached_rows(task(), tokenizer, DataConfig(max_length=8))
    assert [path.suffix for path in room.iterdir()] == [".lock"]


def test_a_template_that_is_not_there_is_told_as_what_it_is(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        cached_rows(task(), tokenizer, DataConfig(template="chat"))
    assert caplog.messages == []


def test_a_disk_that_takes_nothing_costs_only_time(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "file"))
    assert len(cached_rows(task(), tokenizer, DataConfig())) == 5
    [message] = caplog.messages
    assert "not kept for the next run" in message


def test_nobody_else_may_read_the_tokens(room: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    cached_rows(task(), tokenizer, DataConfig())
    assert room.stat().st_mode & 0o777 == 0o700


def test_data_that_nobody_trains_on_for_a_month_is_removed(
    room: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    cached_rows(task(), tokenizer, DataConfig())
    [first] = (path for path in room.iterdir() if path.is_dir())
    os.utime(first, (0, time.time() - 29 * 24 * 3600))
    cached_rows(task(4), tokenizer, DataConfig())
    assert first.exists()
    os.utime(first, (0, time.time() - 31 * 24 * 3600))
    cached_rows(task(3), tokenizer, DataConfig())
    assert not first.exists()


def test_a_second_run_does_not_tokenize_and_ends_with_the_same_bytes(
    tiny_llama_dir: Path,
    write_task: WriteTask,
    make_config: MakeConfig,
    n_encoded: list[str],
    tmp_path: Path,
) -> None:
    data_dir = write_task(tmp_path / "data", n_train=12, n_val=4)
    config = make_config(tiny_llama_dir, "fine_tuning.training.max_steps=2")
    finetune_model(data_dir, tmp_path / "first", config)
    assert len(n_encoded) == 16
    finetune_model(data_dir, tmp_path / "second", config)
    assert len(n_encoded) == 16
    first, second = (
        (tmp_path / run / "adapter_model.safetensors").read_bytes() for run in ("first", "second")
    )
    assert first == second


def test_cut_rows_and_bad_lines_are_told_also_when_tokens_are_known(
    tiny_llama_dir: Path,
    write_task: WriteTask,
    make_config: MakeConfig,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    data_dir = write_task(tmp_path / "data", n_train=12, n_val=0)
    config = make_config(tiny_llama_dir, "fine_tuning.training.max_steps=1", "data.max_length=36")
    for run in ("first", "second"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            finetune_model(data_dir, tmp_path / run, config)
        assert "12 of 12 rows" in caplog.text
    with (data_dir / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"input_text": "a question without an answer"}) + "\n")
    with pytest.raises(DataError, match=r"train\.jsonl:13"):
        finetune_model(data_dir, tmp_path / "third", config)
