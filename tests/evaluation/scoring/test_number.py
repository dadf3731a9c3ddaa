"""The last number of an answer, and the published accuracies of GSM8K."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from gemtune.evaluation.scoring.number import last_number, number_match

SOLUTIONS = (
    Path(__file__).parents[4] / "shared" / "datasets" / "gsm8k" / "example_model_solutions.jsonl"
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,000", "1000"),
        ("$5.00", "5"),
        ("16 - 3 = <<16-3=13>>13 eggs\n#### 18", "18"),
        ("It costs $1,234,567.50.", "1234567.5"),
        ("50%", "50"),
        ("-5", "-5"),
        ("minus: -$5", "-5"),
        ("x=-.5", "-0.5"),
        ("between 5-10", "10"),
        ("in (2)-1", "1"),
        ("the 3rd", "3"),
        ("10,20", "20"),
        ("1,0000", "0"),
        ("v2.", "2"),
        ("\u0663", "3"),
    ],
)
def test_the_last_number_is_found_and_read(text: str, number: str) -> None:
    assert last_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "####", "twelve"])
def test_a_text_without_a_number_has_none(text: str) -> None:
    assert last_number(text) is None


@pytest.mark.parametrize(
    ("prediction", "references", "matches"),
    [
        ("A: 1,000", ["#### 1000"], 1.0),
        ("so 5", ["$5.00"], 1.0),
        ("5 of 6", ["5"], 0.0),
        ("no idea", ["no number"], 0.0),
        ("7", ["6", "7.0"], 1.0),
    ],
)
def test_equal_last_numbers_match(prediction: str, references: list[str], matches: float) -> None:
    assert number_match(prediction, references) == matches


@pytest.mark.skipif(not SOLUTIONS.exists(), reason="needs ../shared/datasets/gsm8k")
@pytest.mark.parametrize(
    ("system", "percent"),
    [
        ("6b_finetuning", 21.6831),
        ("6b_verification", 39.0447),
        ("175b_finetuning", 34.7233),
        ("175b_verification", 56.2547),
    ],
)
def test_released_solutions_of_gsm8k_get_their_published_verdicts(
    system: str, percent: float
) -> None:
    rows = [json.loads(line) for line in SOLUTIONS.read_text("utf-8").splitlines()]

    found = [number_match(row[system]["solution"], [row["ground_truth"]]) for row in rows]

    assert found == [float(row[system]["is_correct"]) for row in rows]
    assert 100 * sum(found) / len(found) == pytest.approx(percent, abs=1e-4)
