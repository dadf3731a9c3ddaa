"""Find dead relative links and anchors in *.md and docs/ below the current folder.

Prints `file:line: dead link target` for each, and exits 1 when there is one. Links to the web are
left alone: a check that needs a network fails for reasons that are not ours.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//")


def prose_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, without code: a link in a listing is an example."""
    fenced = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = (line.lstrip("#") for _, line in prose_lines(path) if re.match("#{1,6} ", line))
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


def is_dead(page: Path, target: str) -> bool:
    """Say whether a relative link on `page` leads nowhere."""
    name, _, anchor = target.partition("#")
    path = page.parent / name if name else page
    return not path.exists() or (
        bool(anchor) and path.suffix == ".md" and anchor not in anchors(path)
    )


def dead_links(root: Path) -> Iterator[str]:
    """Yield one line of report for every dead relative link."""
    for page in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")]):
        for number, line in prose_lines(page):
            for target in LINK.findall(re.sub("`[^`]*`", "", line)):
                if not ELSEWHERE.match(target) and is_dead(page, target):
                    yield f"{page.relative_to(root)}:{number}: dead link {target}"


if __name__ == "__main__":
    report = list(dead_links(Path.cwd()))
    print("\n".join(report) or "links: all relative links lead somewhere")
    sys.exit(bool(report))
