"""Rows to examples and back, over every pair of formats."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemtune.data.detection import choose_format
from gemtune.data.examples import Example, Message, Role
from gemtune.data.formats import FORMAT_NAMES, Format, parse_example, to_row
from gemtune.errors import DataError

PATH = Path("train.jsonl")
PAIR = (Message("user", "q"), Message("assistant", "a"))
PAIRS_OF_FORMATS = list(itertools.product(FORMAT_NAMES, repeat=2))
LONG = (Message("system", "s"), *PAIR, *PAIR)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
values = st.none() | st.booleans() | st.integers() | texts | st.lists(st.integers(), max_size=2)
extras = st.dictionaries(st.sampled_from(["slice", "group", "note"]), values)
identities = st.fixed_dictionaries({}, optional={"id": texts | st.integers()})


@st.composite
def examples(draw: st.DrawFn, only_pairs: bool) -> Example:
    n_pairs = 1 if only_pairs else draw(st.integers(1, 3))
    opening: list[Role] = ["system"] if not only_pairs and draw(st.booleans()) else []
    pair: list[Role] = ["user", "assistant"]
    roles = opening + pair * n_pairs
    return Example(
        messages=tuple(Message(role, draw(texts)) for role in roles),
        id="x",
        references=tuple(draw(st.lists(texts, max_size=2))),
        extra=draw(identities) | draw(extras),
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize(("first", "second"), PAIRS_OF_FORMATS)
def test_a_detour_over_another_format_gives_the_row_back(
    first: Format, second: Format, data: st.DataObject
) -> None:
    example = data.draw(examples(only_pairs="input_output" in (first, second)))
    row = to_row(example, first)
    detour = to_row(parse_example(row, first, PATH, 1), second)
    detour = json.loads(json.dumps(detour))
    assert choose_format(detour, None) == second
    back = parse_example(detour, second, PATH, 1)
    assert back.messages == example.messages
    assert back.references == example.references
    assert to_row(back, first) == row


ROWS: dict[str, tuple[Format, dict[str, Any], tuple[Message, ...]]] = {
    "input_output": ("input_output", {"input_text": "q", "output_text": "a"}, PAIR),
    "prompt_completion": ("prompt_completion", {"prompt": "q", "completion": "a"}, PAIR),
    "TRL": (
        "prompt_completion",
        {
            "prompt": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
                {"role": "user", "content": "q"},
            ],
            "completion": [{"role": "assistant", "content": "a"}],
        },
        LONG,
    ),
    "messages": (
        "messages",
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        PAIR,
    ),
    "gemini": (
        "gemini",
        {
            "systemInstruction": {"role": "system", "parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"text": "a"}]},
            ]
            * 2,
        },
        LONG,
    ),
}


@pytest.mark.parametrize(("name", "row", "messages"), ROWS.values(), ids=ROWS)
def test_rows_as_others_write_them_are_detected_read_and_written(
    name: Format, row: dict[str, Any], messages: tuple[Message, ...]
) -> None:
    assert choose_format(row, None) == name
    example = parse_example(row, name, PATH, 1)
    assert example.messages == messages
    assert to_row(example, name) == row


def test_a_list_of_text_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    row = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "c"}]}
    assert parse_example(row, "messages", PATH, 1).messages[0] == Message("user", "ab")


def test_an_example_keeps_its_identity_references_and_other_keys() -> None:
    row = {"id": 7, "prompt": "q", "completion": "a", "references": ["b"], "slice": None}
    example = parse_example(row, "prompt_completion", PATH, 3)
    assert (example.id, example.references, example.line) == ("7", ("b",), 3)
    assert to_row(example, "input_output") == {
        "id": 7,
        "input_text": "q",
        "output_text": "a",
        "references": ["b"],
        "slice": None,
    }


def test_a_row_without_an_id_is_named_after_its_place_and_stays_without() -> None:
    example = parse_example({"prompt": "q", "completion": "a"}, "prompt_completion", PATH, 3)
    assert example.id == "train-3"
    assert "id" not in to_row(example, "messages")


@pytest.mark.parametrize(
    ("messages", "what"),
    [(LONG, "a system message"), (PAIR + PAIR, "several turns")],
    ids=["system", "turns"],
)
def test_a_format_that_cannot_hold_an_example_says_where_and_why(
    messages: tuple[Message, ...], what: str
) -> None:
    example = Example(messages, id="x", path=PATH, line=7)
    with pytest.raises(DataError, match=rf"train\.jsonl:7 E164 .* cannot hold {what}") as caught:
        to_row(example, "input_output")
    assert caught.value.fix


def test_a_key_that_would_change_its_meaning_is_not_converted() -> None:
    example = Example(PAIR, id="x", extra={"systemInstruction": "note"}, path=PATH, line=7)
    assert to_row(example, "messages")["systemInstruction"] == "note"
    with pytest.raises(DataError, match="'systemInstruction' of its own"):
        to_row(example, "gemini")
