"""The link checker, run as `make check` runs it."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "check_links.py"


def check(root: Path, **pages: str) -> subprocess.CompletedProcess[str]:
    (root / "docs").mkdir()
    for name, text in pages.items():
        (root / name.replace("__", "/")).with_suffix(".md").write_text(text, "utf-8")
    return subprocess.run([sys.executable, SCRIPT], cwd=root, capture_output=True, text=True)


def test_links_that_lead_somewhere_pass(tmp_path: Path) -> None:
    result = check(
        tmp_path,
        README="# Top\n[up](#top) [guide](docs/guide.md) [part](docs/guide.md#data--config)\n",
        docs__guide="# Data & config\n[home](../README.md) [web](https://example.org/x#y)\n",
    )
    assert result.returncode == 0, result.stdout


def test_a_dead_link_names_file_line_and_target(tmp_path: Path) -> None:
    result = check(tmp_path, docs__guide="# Guide\n\nsee [this](missing.md)\n")
    assert (result.returncode, result.stdout) == (1, "docs/guide.md:3: dead link missing.md\n")


def test_a_dead_anchor_is_found_on_the_same_page_and_on_another(tmp_path: Path) -> None:
    result = check(tmp_path, README="# One\n[a](#two)\n[b](docs/g.md#one)\n", docs__g="# Two\n")
    assert result.stdout == "README.md:2: dead link #two\nREADME.md:3: dead link docs/g.md#one\n"


def test_links_in_code_are_examples_and_headings_in_code_are_no_anchors(tmp_path: Path) -> None:
    result = check(tmp_path, README="`[x](gone.md)`\n```\n[y](gone.md)\n# Top\n```\n[z](#top)\n")
    assert result.stdout == "README.md:6: dead link #top\n"
