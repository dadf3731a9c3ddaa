"""The reference page lists every kind as the code has it."""

from pathlib import Path

from gemtune.data.kinds import Kind

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "data_problems.md"


def test_the_reference_page_lists_every_kind_in_order() -> None:
    lines = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines()]
    listed = [(row[0], row[1], row[2], row[-1]) for row in lines if len(row) == 5]
    kinds = [(f"| {kind.code}", kind.name, kind.severity, f"{kind.fix} |") for kind in Kind]
    assert listed[1:] == kinds
