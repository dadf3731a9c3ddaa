"""Files of lm-eval and of Vertex AI are read as they are, and nothing in them is guessed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gemtune.data.examples import Example, Message
from gemtune.errors import DataError
from gemtune.evaluation.answers.predictions import read_predictions
from gemtune.evaluation.test_set import load_test_set

WriteRows = Callable[..., Path]
Row = dict[str, Any]

EXAMPLES = [
    Example((Message("user", f"question {i}"), Message("assistant", f"answer {i}")), id=f"row-{i}")
    for i in range(4)
]


def lm_eval_row(number: int, **doc: object) -> Row:
    """As `lm_eval --log_samples` 0.4.13 writes it."""
    return {
        "doc_id": number,
        "doc": doc,
        "target": f"answer {number}",
        "arguments": {
            "gen_args_0": {"arg_0": f"Q: question {number}\nA:", "arg_1": {"until": ["\n"]}}
        },
        "resps": [[f" said {number}"]],
        "filtered_resps": [f" said {number}"],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": "d0",
        "prompt_hash": "p0",
        "target_hash": "t0",
        "exact_match": 0.0,
    }


def pair(number: int) -> Row:
    return {"input_text": f"question {number}", "output_text": f"answer {number}"}


def vertex_row(number: int, **more: object) -> Row:
    """As a batch prediction job of a Gemini model leaves it in its bucket."""
    return {
        "status": "",
        "processed_time": "2026-11-01T10:00:00.000+00:00",
        "request": {
            "contents": [{"role": "user", "parts": [{"text": f"question {number}"}]}],
            "generationConfig": {"temperature": 0},
        },
        "response": {
            "candidates": [
                {
                    "content": {"role": "model", "parts": [{"text": f"said {number}\n"}]},
                    "finishReason": "MAX_TOKENS" if number == 3 else "STOP",
                }
            ],
            "usageMetadata": {"candidatesTokenCount": 5 + number},
        },
        **more,
    }


@pytest.mark.parametrize(
    "rows",
    [
        [lm_eval_row(i, id=f"row-{i}", question="?") for i in (2, 0, 3, 1)],
        [lm_eval_row(i, **pair(i)) for i in (2, 0, 3, 1)],
        [{**lm_eval_row(i, **pair(i)), "filtered_resps": [[f"said {i}"]]} for i in range(4)],
    ],
    ids=["id in the document", "input in the document", "a filter that keeps lists"],
)
def test_samples_of_lm_eval_are_aligned_by_id_or_input(
    write_rows: WriteRows, rows: list[Row]
) -> None:
    found = read_predictions(write_rows("samples_task_2026.jsonl", rows), EXAMPLES)

    assert [answer.text for answer in found] == [f"said {i}" for i in range(4)]
    assert [answer.id for answer in found] == [f"row-{i}" for i in range(4)]


def test_samples_without_id_are_aligned_by_their_prompt(write_rows: WriteRows) -> None:
    rows = [lm_eval_row(i, question="?") for i in range(4)]
    for i, row in enumerate(rows):
        row["arguments"]["gen_args_0"]["arg_0"] = f"question {i}"

    found = read_predictions(write_rows("samples.jsonl", rows), EXAMPLES)

    assert [answer.text for answer in found] == [f"said {i}" for i in range(4)]


@pytest.mark.parametrize(
    "more", [{}, {"id": "row-{}"}, {"key": "row-{}"}, {"key": "request-{}"}], ids=str
)
def test_batch_predictions_of_vertex_are_aligned_by_key_or_input(
    write_rows: WriteRows, more: dict[str, str]
) -> None:
    rows = [
        vertex_row(i, **{key: name.format(i) for key, name in more.items()}) for i in (3, 1, 0, 2)
    ]

    found = read_predictions(write_rows("prediction.jsonl", rows), EXAMPLES)

    assert [answer.text for answer in found] == [f"said {i}" for i in range(4)]
    assert [answer.finish_reason for answer in found] == ["stop"] * 3 + ["length"]
    assert [answer.n_tokens for answer in found] == [5, 6, 7, 8]


def test_a_system_instruction_and_a_missing_role_belong_to_the_input(
    write_rows: WriteRows,
) -> None:
    asked = (Message("system", "be brief"), Message("user", "why?"), Message("assistant", "so"))
    row = vertex_row(0)
    row["request"] = {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [{"parts": [{"text": "why?"}]}],
    }

    [found] = read_predictions(write_rows("p.jsonl", [row]), [Example(asked, id="a")])

    assert found.text == "said 0"


def test_thoughts_are_no_answer_and_a_withheld_answer_is_an_empty_one(
    write_rows: WriteRows,
) -> None:
    rows = [vertex_row(i) for i in range(4)]
    parts = rows[0]["response"]["candidates"][0]["content"]["parts"]
    parts.insert(0, {"text": "let me think", "thought": True})
    rows[1]["response"] = {"promptFeedback": {"blockReason": "SAFETY"}}
    rows[2]["response"]["candidates"][0] = {"finishReason": "RECITATION"}

    found = read_predictions(write_rows("p.jsonl", rows), EXAMPLES)

    assert [answer.text for answer in found] == ["said 0", "", "", "said 3"]
    assert [answer.finish_reason for answer in found][1:3] == ["safety", "recitation"]


def test_rows_that_ask_the_same_get_as_many_answers(write_rows: WriteRows) -> None:
    same = [Example(EXAMPLES[0].messages, id=name) for name in ("a", "b")]
    rows = [vertex_row(0), vertex_row(0)]

    assert len(read_predictions(write_rows("two.jsonl", rows), same)) == 2
    with pytest.raises(DataError, match="no prediction for 'b'"):
        read_predictions(write_rows("one.jsonl", rows[:1]), same)
    with pytest.raises(DataError, match=r"three\.jsonl:3: more than one prediction for 'b'"):
        read_predictions(write_rows("three.jsonl", [*rows, vertex_row(0)]), same)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (lm_eval_row(3, id="row-2"), r":4: more than one prediction for 'row-2'"),
        (lm_eval_row(3, id="row-9"), r":4: not in the test data: 'row-9'"),
        (lm_eval_row(3, id="row-3", **pair(1)), r":4: the input differs .*swapped.* 'row-3'"),
        (vertex_row(3), r":4: a row of batch predictions of Vertex AI in a file of samples of lm"),
        ({"id": "row-3", "prediction": "x"}, r":4: a row of predictions in a file of samples"),
        (
            {**lm_eval_row(3, id="row-3"), "filtered_resps": [["-1.5", "True"], ["-2", "False"]]},
            r":4: not one generated text in 'filtered_resps'",
        ),
        ({"answer": "x"}, r":4: no answer that gemtune knows how to read; found the keys 'answer'"),
    ],
    ids=["twice", "missing", "swapped", "mixed", "mixed with own", "choices", "unknown"],
)
def test_what_does_not_fit_is_refused_with_file_and_line(
    write_rows: WriteRows, row: Row, message: str
) -> None:
    rows = [lm_eval_row(i, id=f"row-{i}") for i in range(3)]

    with pytest.raises(DataError, match=message) as caught:
        read_predictions(write_rows("samples.jsonl", [*rows, row]), EXAMPLES)

    assert caught.value.fix


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"status": "Bad Request: too long"}, ":4: this request has no answer: Bad Request"),
        ({"response": None}, ":4: this request has no answer"),
        ({"response": {}}, ":4: the response has no candidates"),
    ],
)
def test_a_request_that_failed_is_no_answer(write_rows: WriteRows, more: Row, message: str) -> None:
    rows = [vertex_row(0), vertex_row(1), vertex_row(2), vertex_row(3) | more]

    with pytest.raises(DataError, match=message):
        read_predictions(write_rows("p.jsonl", rows), EXAMPLES)


@pytest.mark.parametrize(
    ("figures", "key"),
    [
        ({"n_tokens": "five"}, "n_tokens"),
        ({"reference_loss": 1.5}, "reference_loss"),
        ({"reference_loss": "low", "n_reference_tokens": 3}, "reference_loss"),
        ({"reference_loss": -1.0, "n_reference_tokens": 3}, "reference_loss"),
        ({"reference_loss": 10**400, "n_reference_tokens": 3}, "reference_loss"),
        ({"n_reference_tokens": -3}, "n_reference_tokens"),
        ({"n_reference_tokens": 10**400}, "n_reference_tokens"),
    ],
)
def test_figures_that_are_none_name_file_line_and_key(
    write_rows: WriteRows, figures: Row, key: str
) -> None:
    path = write_rows("p.jsonl", [{"id": "row-0", "prediction": "x", **figures}])

    with pytest.raises(DataError, match=rf"p\.jsonl:1: '{key}' has to be a"):
        read_predictions(path, EXAMPLES)


def test_ids_that_test_data_gets_from_its_line_numbers_name_predictions_too(
    write_rows: WriteRows,
) -> None:
    examples = load_test_set(write_rows("test.jsonl", [pair(i) for i in range(4)]))
    rows = [{"id": f"test-{i + 1}", "prediction": f"said {i}"} for i in range(4)]

    found = read_predictions(write_rows("p.jsonl", rows), examples)

    assert [answer.text for answer in found] == [f"said {i}" for i in range(4)]
