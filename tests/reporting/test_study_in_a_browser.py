"""The page of a study in a real Chromium: quiet, safe, sortable, on a phone, in the dark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Page, expect
from reporting.contrasts import AA_CONTRAST, CONTRASTS
from reporting.hostile_texts import HOSTILE
from reporting.made_studies import DEFAULT, made_proof, made_study, made_trial, made_trials
from reporting.made_studies import write_study as write

from gemtune.reporting.study_write import write_study_report
from gemtune.reporting.visible_text import visible_text

OpenReport = Callable[..., Any]
N_TRIALS = 200
MAX_MEGABYTES = 1
FORBIDDEN = "img, iframe, object, embed, link, form, base, textarea, math, animate, b, br, h4"
UNFOLD = "document.querySelectorAll('details').forEach(d => { d.open = true })"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    edge = {"name": "learning_rate", "told": "the best learning_rate lies at an end"}
    probe = {"measured": [{"n_packed": 1, "tokens_per_second": 900.25}]}
    study = made_study(made_trials(27), edges=[edge], packing=probe)
    return write_study_report(write(tmp_path_factory.mktemp("study"), study))


@pytest.fixture(scope="module")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = made_study(made_trials(N_TRIALS))
    return write_study_report(write(tmp_path_factory.mktemp("large"), study))


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a hostile text in every place that takes one."""
    texts = list(HOSTILE.values())
    together = " ".join(text for text in texts if len(text) < 1_000)
    trials = [
        made_trial(
            number, [1.0 + number, 0.9, 0.8], "complete", source=text, reason=text,
            params={**DEFAULT, "target_modules": [text], text: text},
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip
    choices = {"values": texts}
    ranges = {"target_modules": choices, together: choices}
    proof = made_proof(
        told=together, published=together, comparison_dir=together, verdict=together,
        metric=together, selection_bias=together,
    )  # fmt: skip
    study = made_study(
        trials,
        rule={"metric": together, "select": "metric", "in_words": together},
        space={"preset": together, "ranges": ranges, "widened": {"ranges": ranges}},
        proof=proof,
        reproduce=together,
        status=together,
        storage=f"sqlite:{together}",
        study_name=together,
        fingerprint=dict.fromkeys(texts, together),
        environment={text: {text: together} for text in texts},
        sampler={"name": together},
        edges=[{"name": together, "told": together}, {"name": "learning_rate", "told": together}],
        packing={together: [{text: text for text in texts}]},
    )
    study["importance"]["params"] = {
        text: {"importance": 0.1, "low": 0.0, "high": 0.2} for text in texts
    }
    study["budget"]["stopped"] = together
    for finalist in study["finalists"]:
        finalist["scores"] = dict.fromkeys(texts, 0.5)
    return write_study_report(write(tmp_path_factory.mktemp("hostile"), study))


def column(page: Page, number: int) -> list[str]:
    return page.locator(f".sortable tbody tr > :nth-child({number})").all_text_contents()


def on_attributes(page: Page) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
        ".map(a => a.name).filter(n => n.startsWith('on') || n === 'style')"
    )


def test_hostile_texts_are_shown_as_text(hostile_report: Path, open_report: OpenReport) -> None:
    opened = open_report(hostile_report)
    page = opened.page
    page.evaluate("() => { window.run = () => { document.title = 'it ran' } }")
    page.locator(".sortable thead button").nth(1).click()
    page.evaluate(UNFOLD)

    shown = page.evaluate("document.querySelector('main').textContent")
    missing = [name for name, text in HOSTILE.items() if visible_text(text)[:500] not in shown]

    assert missing == []
    assert page.locator(FORBIDDEN).count() == 0
    assert page.locator("script").count() == 1
    assert page.locator("meta").count() == 6
    assert on_attributes(page) == []
    assert page.title() != "it ran"
    assert opened.noise == []


@pytest.mark.parametrize("width", [360, 1440])
def test_hostile_texts_do_not_make_the_page_wider(
    hostile_report: Path, open_report: OpenReport, width: int
) -> None:
    page = open_report(hostile_report, width=width).page
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_hostile_texts_make_no_link_and_no_picture_in_the_twin(hostile_report: Path) -> None:
    text = hostile_report.with_name("study_report.md").read_text("utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]

    assert {token.type for token in inline} <= {"text", "text_special", "code_inline"}
    blocks = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert [block.partition(" more ")[0] for block in blocks] == [
        f"<details><summary>The best 50 trials; {len(HOSTILE) - 50}", "</details>",
    ]  # fmt: skip
    outside = "".join(child.content for child in inline if child.type != "code_inline")
    assert "octocat" in outside
    assert "@octocat" not in outside


@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_never_scrolls_sideways(report: Path, open_report: OpenReport, width: int) -> None:
    opened = open_report(report, width=width)
    opened.page.evaluate(UNFOLD)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.noise == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    report: Path, open_report: OpenReport, color_scheme: str
) -> None:
    page = open_report(report, color_scheme=color_scheme).page
    page.evaluate(UNFOLD)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert {name: value for name, value in contrasts.items() if value < AA_CONTRAST} == {}


def test_two_hundred_trials_open_quietly_and_are_sorted(
    large_report: Path, open_report: OpenReport
) -> None:
    opened = open_report(large_report)
    page = opened.page
    heads = page.locator(".sortable thead th")

    assert large_report.stat().st_size < MAX_MEGABYTES * 2**20
    assert len(column(page, 1)) == N_TRIALS
    assert heads.nth(0).get_attribute("aria-sort") == "ascending"

    heads.nth(2).get_by_role("button").click()
    losses = column(page, 3)
    measured = [float(loss) for loss in losses if loss != "\u2013"]
    assert measured == sorted(measured)
    assert losses[-1] == "\u2013", "trials without a loss come last"
    assert heads.nth(0).get_attribute("aria-sort") is None

    heads.nth(2).get_by_role("button").click()
    assert [float(loss) for loss in column(page, 3)[: len(measured)]] == measured[::-1]
    assert column(page, 3)[-1] == "\u2013"

    rates = [h.strip() for h in heads.all_text_contents()].index("learning_rate")
    heads.nth(rates).get_by_role("button").click()
    assert column(page, rates + 1)[0] == "1e-5"
    assert opened.noise == []


def test_states_are_words_and_signs(report: Path, open_report: OpenReport) -> None:
    page = open_report(report).page
    page.locator(".sortable thead button").nth(1).click()
    states = page.locator(".sortable .state").all_inner_texts()
    assert states == sorted(states, key=lambda state: state[2:])
    assert set(states) == {"\u25cf complete", "\u25cb stopped early", "\u2715 failed"}


def test_a_keyboard_sorts_and_scrolls_the_table(report: Path, open_report: OpenReport) -> None:
    page = open_report(report).page
    page.locator(".sortable thead button").nth(2).focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.locator(".sortable thead th").nth(2).get_attribute("aria-sort") == "ascending"
    assert column(page, 1)[0].split() == ["13", "winner"]
    assert page.locator(".scroll:not([tabindex='0'])").count() == 0


def test_the_command_is_copied_by_its_button(report: Path, open_report: OpenReport) -> None:
    page = open_report(report, permissions=["clipboard-read", "clipboard-write"]).page
    button = page.locator("button[data-copies]")
    button.click()
    expect(button).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#reproduce").text_content()


def test_without_scripts_everything_is_there_but_buttons(
    report: Path, open_report: OpenReport
) -> None:
    page = open_report(report, java_script_enabled=False).page
    assert page.locator("h1").is_visible()
    assert page.locator("svg[role=img]").count() == 6
    assert page.locator("button[data-copies]").is_hidden()
    assert page.locator(".sortable thead button:enabled").count() == 0


def test_paper_gets_the_whole_table(report: Path, tmp_path: Path, open_report: OpenReport) -> None:
    page = open_report(report).page
    assert page.pdf(path=tmp_path / "report.pdf", format="A4").startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.tall')).overflowY") == "visible"
    assert page.locator("button[data-copies]").is_hidden()


def test_tables_have_captions_and_heads_and_drawings_have_names(
    report: Path, open_report: OpenReport
) -> None:
    page = open_report(report).page
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("svg:not([aria-hidden]):not([role=img])").count() == 0
    assert page.locator("h1").count() == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
