"""JSON answers: validity, fields, equality."""

import json

import pytest

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.json_answer import json_family, json_fields


def score(prediction: str, *references: str) -> list[float]:
    family = json_family()
    return family.rows(family.statistics([Prediction("1", prediction)], [references]))[0].tolist()


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ('{"a": 1, "b": "x"}', '{"b":"x","a":1.0}', [1, 1, 1]),
        ('{"a": 1, "b": "y"}', '{"a": 1, "b": "x"}', [1, 0.5, 0]),
        ('{"a": 1}', '{"a": 1, "b": "x"}', [1, 2 / 3, 0]),
        ('{"a": true}', '{"a": 1}', [1, 0, 0]),
        ('{"a": "1"}', '{"a": 1}', [1, 0, 0]),
        ('{"l": ["y", "x"]}', '{"l": ["x", "y"]}', [1, 1, 0]),
        ('{"l": ["x", "x"]}', '{"l": ["x"]}', [1, 2 / 3, 0]),
        ('[{"a": 1}, {"a": 2}]', '[{"a": 2}, {"a": 1}]', [1, 0, 0]),
        ('{"slots": {}}', '{"slots": {}}', [1, 1, 1]),
        ("{}", '{"slots": {}}', [1, 0, 0]),
        ('```json\n{"a": 1}\n```', '{"a": 1}', [0, 0, 0]),
        ('{"a": 1', '{"a": 1}', [0, 0, 0]),
        ('{"a": NaN}', '{"a": 1}', [0, 0, 0]),
        ('{"a": 2, "a": 1}', '{"a": 1}', [0, 0, 0]),
        ('{"b": {"a": 1, "a": 1}}', '{"b": {"a": 1}}', [0, 0, 0]),
        ("", '{"a": 1}', [0, 0, 0]),
    ],
)
def test_each_row_is_judged_by_its_fields(
    prediction: str, reference: str, expected: list[float]
) -> None:
    assert score(prediction, reference) == pytest.approx(expected)


def test_the_reference_with_the_best_f1_counts() -> None:
    assert score('{"a": 1}', '{"b": 1}', '{"a": 1, "c": 2}')[1] == pytest.approx(2 / 3)


def test_corpus_f1_pools_the_fields_of_all_rows() -> None:
    family = json_family()
    predictions = [Prediction("1", '{"a": 1}'), Prediction("2", "none")]
    references = [['{"a": 1}'], ['{"a": 1, "b": 2, "c": 3}']]

    totals = family.statistics(predictions, references).sum(axis=0)

    # One field right of one answered and four wanted.
    assert family.corpus(totals) == pytest.approx([0.5, 2 / 5, 0.5])


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 5_000, "9" * 5_000])
def test_hostile_text_is_no_json_and_no_crash(text: str) -> None:
    assert json_fields(text) is None


def test_deep_json_is_read_without_recursion() -> None:
    depth = 200
    text = "[" * depth + "1" + "]" * depth

    assert json_fields(text) == [((0,) * depth, "1")]


def test_numbers_keep_their_value() -> None:
    fields = dict(json_fields(json.dumps({"big": 10**30, "half": 0.5, "huge": 1e300})) or [])

    assert fields == {("big",): str(10**30), ("half",): "0.5", ("huge",): str(int(1e300))}
