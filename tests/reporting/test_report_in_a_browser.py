"""The page in a real Chromium: quiet, usable with a keyboard, on a phone, in the dark, on paper."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from reporting.contrasts import AA_CONTRAST, CONTRASTS
from reporting.made_comparisons import made_rows, write_comparison, write_run

from gemtune.reporting.write import write_report, write_training_report

OpenReport = Callable[..., Any]
N_ROWS = 3_000
PAGE_ROWS = 50
MAX_SECONDS_TO_FILTER = 2.0
MAX_MEGABYTES = 5


@pytest.fixture(scope="module")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_report(tmp_path_factory.mktemp("large"), N_ROWS)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_report(tmp_path_factory.mktemp("small"), N_ROWS // 50)


def made_report(run: Path, n_rows: int) -> Path:
    return write_report(write_comparison(run / "comparison", made_rows(n_rows)), write_run(run))


def shown_rows(page: Page) -> list[str]:
    return page.locator("#rows-table tbody th").all_text_contents()


def test_three_thousand_rows_make_a_page_that_opens_quietly(
    large_report: Path, open_report: OpenReport
) -> None:
    opened = open_report(large_report)

    assert large_report.stat().st_size < MAX_MEGABYTES * 2**20
    assert opened.page.locator("#status").text_content() == "3,000 rows"
    assert len(shown_rows(opened.page)) == PAGE_ROWS
    assert opened.noise == []


def test_the_filter_finds_words_in_every_row_at_once(
    large_report: Path, open_report: OpenReport
) -> None:
    opened = open_report(large_report)
    page = opened.page
    page.fill("#filter", "query 2718:")
    status = expect(page.locator("#status"))
    status.to_have_text("1 of 3,000 rows", timeout=MAX_SECONDS_TO_FILTER * 1_000)
    assert shown_rows(page) == ["row-2718"]
    assert page.locator("#pager").is_hidden()

    page.fill("#filter", "no such words")
    status.to_have_text("0 of 3,000 rows")
    assert shown_rows(page) == []

    page.fill("#filter", "")
    page.select_option("#outcome", "worse")
    status.not_to_have_text("0 of 3,000 rows")
    assert set(page.locator("#rows-table td:nth-child(2)").all_text_contents()) == {"\u22121.000"}
    assert opened.noise == []


def test_a_column_is_sorted_by_its_button_and_says_so(
    large_report: Path, open_report: OpenReport
) -> None:
    page = open_report(large_report).page
    heads = page.locator("#rows-table thead th")
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"

    heads.nth(0).get_by_role("button").click()
    assert shown_rows(page)[:3] == ["row-0", "row-1", "row-2"], "numbers in names count as numbers"
    assert heads.nth(0).get_attribute("aria-sort") == "ascending"
    assert heads.nth(1).get_attribute("aria-sort") is None

    heads.nth(0).get_by_role("button").click()
    assert shown_rows(page)[0] == "row-2999"
    assert heads.nth(0).get_attribute("aria-sort") == "descending"

    heads.nth(1).get_by_role("button").click()
    heads.nth(1).get_by_role("button").click()
    assert page.locator("#rows-table td:nth-child(2)").first.text_content() == "+1.000"


def test_pages_of_rows_can_be_turned(large_report: Path, open_report: OpenReport) -> None:
    page = open_report(large_report).page
    first = shown_rows(page)
    assert page.locator("#previous").is_disabled()

    page.locator("#next").click()
    assert page.locator("#where").text_content() == "51\u2013100 of 3,000"
    assert not set(first) & set(shown_rows(page))

    page.locator("#previous").click()
    assert shown_rows(page) == first, "a script draws the same rows as the file holds"


def test_a_script_draws_rows_as_the_file_holds_them(report: Path, open_report: OpenReport) -> None:
    page = open_report(report).page
    body = page.locator("#rows-table tbody")
    before = body.inner_html().replace("\n", "")
    page.select_option("#outcome", "worse")
    page.select_option("#outcome", "")
    assert body.inner_html().replace("\n", "") == before


@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_never_scrolls_sideways(report: Path, open_report: OpenReport, width: int) -> None:
    page = open_report(report, width=width).page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_keyboard_reaches_everything_and_sees_where_it_is(
    report: Path, open_report: OpenReport
) -> None:
    page = open_report(report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"

    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, style = page.evaluate(
            "[document.activeElement.id || document.activeElement.tagName.toLowerCase(),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert style != "none", name
        reached.add(name)
        if name == "next":
            break
    assert reached >= {"summary", "div", "filter", "outcome", "button", "next"}

    page.locator("#rows-table thead button").first.focus()
    page.keyboard.press("Enter")
    assert shown_rows(page)[0] == "row-0"


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    report: Path, open_report: OpenReport, color_scheme: str
) -> None:
    page = open_report(report, color_scheme=color_scheme).page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    contrasts = page.evaluate(CONTRASTS)

    assert len(contrasts) > 30
    assert {name: value for name, value in contrasts.items() if value < AA_CONTRAST} == {}
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (color_scheme == "dark")


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


def test_without_scripts_the_page_shows_the_decision_and_the_first_rows(
    large_report: Path, open_report: OpenReport
) -> None:
    page = open_report(large_report, java_script_enabled=False).page

    assert page.locator("h1").is_visible()
    assert page.locator("#controls").is_hidden()
    assert "the first 50 of 3,000 rows" in (page.locator("noscript").text_content() or "")
    assert page.locator("#rows-table tbody tr").count() == PAGE_ROWS


def test_paper_gets_everything_that_is_folded_away(
    report: Path, tmp_path: Path, open_report: OpenReport
) -> None:
    page = open_report(report).page
    printed = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    assert page.locator("details[open]").count() == 1, "folded as before: the contents alone"

    page.emulate_media(media="print")
    assert page.locator("nav.contents").is_hidden()
    assert page.locator(".controls").is_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 1


def test_a_page_of_a_training_is_quiet_too(tmp_path: Path, open_report: OpenReport) -> None:
    opened = open_report(write_training_report(write_run(tmp_path)), width=360)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360
    assert opened.page.locator("svg polyline").count() == 3
    assert opened.noise == []
