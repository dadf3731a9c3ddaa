"""What the report of a study says, and what it is made of."""

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from reporting.made_studies import made_proof, made_study, made_trial, made_trials, write_study

from gemtune.errors import ArtefactError
from gemtune.reporting.study_write import write_study_report
from gemtune.reporting.write import write_report_of

NOTHING_COMPARED = {
    "comparison_dir": None, "verdict": None, "metric": None, "default_score": None,
    "winner_score": None, "difference": None, "low": None, "high": None, "confidence": None,
    "n_rows": None, "selection_bias": None,
}  # fmt: skip
FAILED = [made_trial(number, [None], "ended") for number in range(4)]


def page_of(folder: Path, trials: list[Any] | None = None, **changes: Any) -> str:
    study = made_study(made_trials(27) if trials is None else trials, **changes)
    return write_study_report(write_study(folder, study)).read_text("utf-8")


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.partition("<main")[2]).split())


def test_the_decision_comes_first_with_gain_settings_and_cost(tmp_path: Path) -> None:
    first = text_of(page_of(tmp_path)).partition("What is kept")[0]
    assert "Trial 13 is better than the default, and the gain is proven." in first
    assert "0.700 with the default, 0.782 with the winner, +0.082" in first
    assert "95 % interval +0.021 to +0.143" in first
    assert "learning_rate 0.00545 instead of 0.0013" in first
    assert "1 h 30 min (2 h 30 min summed over 2 processes) and 1.25 USD" in first
    assert "27 of 27 trials: 8 complete, 13 stopped early, 6 failed." in first


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"outcome": "not proven", "verdict": "no evidence"}, "but its gain is not proven"),
        ({"outcome": "not proven", "verdict": "regressed"}, "and lost on the test data"),
        ({"outcome": "default is best", **NOTHING_COMPARED}, "is the best setting that was found"),
        ({"outcome": "no test data", **NOTHING_COMPARED}, "There is no test data"),
    ],
)
def test_every_other_outcome_says_that_the_default_is_kept(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    headline = text_of(page_of(tmp_path, proof=made_proof(**changes))).partition("It took")[0]
    assert sentence in headline
    assert re.search("the default is kept|it is kept", headline)
    assert "better than the default" not in headline


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("searching", "nothing is decided yet"),
        ("choosing", "which of them wins is not settled yet"),
        ("proving", "whether it is better than the default is not known yet"),
    ],
)
def test_a_study_that_is_not_done_says_so(tmp_path: Path, status: str, sentence: str) -> None:
    page = page_of(tmp_path, status=status, proof=None, best_params=None, reproduce=None)
    assert sentence in text_of(page)
    assert "Lowest validation loss so far: 0.4310, of trial 13." in text_of(page)
    assert "What is kept" not in page


def test_a_study_without_a_trial_has_a_page(tmp_path: Path) -> None:
    text = text_of(page_of(tmp_path, [], status="searching", importance=None))
    assert "There is no trial yet." in text
    assert "nothing is decided yet" in text


def test_a_study_of_failed_trials_says_why_each_of_them_failed(tmp_path: Path) -> None:
    text = text_of(page_of(tmp_path, FAILED, status="searching", importance=None))
    assert "No trial came to its end" in text
    assert text.count("failed diverged") == len(FAILED)


def test_a_study_of_one_trial_has_a_page(tmp_path: Path) -> None:
    trial = made_trial(0, [2.0, 1.0, 0.5], "complete")
    proof = made_proof(outcome="default is best", **NOTHING_COMPARED)
    text = text_of(page_of(tmp_path, [trial], importance=None, proof=proof))
    assert "The default is the best setting" in text
    assert "Too few trials were measured to tell." in text


def test_an_end_of_a_range_is_warned_of_beside_the_decision_and_the_drawing(
    tmp_path: Path,
) -> None:
    edge = {"name": "learning_rate", "told": "the best learning_rate lies at the high end"}
    text = text_of(page_of(tmp_path / "a", edges=[edge]))
    assert text.count("The best learning_rate lies at the high end.") == 2
    assert "which was widened; it does not lie at an end" in text_of(page_of(tmp_path / "b"))


def test_the_command_that_trains_the_best_again_stands_whole_on_the_page(tmp_path: Path) -> None:
    command = "gemtune finetune 'a & b' OUT_DIR --config-path '<x>.yaml'"
    page = page_of(tmp_path, reproduce=command)
    found = re.search('<pre class="command" id="reproduce"[^>]*>([^<]*)</pre>', page)
    assert found
    assert MarkdownIt().utils.unescapeAll(found[1]).replace("&#39;", "'") == command


def test_the_table_has_a_column_for_what_differs_and_a_line_for_the_rest(tmp_path: Path) -> None:
    page = page_of(tmp_path).partition('id="trials"')[2]
    heads = re.sub("<wbr>", "", page.partition("</thead>")[0])
    for column in ("learning_rate", "batch_size", "lora_r", "lora_dropout"):
        assert f"disabled>{column}</button>" in heads
    assert "lora_alpha" not in heads
    assert "The same in all trials: lora_alpha 32, target_modules auto." in text_of(f"<main>{page}")


def test_the_probe_of_packing_is_a_table(tmp_path: Path) -> None:
    probe = {"chosen": 2, "measured": [{"n_packed": 1, "tokens_per_second": 900.25}]}
    page = page_of(tmp_path / "a", packing=probe)
    assert '<caption dir="auto">measured</caption>' in page
    assert '<td dir="auto">900.2</td>' in page
    assert '<dt>chosen</dt><dd dir="auto">2</dd>' in page
    assert 'id="packing"' not in page_of(tmp_path / "b")


def test_sampler_versions_fingerprint_and_budget_stand_in_the_manifest(tmp_path: Path) -> None:
    text = text_of(page_of(tmp_path)).partition("Manifest")[2]
    for words in (
        "name TPESampler", "n_startup_trials 5", "seed of the study 42", "packages torch 2.13.0",
        "optuna 5.0.0", "data.train 22b51c91fb8b", "limit in seconds 2 h", "limit in USD 2.00",
        "0.00026 to 0.026, in logarithms", "learning_rate, widened 0.00026 to 0.08",
        "from 2026-11-23 09:06 UTC", "optuna-dashboard sqlite:///data/study/study.db",
    ):  # fmt: skip
        assert words in text


def test_sections_are_those_of_the_contents(tmp_path: Path) -> None:
    for trials in (None, [], FAILED):
        page = page_of(tmp_path / str(trials)[:3], trials, packing={"chosen": 1})
        sections = re.findall('<section id="([^"]+)"', page)
        assert re.findall('<li><a href="#([^"]+)"', page) == sections


def test_the_twin_for_pull_requests_says_the_same(tmp_path: Path) -> None:
    page_of(tmp_path)
    text = (tmp_path / "study_report.md").read_text("utf-8")
    assert text.startswith("## \u2705 Trial 13 is better than the default")
    assert "`gemtune finetune data OUT_DIR" in text
    assert "| tokens | 10,100,000 | 24,300,000 | 58\u00a0% |" in text
    assert text.index("| 13 winner |") < text.index("| 2 default |") < text.index("stopped early |")


def test_a_folder_with_a_study_gets_its_report(tmp_path: Path) -> None:
    folder = write_study(tmp_path, made_study(made_trials(5)))
    assert write_report_of(folder) == tmp_path / "study_report.html"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"schema_version": 9}, "study.json: version 9 instead of 1"),
        ({"best_so_far": [{"loss": "low"}]}, r"study.json: best_so_far.0"),
        ({"budget": None}, r"study.json: budget"),
        ({"proof": made_proof(outcome="sure")}, r"study.json: proof.outcome"),
    ],
)
def test_a_damaged_study_is_named_and_no_report_is_written(
    tmp_path: Path, damage: dict[str, Any], message: str
) -> None:
    write_study(tmp_path, made_study(made_trials(5), **damage))
    with pytest.raises(ArtefactError, match=message) as caught:
        write_study_report(tmp_path)
    assert caught.value.fix
    assert {path.name for path in tmp_path.iterdir()} == {"study.json"}
