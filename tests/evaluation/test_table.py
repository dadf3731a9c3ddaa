"""The text for the terminal: the verdict first, and nothing that misleads."""

import json
from pathlib import Path

import pytest
from scored_sides import CONFIG, SETTINGS, compare, make_examples, make_side, scorer_for

from gemtune.evaluation.comparing.difference import compare_sides
from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.rouge import rouge_family
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.scoring.word_counts import distinct_family, length_ratio_family
from gemtune.evaluation.side import Side, score_rows
from gemtune.evaluation.table import comparison_table

ROWS = make_examples(200)


def test_the_verdict_comes_first_and_the_table_shows_every_metric() -> None:
    lines = comparison_table(compare(ROWS, range(20), range(120))).splitlines()

    assert lines[0] == "Improved: the tuned model is better than the base."
    assert lines[1].startswith("  rougeL 0.100 -> 0.600 (+0.500), 95 % interval +0.43")
    assert lines[1].endswith("p 0.0020, 200 rows")
    assert " ".join(lines[3].split()) == "metric base tuned difference 95 % interval p +/=/-"
    primary = next(line for line in lines[4:] if line.startswith("rougeL*")).split()
    assert primary[1:4] == ["0.100", "0.600", "+0.500"]
    assert primary[-2:] == ["0.0020", "100/100/0"]
    assert any(line.startswith("exact_match ") and "<0.0001" in line for line in lines)
    assert max(map(len, lines[:10])) <= 95


@pytest.mark.parametrize(
    ("base", "tuned", "words"),
    [
        (range(120), range(20), "Regressed: the tuned model is worse than the base."),
        (range(60), range(60), "No evidence that the tuned model is better or worse than the base"),
    ],
)
def test_the_table_never_calls_improved_what_is_not(base: range, tuned: range, words: str) -> None:
    table = comparison_table(compare(ROWS, base, tuned))

    assert table.startswith(words)
    assert "Improved" not in table
    assert table.endswith("Gate not met (evaluation.gate: improved).")


def test_it_says_which_differences_the_test_set_can_see() -> None:
    found = compare(ROWS, range(60), range(80))
    equal = comparison_table(compare(ROWS, range(60), range(60)))

    assert (
        f"This test set can see differences of {found.primary.smallest_visible:.3f} rougeL or more "
        "(80 % power)."
    ) in comparison_table(found)
    assert "can see" not in equal


def test_a_margin_is_shown_where_it_counts() -> None:
    config = CONFIG.model_copy(update={"margin": 0.1, "gate": "not_worse"})

    table = comparison_table(compare(ROWS, range(60), range(57), config=config))

    assert table.startswith("Not worse: the tuned model loses no more than the margin.")
    assert "margin 0.1, 200 rows" in table
    assert table.endswith("Gate met (evaluation.gate: not_worse, margin 0.1).")


def test_several_primary_metrics_show_their_corrected_probability() -> None:
    found = compare(ROWS, range(20), range(120), primary=["bleu", "loss"])

    lines = comparison_table(found).splitlines()

    assert lines[1].startswith("  bleu ")
    assert lines[2].startswith("  loss ")
    assert all("p 0.0040 (corrected)" in line for line in lines[1:3])
    assert "Lower is better: loss, perplexity." in lines


def test_a_figure_that_only_describes_has_no_better_and_worse_rows() -> None:
    scorer = Scorer("text", (rouge_family(), length_ratio_family(), distinct_family()), ("rougeL",))
    silent, wordy = (make_side(ROWS, right, scorer=scorer) for right in (range(0), range(200)))

    found = compare_sides(silent, wordy, ROWS, scorer, CONFIG)

    lines = comparison_table(found).splitlines()
    ratio, distinct = found.metrics[3:]
    assert (ratio.difference > 0, ratio.is_neutral, found.primary.is_neutral) == (True, True, False)
    assert ratio.rows == Outcomes(win=None, tie=0, loss=None)
    assert distinct.rows == Outcomes(win=None, tie=200, loss=None)
    for name in ("length_ratio", "distinct_2"):
        assert next(line for line in lines if line.startswith(f"{name} ")).split()[-1] == "-"
    assert "Neither higher nor lower is better: length_ratio, distinct_2." in lines


def test_seeds_and_contamination_have_their_lines(tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    shared = [{"input_text": f"q {i}", "output_text": f"the right answer {i}"} for i in range(30)]
    train.write_text("\n".join(map(json.dumps, shared)), encoding="utf-8")

    found = compare(ROWS, range(20), range(120), range(110), train_data=train)
    table = comparison_table(found)

    assert "2 training runs: rougeL 0.600, 0.550 (standard deviation 0.035)." in table
    assert "Test rows in the training data: 30 of 200 (30 same input, 30 same input and" in table
    assert "  Without them: rougeL " in table


def test_it_says_how_many_answers_were_cut_or_are_empty() -> None:
    scorer = scorer_for("rougeL")
    spoilt = [
        Prediction(row.id, "no idea" if i % 2 else "", 16, "length", 0)
        for i, row in enumerate(ROWS)
    ]
    base = Side("base", spoilt, score_rows(scorer, ROWS, spoilt), SETTINGS)

    table = comparison_table(compare_sides(base, make_side(ROWS, range(90)), ROWS, scorer, CONFIG))

    assert "Note: 200 of 200 answers of the base model were cut at the longest length." in table
    assert "Note: 100 of 200 answers of the base model are empty." in table


def test_a_figure_that_is_no_number_is_shown_as_such() -> None:
    scorer = scorer_for("rougeL", "loss")
    base, tuned = (
        make_side(ROWS, right, scorer=scorer, loss=float("inf")) for right in (range(20), range(90))
    )

    table = comparison_table(compare_sides(base, tuned, ROWS, scorer, CONFIG))

    assert "n/a to n/a" in table
    assert "nan" not in table
