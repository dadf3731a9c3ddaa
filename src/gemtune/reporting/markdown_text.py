"""Pieces of GitHub's Markdown in which text from elsewhere stays text."""

import re
from collections.abc import Iterable, Sequence

from gemtune.reporting.visible_text import shortened

MAX_CHARACTERS = 300
# What Markdown acts on within a line, and at its beginning.
_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~&!$]|:(?=//)|(?<=www)\.|^[-+=]|(?<=^\d)[.)])", re.I)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(title: str, body: str) -> str:
    """Fold a part away; the title is HTML, where Markdown escapes nothing: our own words only."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def code(text: str, n_characters: int = MAX_CHARACTERS) -> str:
    """Text from elsewhere: in code nothing is markup, a link or the mention of a person."""
    line = shortened(" ".join(text.split()), n_characters) or "(empty)"
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    # A backslash before a pipe is taken away again by tables, also within code.
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


def plain(text: str) -> str:
    """A sentence with nothing in it that Markdown would act on."""
    line = " ".join(text.split())
    # Some readers look for people in the finished text, past every escape.
    return _ACTIVE.sub(r"\\\1", line).replace("@", "@\u200b")
