"""The shipped task: always the same bytes, nothing shared between train and test."""

import json
import re
from pathlib import Path

import pytest

from gemtune.data.sample_phrases import (
    DEADLINES,
    GREETINGS,
    ITEMS,
    LAYOUTS,
    ORDERS,
    PROBLEMS,
    WISHES,
    WRITERS,
)
from gemtune.data.sample_task import (
    N_ROWS,
    draw_tickets,
    make_sample_splits,
    write_sample_data,
)

SHIPPED = Path(__file__).parents[2] / "data" / "training_data"
ALL_SLOTS = [
    ITEMS,
    ORDERS,
    GREETINGS,
    WRITERS,
    *PROBLEMS.values(),
    *WISHES.values(),
    *DEADLINES.values(),
]
PAIRS = [("train", "test"), ("train", "val"), ("val", "test")]


def normalize(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def inputs(split: str) -> set[str]:
    return {normalize(row["input_text"]) for row in make_sample_splits()[split]}


def test_the_shipped_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    paths = write_sample_data(tmp_path / "new")
    assert [path.name for path in paths] == ["train.jsonl", "val.jsonl", "test.jsonl"]
    for path in paths:
        assert path.read_bytes() == (SHIPPED / path.name).read_bytes()


def test_another_seed_gives_other_rows() -> None:
    assert make_sample_splits(seed=1) != make_sample_splits(seed=0)


def test_a_row_is_an_id_a_ticket_and_an_answer_of_five_fields() -> None:
    answer = re.compile(
        r"item: [a-z ]+ \| issue: [a-z]+ \| order: \d{4} \| action: [a-z ]+"
        r" \| due: (now|any|[01]\d-[0-2]\d)"
    )
    for split, count in N_ROWS.items():
        text = (SHIPPED / f"{split}.jsonl").read_text("utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        assert len({row["id"] for row in rows}) == len(rows) == count
        for row in rows:
            assert set(row) == {"id", "input_text", "output_text"}
            assert row["input_text"].startswith("Ticket: ")
            assert answer.fullmatch(row["output_text"]), row


def test_the_answer_can_be_read_from_the_ticket() -> None:
    for rows in make_sample_splits().values():
        for row in rows:
            item, order = re.findall(r"item: (.+?) \|.* order: (\d+)", row["output_text"])[0]
            assert item in row["input_text"].lower(), row
            assert order in re.sub(r"[ -]", "", row["input_text"]), row


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_input_stands_in_two_splits(one: str, other: str) -> None:
    assert inputs(one).isdisjoint(inputs(other))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_sentence_comes_back_with_its_item_and_wish_or_layout(one: str, other: str) -> None:
    tickets = draw_tickets()
    combinations = [
        {combination for ticket in tickets[split] for combination in ticket.combinations}
        for split in (one, other)
    ]
    assert combinations[0].isdisjoint(combinations[1])


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_order_number_stands_in_two_splits(one: str, other: str) -> None:
    splits = make_sample_splits()
    orders = [
        {re.findall(r"order: (\d+)", row["output_text"])[0] for row in splits[split]}
        for split in (one, other)
    ]
    assert orders[0].isdisjoint(orders[1])


def test_held_out_phrases_are_in_test_alone() -> None:
    held_out = {
        max(re.split(r"\{\w+\}", phrase), key=len).strip().lower()
        for slot in ALL_SLOTS
        for phrase in slot.held_out
    }
    texts = {
        split: "\n".join(row["input_text"].lower() for row in rows)
        for split, rows in make_sample_splits().items()
    }
    found = {
        split: {phrase for phrase in held_out if phrase in text} for split, text in texts.items()
    }
    assert found["train"] == found["val"] == set()
    assert len(found["test"]) > 0.8 * len(held_out)


def test_held_out_layouts_are_in_test_alone() -> None:
    used = {split: {t.layout for t in tickets} for split, tickets in draw_tickets().items()}
    assert used["train"] == used["val"] == set(LAYOUTS.shared)
    assert used["test"] == set(LAYOUTS.shared + LAYOUTS.held_out)


def test_no_phrase_is_both_shared_and_held_out() -> None:
    for slot in (LAYOUTS, *ALL_SLOTS):
        assert set(slot.shared).isdisjoint(slot.held_out)


def test_no_wording_belongs_to_two_meanings() -> None:
    for meanings in (PROBLEMS, WISHES, DEADLINES):
        phrases = [phrase for slot in meanings.values() for phrase in slot.shared + slot.held_out]
        assert len(set(phrases)) == len(phrases)
