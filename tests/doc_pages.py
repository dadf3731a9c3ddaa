"""The documentation, cut into what tests can hold: code blocks, commands, code in the text."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
PROGRAMS = ("gemtune ", "make ", "python ")
SHELL_OPERATORS = {"|", ">", ">>", "<", "&&", "||", ";", "&"}


@dataclass(frozen=True, slots=True)
class Passage:
    """Some text of a page and where it stands, as `page:line`."""

    place: str
    language: str
    text: str


def blocks(*languages: str) -> list[Passage]:
    """The fenced blocks of all pages; those of `languages` if any are named."""
    return [
        Passage(_place(page, text, fence.start()), fence[1], fence[2])
        for page, text in _pages()
        for fence in FENCE.finditer(text)
        if not languages or fence[1] in languages
    ]


def spans() -> list[Passage]:
    """What stands in backticks in the text of all pages, white space folded."""
    prose = ((page, FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text))
             for page, text in _pages())  # fmt: skip
    return [
        Passage(_place(page, text, span.start()), "", " ".join(span[1].split()))
        for page, text in prose
        for span in SPAN.finditer(text)
    ]


def commands() -> list[Passage]:
    """The command lines in blocks of all pages and in comments of the shipped configs."""
    shown = [*blocks(), *_config_comments()]
    return [
        Passage(block.place, "", line.strip())
        for block in shown
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.startswith(PROGRAMS)
    ]


def words_of(command: str) -> list[str]:
    """The words of a command line up to a pipe or redirection, without its comment."""
    words = shlex.split(command, comments=True)
    return list(takewhile(lambda word: word not in SHELL_OPERATORS, words))


def table_rows(page: Path) -> Iterator[list[str]]:
    """The cells of every row of every table of a page."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def _pages() -> Iterator[tuple[Path, str]]:
    return ((page, page.read_text(encoding="utf-8")) for page in PAGES)


def _config_comments() -> list[Passage]:
    return [
        Passage(_place(path, text, comment.start()), "", comment[1])
        for path in sorted(ROOT.glob("config/*.yaml"))
        for text in [path.read_text(encoding="utf-8")]
        for comment in re.finditer(r"^# +(.*)$", text, re.MULTILINE)
    ]


def _place(page: Path, text: str, offset: int) -> str:
    return f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, offset) + 1}"
