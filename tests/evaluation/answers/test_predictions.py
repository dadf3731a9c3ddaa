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

    with pytest.raises(DataError, match=r"predictions\.jsonl:2:17: not valid JSON") as caught:
        read_predictions(path, EXAMPLES)

    assert "cut off" in caught.value.fix


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        (b'["row-0", "said"]', "1: expected an object, got a list", "such as {...}"),
        ('{"id": "row-0", "prediction": "Zo\xeb"}'.encode("latin-1"), "1:34: byte 0xeb", "iconv"),
        (
            b'{"id": "row-0", "prediction": "a", "prediction": "b"}',
            "1: the key 'prediction'",
            "one",
        ),
        (b'{"id": "row-0", "prediction": "\\ud800"}', r"1:32: \\ud800 is half", "both halves"),
        (b'{"id": "row-0", "prediction": "a", "finish_reason": "\\udfff"}', "1:54:", "both halves"),
        (b'{"id": "row-0", "prediction": ' + b"[" * 10**5, "1:130: more than 100", "flatten"),
    ],
)
def test_a_strange_line_names_file_line_and_what_to_do(
    tmp_path: Path, line: bytes, message: str, fix: str
) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(line + b"\n")

    with pytest.raises(DataError, match=rf"predictions\.jsonl:{message}") as caught:
        read_predictions(path, EXAMPLES)

    assert fix in caught.value.fix


def test_figures_of_other_tools_and_a_byte_order_mark_are_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    line = '{{"id": "row-{}", "prediction": "said", "score": NaN, "worst": -Infinity}}\n'
    path.write_text("\ufeff" + "".join(line.format(i) for i in range(8)), "utf-8")

    assert [found.text for found in read_predictions(path, EXAMPLES)] == ["said"] * 8


def test_an_id_may_be_a_whole_number_as_in_the_test_data(write_rows: WriteRows) -> None:
    rows = [{"id": i, "input_text": f"ask {i}", "output_text": "say"} for i in range(3)]
    examples = load_test_set(write_rows("test.jsonl", rows))
    found = [{"id": i, "prediction": f"said {i}"} for i in (2, 0, 1)]

    answers = read_predictions(write_rows("predictions.jsonl", found), examples)

    assert [answer.text for answer in answers] == ["said 0", "said 1", "said 2"]


@pytest.mark.parametrize("row", [{"id": "row-0"}, {"id": True, "prediction": "said"}])
def test_a_row_without_id_or_prediction_says_which_key(
    write_rows: WriteRows, row: dict[str, object]
) -> None:
    key = "prediction" if "prediction" not in row else "id"

    with pytest.raises(DataError, match=f":1: the key '{key}' has to be a t"):
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
