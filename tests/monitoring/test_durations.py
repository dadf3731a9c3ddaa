"""Durations in words."""

import pytest

from gemtune.monitoring.durations import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (45.4, "45 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (3600 + 20, "1 h"),
        (2 * 3600 + 5 * 60 + 59, "2 h 5 min"),
        (3 * 86_400 + 4 * 3600, "3 d 4 h"),
        (400 * 86_400, "400 d"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
