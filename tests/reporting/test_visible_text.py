"""Characters that no escaping makes harmless are written out."""

import pytest

from gemtune.reporting.visible_text import shortened, visible_text, visible_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a\\u0000b"),
        ("\x1b[2J", "\\u001b[2J"),
        ("x\u202egpj.exe", "x\\u202egpj.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("half \ud800", "half \\ud800"),
        ("line\r\nline\ttab\n", "line\nline\ttab\n"),
        ("\u00e9t\u00e9 \u05e9\u05dc \U0001f600", "\u00e9t\u00e9 \u05e9\u05dc \U0001f600"),
    ],
)  # fmt: skip
def test_only_characters_that_hide_or_command_are_written_out(text: str, shown: str) -> None:
    assert visible_text(text) == shown


def test_texts_are_made_visible_at_any_depth_and_in_keys() -> None:
    assert visible_values({"a\0": ["\0", {"b": "\0"}, 1, None]}) == {
        "a\\u0000": ["\\u0000", {"b": "\\u0000"}, 1, None]
    }


def test_a_long_text_is_cut_and_says_how_much_is_missing() -> None:
    assert shortened("x" * 1_500, 500) == "x" * 500 + "\u2026 (1,000 more characters)"
    assert len(visible_values("x" * 100_000)) < 5_000


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        visible_values({"loss": [number]})
