"""A real Chromium for the tests of the page; they are skipped where there is none."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    # As root there is no sandbox; pages of these tests come from these tests.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class OpenPage:
    """A page, and what it did that a report must not do."""

    page: Page
    noise: list[str] = field(default_factory=list)
    """Messages of the console, errors, dialogs, and requests for anything but the file itself."""


OpenReport = Callable[..., OpenPage]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("needs Chromium; `make test` installs it where it may (root, apt-get)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_report(browser: Browser) -> Iterator[OpenReport]:
    """Open a file: `open_report(path, width=1440, color_scheme="dark")`."""
    with ExitStack() as pages:

        def open_page(path: Path, *, width: int = 1440, **options: Any) -> OpenPage:
            page = browser.new_page(viewport={"width": width, "height": 900}, **options)
            pages.callback(page.close)
            opened = OpenPage(page)
            page.on("console", lambda message: opened.noise.append(message.text))
            page.on("pageerror", lambda error: opened.noise.append(str(error)))
            page.on("dialog", lambda dialog: opened.noise.append(dialog.message))
            page.on("popup", lambda popup: opened.noise.append(popup.url))
            page.on(
                "request",
                lambda request: (
                    None if request.url == path.as_uri() else opened.noise.append(request.url)
                ),
            )
            page.goto(path.as_uri())
            return opened

        yield open_page
