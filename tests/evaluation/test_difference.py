"""From two scored sides to figures, intervals and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example, Message
from gemtune.evaluation.difference import Comparison, compare_sides
from gemtune.evaluation.predictions import Prediction
from gemtune.evaluation.side import Side, score_rows
from gemtune.evaluation.statistics import Outcomes
from gemtune.evaluation.table import comparison_table

SETTINGS = {"dtype": "fp32", "batch_tokens": 4096, "max_new_tokens": 16, "data": {}}
CONFIG = EvaluationConfig(bootstrap_samples=500)


def examples(n_rows: int, **extra: Sequence[str]) -> list[Example]:
    return [
        Example(
            (Message("user", f"q {i}"), Message("assistant", f"the right answer {i}")),
            id=str(i),
            extra={key: value[i] for key, value in extra.items()},
        )
        for i in range(n_rows)
    ]


def side(rows: list[Example], n_right: int, decode: Mapping[str, object] | None = SETTINGS) -> Side:
    """A model that knows the first answers and is silent or wrong on the rest."""
    texts = [row.completion if i < n_right else "no idea" for i, row in enumerate(rows)]
    predictions = [Prediction(row.id, text) for row, text in zip(rows, texts, strict=True)]
    return Side(f"knows {n_right}", predictions, score_rows(rows, predictions), decode)


def compare(
    n_rows: int, n_base: int, n_tuned: int, config: EvaluationConfig = CONFIG
) -> Comparison:
    rows = examples(n_rows)
    return compare_sides(side(rows, n_base), side(rows, n_tuned), rows, config)


@pytest.mark.parametrize(
    ("n_base", "n_tuned", "verdict"),
    [(20, 120, "improved"), (120, 20, "regressed"), (60, 61, "no evidence")],
)
@pytest.mark.parametrize("metric", ["rougeL", "bleu", "exact_match"])
def test_the_verdict_follows_the_interval_of_the_primary_metric(
    n_base: int, n_tuned: int, verdict: str, metric: str
) -> None:
    config = CONFIG.model_copy(update={"primary_metric": metric})

    found = compare(200, n_base, n_tuned, config)

    assert found.verdict == verdict
    assert found.primary.metric == metric
    assert found.primary.low <= found.primary.difference <= found.primary.high


def test_equal_sides_differ_by_nothing() -> None:
    found = compare(100, 50, 50)

    assert found.verdict == "no evidence"
    assert {(m.difference, m.low, m.high) for m in found.metrics} == {(0.0, 0.0, 0.0)}
    assert {m.rows for m in found.metrics} == {Outcomes(0, 100, 0)}


def test_wins_ties_and_losses_are_counted_by_row() -> None:
    found = compare(100, 50, 70)

    assert found.primary.rows == Outcomes(win=20, tie=80, loss=0)
    assert found.primary.difference == pytest.approx(0.2)


def test_five_rows_give_no_verdict_however_clear_they_look() -> None:
    found = compare(5, 0, 5)

    assert found.primary.low > 0
    assert found.verdict == "no evidence"
    assert "too few" in found.notes[0]


def test_rows_of_one_source_are_one_piece_of_evidence() -> None:
    rows = examples(100, group=["one source"] * 60 + [f"source {i}" for i in range(40)])

    found = compare_sides(side(rows, 0), side(rows, 60), rows, CONFIG)

    assert found.n_groups == 41
    assert found.verdict == "no evidence"
    assert compare(100, 0, 60).verdict == "improved"


def test_sides_that_were_decoded_differently_are_noted() -> None:
    rows = examples(100)
    half = side(rows, 50, {**SETTINGS, "dtype": "bf16"})

    found = compare_sides(side(rows, 50), half, rows, CONFIG)

    assert found.notes[-1] == "dtype differs: 'fp32' (base), 'bf16' (tuned)"


def test_another_template_is_noted_but_not_another_length_in_training() -> None:
    rows = examples(100)
    base = {**SETTINGS, "data": {"template": "chat", "separator": "\n", "max_length": 64}}
    tuned = {**SETTINGS, "data": {"template": "plain", "separator": "\n", "max_length": 128}}

    found = compare_sides(side(rows, 50, base), side(rows, 50, tuned), rows, CONFIG)

    assert [note for note in found.notes if "differs" in note] == [
        "template differs: 'chat' (base), 'plain' (tuned)"
    ]


@pytest.mark.parametrize(("metric", "n_notes"), [("rougeL", 1), ("bleu", 0)])
def test_references_that_rouge_cannot_read_are_noted(metric: str, n_notes: int) -> None:
    latin, greek = examples(100), Message("assistant", "\u03c7\u03b1\u03af\u03c1\u03b5")
    rows = [replace(latin[0], messages=(latin[0].messages[0], greek)), *latin[1:]]
    config = CONFIG.model_copy(update={"primary_metric": metric})

    found = compare_sides(side(rows, 50), side(rows, 50), rows, config)

    notes = [note for note in found.notes if note.startswith("ROUGE reads a-z and 0-9 only")]
    assert len(notes) == n_notes
    assert all("1 of 100 references" in note for note in notes)


def test_unknown_decode_settings_are_noted() -> None:
    rows = examples(100)

    found = compare_sides(side(rows, 50), side(rows, 50, None), rows, CONFIG)

    assert "not known" in found.notes[-1]


def test_the_table_shows_both_sides_the_interval_and_the_verdict_in_words() -> None:
    table = comparison_table(compare(200, 20, 120))

    header, *lines = table.splitlines()
    columns = "metric base tuned difference 95 % interval better/same/worse"
    assert header.split() == columns.split()
    primary = next(line for line in lines if line.startswith("rougeL*")).split()
    assert primary[:4] == ["rougeL*", "0.100", "0.600", "+0.500"]
    assert primary[-1] == "100/100/0"
    assert "Improved: the tuned model is better than the base by rougeL*: +0.500" in table
    assert "on 200 rows" in table
    assert max(map(len, [header, *lines[:5]])) <= 90


@pytest.mark.parametrize(
    ("n_base", "n_tuned", "words"), [(120, 20, "Regressed:"), (60, 60, "No evidence that")]
)
def test_the_table_never_calls_improved_what_is_not(n_base: int, n_tuned: int, words: str) -> None:
    table = comparison_table(compare(200, n_base, n_tuned))

    assert words in table
    assert "Improved" not in table


def test_the_table_says_how_many_answers_were_cut() -> None:
    rows = examples(100)
    cut = [Prediction(row.id, "no idea", 16, "length", 0) for row in rows]
    base = Side("base", cut, score_rows(rows, cut), SETTINGS)

    table = comparison_table(compare_sides(base, side(rows, 90), rows, CONFIG))

    assert "Note: 100 of 100 answers of the base model were cut at the longest length." in table
