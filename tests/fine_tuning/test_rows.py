"""Examples in tokens, and rows with nothing left to learn."""

from pathlib import Path

import pytest

from gemtune.data.examples import EncodedRow, Example, Message
from gemtune.errors import DataError
from gemtune.fine_tuning.rows import encode_rows, warn_about_cut_rows


def example(name: str, line: int) -> Example:
    turns = (Message("user", "a"), Message("assistant", "b"))
    return Example(turns, id=name, path=Path("train.jsonl"), line=line)


def encoded(trained: list[bool]) -> EncodedRow:
    return EncodedRow(list(range(len(trained))), trained, truncated=False, n_prompt_tokens=1)


def test_a_row_counts_the_tokens_that_something_predicts() -> None:
    rows = encode_rows([example("a", 1)], lambda _: encoded([True, False, True, True]))
    assert rows[0].id == "a"
    assert rows[0].token_ids.tolist() == [0, 1, 2, 3]
    assert rows[0].n_targets == 2


def test_rows_without_a_token_to_learn_are_all_named_at_once() -> None:
    def encode(found: Example) -> EncodedRow:
        return encoded([True, found.id == "good"])

    examples = [example("bad", 3), example("good", 4), example("worse", 9)]
    with pytest.raises(DataError, match=r"2 problems in train\.jsonl") as caught:
        encode_rows(examples, encode)
    assert "train.jsonl:3" in str(caught.value)
    assert "train.jsonl:9" in str(caught.value)
    assert "train.jsonl:4" not in str(caught.value)


def test_cut_rows_are_told(caplog: pytest.LogCaptureFixture) -> None:
    def encode(found: Example) -> EncodedRow:
        return EncodedRow([1, 2], [False, True], truncated=found.id == "long", n_prompt_tokens=1)

    rows = encode_rows([example("long", 1), example("short", 2)], encode)
    assert [row.is_cut for row in rows] == [True, False]
    warn_about_cut_rows(rows, Path("train.jsonl"))
    warn_about_cut_rows(rows[1:], Path("val.jsonl"))
    [message] = caplog.messages
    assert message.startswith("1 of 2 rows of train.jsonl exceed data.max_length")


@pytest.mark.parametrize(
    ("trained", "n_tokens"),
    [
        ([False, False, True, True], 2),
        # Earlier answers of a conversation are trained too.
        ([False, True, True, False, True, True, True], 3),
        ([True, True], 2),
    ],
)
def test_a_row_counts_the_tokens_of_its_last_answer(trained: list[bool], n_tokens: int) -> None:
    [row] = encode_rows([example("a", 1)], lambda _: encoded(trained))
    assert row.n_answer_tokens == n_tokens
