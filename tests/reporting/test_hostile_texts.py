"""Texts of strangers are shown as text, by a real browser and by a reader of Markdown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Page
from reporting.hostile_texts import HOSTILE
from reporting.made_comparisons import (
    MadeRow,
    made_comparison,
    made_judge,
    made_metric,
    made_slice,
    write_comparison,
    write_run,
)

from gemtune.evaluation.findings import Contamination, SeedFinding
from gemtune.reporting.rows_table import PAGE_ROWS
from gemtune.reporting.visible_text import visible_text
from gemtune.reporting.write import write_report, write_training_report

OpenReport = Callable[..., Any]
# What the page brings along: its own script and the data, which no browser runs.
N_SCRIPTS = 2
FORBIDDEN = "img, iframe, object, embed, link, form, base, textarea, math, animate, b, br, h4"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison with a hostile text in every place that takes one."""
    texts = list(HOSTILE.values())
    rows = [
        MadeRow(f"{number}{text}", text, text, text, f"{text}!", 0.5, number % 3 / 2)
        for number, text in enumerate(texts)
    ]
    together = " ".join(text for text in texts if len(text) < 1_000)
    ids = tuple(row.id for row in rows)
    found = made_comparison(
        rows,
        base=together,
        tuned=together,
        metrics=(made_metric(), *(made_metric(text) for text in texts)),
        slices=tuple(made_slice(text, by=text) for text in texts),
        contamination=Contamination(together, 1, 1, 1, 1, made_metric(together)),
        seeds=SeedFinding((together, together), (0.1, 0.2), 0.1),
        base_metrics={f"n_{text}": 1 for text in texts},
        wins=ids,
        regressions=ids,
        notes=tuple(texts),
        judge=made_judge(rows, together),
    )
    folder = write_comparison(
        tmp_path_factory.mktemp("hostile") / "comparison",
        rows,
        found,
        signatures=dict.fromkeys(texts, together),
        environment={text: {text: together} for text in texts},
        decode={"base": {text: text for text in texts}, "tuned": None},
        test_data={"path": together},
        trained_sample=[{"text": text, "is_trained": bool(i % 2)} for i, text in enumerate(texts)],
    )
    run = write_run(
        folder.parent / "run", status=together, model={"name": together}, target=together
    )
    return write_report(folder, run)


def test_hostile_texts_are_many() -> None:
    assert len(HOSTILE) >= 40


def test_a_browser_shows_hostile_texts_as_text(report: Path, open_report: OpenReport) -> None:
    opened = open_report(report)
    page = opened.page
    page.evaluate("window.run = () => document.title = 'it ran'")

    shown = page.evaluate("document.querySelector('main').textContent")
    missing = [name for name, text in HOSTILE.items() if visible_text(text)[:500] not in shown]

    assert missing == []
    assert page.locator(FORBIDDEN).count() == 0
    assert page.locator("script").count() == N_SCRIPTS
    assert page.locator("meta").count() == 6
    assert on_attributes(opened.page) == []
    assert opened.noise == []


def test_rows_that_a_script_draws_are_text_too(report: Path, open_report: OpenReport) -> None:
    opened = open_report(report)
    page = opened.page
    page.evaluate("window.run = () => document.title = 'it ran'")
    drawn: set[str] = set()
    page.locator("#rows-table thead button").first.click()
    for _ in range(-(-len(HOSTILE) // PAGE_ROWS)):
        drawn.update(page.locator("#rows-table td:nth-child(5)").all_text_contents())
        if page.locator("#next").is_enabled():
            page.locator("#next").click()

    wanted = {visible_text(text) for text in HOSTILE.values() if len(text) < 500}
    assert wanted <= drawn
    assert page.locator(FORBIDDEN).count() == 0
    assert on_attributes(page) == []
    assert opened.noise == []


def test_the_policy_stops_markup_that_would_get_past_the_escaping(
    report: Path, tmp_path: Path, open_report: OpenReport
) -> None:
    run = "document.title = 'it ran'"
    planted = (
        f'<script>{run}</script><img src=x onerror="{run}"><iframe src=https://evil.example>'
        "</iframe><style>main { display: none }</style></main>"
    )
    page = tmp_path / "report.html"
    page.write_text(report.read_text("utf-8").replace("</main>", planted), "utf-8")

    opened = open_report(page)

    assert opened.page.title() != "it ran"
    assert opened.page.locator("main").is_visible()
    # The picture is asked for, and the policy answers.
    asked = (tmp_path / "x").as_uri()
    assert [m for m in opened.noise if m != asked and "Content Security Policy" not in m] == []
    with pytest.raises(Exception, match="TrustedHTML"):
        opened.page.evaluate("document.body.innerHTML = '<b>x</b>'")


def test_a_page_of_a_training_shows_hostile_texts_as_text(
    tmp_path: Path, open_report: OpenReport
) -> None:
    together = " ".join(text for text in HOSTILE.values() if len(text) < 1_000)
    run = write_run(tmp_path, status="stopped", error=together, model={"name": together})

    opened = open_report(write_training_report(run))

    assert visible_text(together) in opened.page.evaluate("document.body.textContent")
    assert opened.page.locator(FORBIDDEN).count() == 0
    assert opened.noise == []


def test_markdown_shows_hostile_texts_as_text(report: Path) -> None:
    text = report.with_name("report.md").read_text("utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or []]

    assert {token.type for token in inline} <= {
        "text", "text_special", "code_inline", "strong_open", "strong_close",
    }  # fmt: skip
    blocks = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert all(block.startswith(("<details><summary>", "</details>")) for block in blocks)
    titles = [block for block in blocks if not block.startswith("</details>")]
    assert titles == [
        "<details><summary>Slices</summary>",
        "<details><summary>Biggest losses</summary>",
        "<details><summary>Biggest wins</summary>",
    ]


def test_mentions_and_addresses_stay_within_code_or_are_broken(report: Path) -> None:
    text = report.with_name("report.md").read_text("utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    outside = "".join(
        child.content for token in tokens for child in token.children or []
        if child.type != "code_inline"
    )  # fmt: skip

    assert "octocat" in outside
    assert "@octocat" not in outside
    assert "@evil" not in outside
    lines_of_notes = "".join(line for line in text.splitlines() if line.startswith("- "))
    assert "https://" not in lines_of_notes
    assert "www.evil" not in lines_of_notes


@pytest.mark.parametrize("name", HOSTILE)
def test_every_row_of_a_markdown_table_has_all_cells(name: str, tmp_path: Path) -> None:
    text = HOSTILE[name]
    rows = [MadeRow("a", text, text, text, text, 0.0, 1.0)]
    found = made_comparison(rows, wins=("a",), regressions=(), slices=())
    write_report(write_comparison(tmp_path, rows, replace(found, notes=(text,))))

    markdown = (tmp_path / "report.md").read_text("utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    cells = [tokens[i + 1] for i, token in enumerate(tokens) if token.type == "td_open"]
    last_row = [cell.children[0].content if cell.children else "" for cell in cells[-5:]]
    folded = " ".join(visible_text(text).split())
    assert last_row[0] == "a"
    assert last_row[1][:200] == (folded or "(empty)")[:200]


def on_attributes(page: Page) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
        ".filter(name => name.startsWith('on') || name === 'style')"
    )
