"""What stands on the page, and in which order."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from reporting.made_comparisons import (
    MadeRow,
    made_comparison,
    made_judge,
    made_metric,
    made_rows,
    made_slice,
    write_comparison,
    write_run,
)

from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.findings import Comparison, LengthFinding
from gemtune.reporting.write import write_report

ROWS = made_rows(30)


def page_of(folder: Path, found: Comparison | None = None, **extra: object) -> str:
    return write_report(write_comparison(folder, ROWS, found, **extra)).read_text("utf-8")


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.partition("<main")[2]).split())


def test_the_decision_comes_first_with_interval_gate_and_sight(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    before_the_figures = text_of(page).partition("All metrics")[0]

    assert "The tuned model is better than its base." in before_the_figures
    assert "rougeL (words in common with the reference, in its order" in before_the_figures
    assert "went from 0.300 to 0.800: +0.500" in before_the_figures
    assert "95 % confidence between +0.440 and +0.560" in before_the_figures
    assert "Gate passed. It asks for an improvement." in before_the_figures
    assert "shows a difference of 0.081 or more in rougeL" in before_the_figures
    assert "the interval is approximate: only 80 independent rows" in before_the_figures


def test_spoilt_answers_are_named_beside_the_verdict(tmp_path: Path) -> None:
    found = made_comparison(ROWS, base_metrics={"n_truncated": 12, "n_empty": 0}, notes=())
    before_the_figures = text_of(page_of(tmp_path, found)).partition("All metrics")[0]

    assert "12 of 30 answers of the base model were cut at the longest length" in before_the_figures
    assert "answers of the base model are empty" not in before_the_figures


def test_a_metric_without_a_better_direction_has_no_better_rows(tmp_path: Path) -> None:
    first, *_ = made_comparison(ROWS).metrics
    neutral = made_metric("length_ratio", is_neutral=True, rows=Outcomes(None, 40, None))
    page = page_of(tmp_path, made_comparison(ROWS, metrics=(first, neutral)))
    row = text_of(page).partition(" neutral ")[2]

    assert "\u2013 0.081" in row[:150]
    assert "None" not in text_of(page).partition("All rows")[0]
    assert "None" not in (tmp_path / "report.md").read_text("utf-8")


def test_the_opinion_of_a_judge_is_shown_as_no_part_of_the_verdict(tmp_path: Path) -> None:
    found = made_comparison(ROWS, judge=made_judge(ROWS))
    text = text_of(page_of(tmp_path, found))
    opinion = text.partition("A second opinion on 30 rows")[2].replace("\u00a0", " ")

    assert "It is no part of the verdict." in opinion
    assert "The tuned model won 14, tied 3 and lost 7 rows." in opinion
    assert "won 67 %, with 95 % confidence between 45 % and 83 % (p 0.1900)." in opinion
    assert "changed its mind on 8 % when the answers swapped places: 2 times for" in opinion
    assert "Rows without a judgement: 1 (1 x It names the card.)." in opinion
    first_row = opinion.partition("why, tuned shown first")[2].strip()
    assert first_row.startswith(f"{ROWS[1].id} base {ROWS[1].input} {ROWS[1].base}")


def test_a_comparison_without_a_judge_does_not_speak_of_one(tmp_path: Path) -> None:
    assert "judge" not in text_of(page_of(tmp_path))


def test_the_metric_that_decides_comes_first(tmp_path: Path) -> None:
    first, *others = made_comparison(ROWS).metrics
    page = page_of(tmp_path, made_comparison(ROWS, metrics=(*others, first)))
    heads = re.findall('<th scope="row">([a-zA-Z]+)', page.partition('id="metrics"')[2])
    assert heads[0] == "rougeL"


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("improved", "The tuned model is better than its base."),
        ("regressed", "The tuned model is worse than its base."),
        ("not worse", "not worse than its base by more than the margin, 0.020."),
        ("no evidence", "This test does not show that the tuned model is better or worse"),
    ],
)
def test_every_verdict_is_a_sentence(tmp_path: Path, verdict: str, sentence: str) -> None:
    found = made_comparison(ROWS, verdict=verdict, is_gate_met=False, gate="not_worse")
    text = text_of(page_of(tmp_path, found))

    assert sentence in text
    assert "Gate not passed. It asks for a model that is not worse by more than 0.020." in text


def test_sections_stand_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path)
    page = page_of(tmp_path / "comparison")
    sections = re.findall('<section id="([^"]+)"', page)

    assert sections == [
        "metrics", "losses", "spread", "slices", "length", "contamination", "seeds", "confusions",
        "regressions", "wins", "worst", "rows", "sample", "effort", "manifest",
    ]  # fmt: skip
    assert re.findall('<li><a href="#([^"]+)"', page) == sections


def test_the_policy_names_the_style_and_the_script_of_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    policy = re.findall('http-equiv="Content-Security-Policy" content="([^"]+)"', page)[0]

    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} &#39;sha256-{digest}&#39;" in policy or (
            f"{directive} 'sha256-{digest}'" in policy
        )
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_page_names_nothing_outside_itself(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert set(re.findall(r"""(?:href|src|action)=["']?([^"'\s>]*)""", page)) <= {
        "#content", *(f"#{name}" for name in re.findall('<section id="([^"]+)"', page)),
    }  # fmt: skip
    assert "url(" not in page
    assert "@import" not in page
    assert "://" not in page.replace("http://www.w3.org", "")
    assert str(tmp_path) not in page


def test_small_slices_are_folded_away_and_say_so(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    large, small = page.split("Parts with too few rows to tell")

    assert "card_<wbr>arrival" in large.partition('id="slices"')[2]
    assert '<tr class="small"><th scope="row" dir="auto">seldom</th><td>4</td>' in small
    assert "too few rows</td>" in small


def test_without_slices_there_is_no_section_of_them(tmp_path: Path) -> None:
    page = page_of(tmp_path, made_comparison(ROWS, slices=()))
    assert "#slices" not in page
    assert 'id="slices"' not in page


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.4, 0.55, "length does not explain it."), (-0.1, 0.2, "length may explain it.")],
)
def test_length_is_said_to_explain_the_difference_or_not(
    tmp_path: Path, low: float, high: float, words: str
) -> None:
    length = LengthFinding(8.4, 1.2, 1.0, (low + high) / 2, low, high)
    assert words in text_of(page_of(tmp_path, made_comparison(ROWS, length=length)))


def test_what_is_not_known_is_said_and_not_invented(tmp_path: Path) -> None:
    length = LengthFinding(1.0, 1.0, 1.0, None, None, None)
    found = made_comparison(
        ROWS,
        contamination=None,
        seeds=None,
        length=length,
        notes=(),
        base_metrics={"n_truncated": 0},
        tuned_metrics={},
    )
    text = text_of(page_of(tmp_path, found, trained_sample=None))

    assert "The training data is not known" in text
    assert "One training run was measured." in text
    assert "length cannot be told apart" in text
    assert "record of the training is not at hand" in text
    assert "answers of the tuned model not known" in text
    assert "Before you trust the figures" not in text
    assert "What was masked" not in text


def test_a_local_run_is_said_to_cost_no_cloud_money(tmp_path: Path) -> None:
    write_run(tmp_path)
    text = text_of(page_of(tmp_path / "comparison"))
    assert "no cloud was paid" in text
    assert "Training, 60 steps 4 min 14 s 45,947 181 tokens/s" in text
    assert "30 answers of the base model 37 s 210 6 tokens/s" in text


def test_confusions_are_for_labels_only(tmp_path: Path) -> None:
    assert "Labels taken for others" in page_of(tmp_path)
    assert "Labels taken for others" not in page_of(tmp_path, made_comparison(ROWS, task="text"))


def test_the_commonest_confusion_comes_first(tmp_path: Path) -> None:
    pairs = [("a", "b")] * 3 + [("b", "a")] * 5 + [("a", "A ")] * 9
    rows = [MadeRow(str(i), "", w, "a", got, 0.0, 0.0) for i, (w, got) in enumerate(pairs)]
    page = write_report(write_comparison(tmp_path, rows)).read_text("utf-8")
    table = text_of(page).partition("tuned base ")[2].partition("Biggest")[0]

    assert table.startswith("b a 5 5 a b 3 0")


def test_answers_that_were_cut_are_marked(tmp_path: Path) -> None:
    row = MadeRow("a", "question", "short", "x " * 40, "short", 0.0, 1.0)
    found = made_comparison([row], wins=("a",), regressions=())
    page = write_report(write_comparison(tmp_path, [row], found)).read_text("utf-8")
    marks = page.count('<p class="remark">cut at the longest length</p>')
    assert marks == 2, "as a win and as a worst row"


def test_for_a_metric_where_less_is_better_gains_are_turned_round(tmp_path: Path) -> None:
    rows = [MadeRow("a", "", "x", "y", "z", 0.9, 0.1), MadeRow("b", "", "x", "y", "z", 0.1, 0.2)]
    found = made_comparison(rows, metrics=(made_metric(higher_is_better=False),))
    page = write_report(write_comparison(tmp_path, rows, found)).read_text("utf-8")
    gains = re.findall(r'data-label="change" class="(\w+)">([^<]+)<', page)

    assert gains == [("worse", "\u22120.100"), ("better", "+0.800")]
    assert "; less is better) went from" in page


def test_with_several_primary_metrics_all_are_told_with_corrected_p(tmp_path: Path) -> None:
    second = made_metric("bleu", is_primary=True, p_holm=0.0412)
    found = made_comparison(
        ROWS, primary_metrics=("rougeL", "bleu"), metrics=(made_metric(), second)
    )
    text = text_of(page_of(tmp_path, found))

    assert "in its order, 0 to 1) went from 0.300" in text
    assert "with the reference, 0 to 100) went from 0.300" in text
    assert "p, Holm" in text
    assert "0.0412" in text


def test_rows_without_scores_of_their_own_are_said_to_have_none(tmp_path: Path) -> None:
    found = made_comparison(
        ROWS, primary_metrics=("nist",), metrics=(made_metric("nist", is_primary=True),)
    )
    text = text_of(page_of(tmp_path, found))
    assert "Single rows have no nist of their own" in text


def test_a_slice_keeps_its_place_in_its_group(tmp_path: Path) -> None:
    slices = (made_slice("x", by="a"), made_slice("y", by="b"), made_slice("z", by="b"))
    page = page_of(tmp_path, made_comparison(ROWS, slices=slices))
    assert re.findall('scope="rowgroup" dir="auto">([^<]+)<', page) == ["a", "b"]
