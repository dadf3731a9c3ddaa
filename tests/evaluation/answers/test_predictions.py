"""Predictions are paired with the test set by id, and nothing is paired by mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gemtune.data.examples import Example, Message
from gemtune.errors import DataError
from gemtune.evaluation.answers.predictions import Prediction, prediction_record, read_predictions
from gemtune.evaluation.test_set import accepted_answers, input_text, load_test_set

WriteRows = Callable[..., Path]


def example(
    number: int, *, messages: tuple[Message, ...] = (), references: tuple[str, ...] = ()
) -> Example:
    asked = (Message("user", f"question {number}"), Message("assistant", f"answer {number}"))
    return Example(messages or asked, id=f"row-{number}", references=references)


EXAMPLES = [example(number) for number in range(8)]


def rows(*numbers: int) -> list[dict[str, object]]:
    return [
        {"id": f"row-{number}", "input": f"question {number}", "prediction": f"said {number}"}
        for number in numbers
    ]


def test_predictions_come_back_in_the_order_of_the_test_set(write_rows: WriteRows) -> None:
    path = write_rows("predictions.jsonl", rows(3, 1, 0, 2, 7, 6, 5, 4))

    found = read_predictions(path, EXAMPLES)

    assert found == [Prediction(id=f"row-{i}", text=f"said {i}") for i in range(8)]


def test_a_written_record_reads_back_the_same(write_rows: WriteRows) -> None:
    answers = [Prediction(f"row-{i}", f"said {i}", 3, "stop", 0) for i in range(8)]
    records = [
        prediction_record(asked, answer, {})
        for asked, answer in zip(EXAMPLES, answers, strict=True)
    ]

    assert read_predictions(write_rows("p.jsonl", records), EXAMPLES) == answers


def test_a_record_starts_with_input_output_prediction() -> None:
    record = prediction_record(EXAMPLES[0], Prediction("row-0", "said"), {"rougeL": 0.5})

    assert list(record)[:3] == ["input", "output", "prediction"]
    assert (record["input"], record["output"]) == ("question 0", "answer 0")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (rows(0), "no prediction for 'row-1', 'row-2', 'row-3', 'row-4', 'row-5' and 2 more"),
        (rows(*range(8), 2), "more than one prediction for 'row-2'"),
        (rows(*range(9)), "not in the test data: 'row-8'"),
    ],
)
def test_missing_repeated_and_unknown_ids_are_listed(
    write_rows: WriteRows, found: list[dict[str, object]], message: str
) -> None:
    path = write_rows("predictions.jsonl", found)

    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path, EXAMPLES)

    assert str(path) in str(caught.value)


def test_swapped_rows_are_refused(write_rows: WriteRows) -> None:
    found = rows(*range(8))
    found[2]["id"], found[5]["id"] = "row-5", "row-2"

    with pytest.raises(DataError, match=r"swapped rows.*'row-5', 'row-2'"):
        read_predictions(write_rows("predictions.jsonl", found), EXAMPLES)


def test_half_a_line_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id": "row-0", "prediction": "said"}\n{"id": "row-1", "pred')

    with pytest.raises(DataError, match=r"predictions\.jsonl:2: not JSON") as caught:
        read_predictions(path, EXAMPLES)

    assert "cut off" in caught.value.fix


@pytest.mark.parametrize("row", [{"id": "row-0"}, {"id": 3, "prediction": "said"}])
def test_a_row_without_id_or_prediction_says_which_key(
    write_rows: WriteRows, row: dict[str, object]
) -> None:
    key = "prediction" if "prediction" not in row else "id"

    with pytest.raises(DataError, match=f":1: the key '{key}' has to be a text"):
        read_predictions(write_rows("predictions.jsonl", [row]), EXAMPLES)


def test_two_rows_of_the_test_data_with_one_id_are_refused(write_rows: WriteRows) -> None:
    row = {"id": "same", "input_text": "ask", "output_text": "say"}
    path = write_rows("test.jsonl", [row, {**row, "input_text": "ask more"}])

    with pytest.raises(DataError, match=r"test\.jsonl:2.*'same'"):
        load_test_set(path)


def test_accepted_answers_are_the_rows_own_and_its_references_none_twice() -> None:
    asked = example(1, references=("answer 1", "another"))

    assert accepted_answers(asked) == ("answer 1", "another")


def test_a_conversation_is_shown_with_roles() -> None:
    turns = (
        Message("system", "be brief"),
        Message("user", "ask"),
        Message("assistant", "say"),
    )

    assert input_text(example(1, messages=turns)) == "system: be brief\nuser: ask"
