"""The page about search spaces says what the presets are."""

from pathlib import Path

from gemtune.hyperparameter.space_page import space_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "search_space.md"


def test_the_page_is_what_the_presets_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == space_page() + "\n", space_page.__module__
