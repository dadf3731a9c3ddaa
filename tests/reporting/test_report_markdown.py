"""The twin for pull requests says what the page says first."""

from pathlib import Path

from reporting.made_comparisons import (
    made_comparison,
    made_judge,
    made_rows,
    write_comparison,
    write_run,
)

from gemtune.reporting.write import write_report, write_training_report

ROWS = made_rows(30)


def test_the_twin_tells_the_decision_its_figures_and_its_caveats(tmp_path: Path) -> None:
    write_report(write_comparison(tmp_path, ROWS))
    lines = (tmp_path / "report.md").read_text("utf-8").splitlines()

    assert lines[0] == "## \u2705 The tuned model is better than its base."
    assert lines[2] == "`data/model` against its base `smollm2-135m`"
    assert "| `rougeL` \u2605 | 0.300 | 0.800 | +0.500 | +0.440 to +0.560 |" in "\n".join(lines)
    assert "**Gate passed.** It asks for an improvement." in "\n".join(lines)
    assert "- the interval is approximate: only 80 independent rows" in lines
    assert any(line.startswith("30 of 30 test rows are wholly") for line in lines)


def test_the_opinion_of_a_judge_is_told_with_its_name(tmp_path: Path) -> None:
    found = made_comparison(ROWS, judge=made_judge(ROWS))
    write_report(write_comparison(tmp_path, ROWS, found))
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "A judge (`gemini-9 (It names the card.)`), no part of the verdict: The tuned" in text


def test_slices_and_rows_are_folded_away(tmp_path: Path) -> None:
    write_report(write_comparison(tmp_path, ROWS))
    text = (tmp_path / "report.md").read_text("utf-8")
    visible, _, folded = text.partition("<details>")

    assert "card_arrival" not in visible
    assert "| label `card_arrival` | 40 |" in folded
    assert "seldom" not in text, "a slice that is too small says nothing"
    assert f"| `{made_comparison(ROWS).wins[0]}` |" in folded


def test_a_training_alone_names_the_command_that_proves_it(tmp_path: Path) -> None:
    write_training_report(write_run(tmp_path))
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "Nothing is proven yet" in text
    assert f"`gemtune compare smollm2-135m {tmp_path} TEST.jsonl`" in text
