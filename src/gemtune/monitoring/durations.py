"""Durations in words."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def in_words(seconds: float) -> str:
    """Write a duration in its two largest units: `45 s`, `1 min 20 s`, `2 h 5 min`, `3 d`."""
    left = round(seconds)
    largest = next((i for i, (_, size) in enumerate(_UNITS) if left >= size), len(_UNITS) - 1)
    words: list[str] = []
    for unit, size in _UNITS[largest : largest + 2]:
        count, left = divmod(left, size)
        if count or not words:
            words.append(f"{count} {unit}")
    return " ".join(words)
