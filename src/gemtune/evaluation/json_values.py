"""Scores as JSON, which has no word for what is no finite number."""

import math
from typing import Any


def with_nulls(value: Any) -> Any:
    """Copy plain data (mappings, sequences, scalars); NaN and infinity become null."""
    if isinstance(value, dict):
        return {key: with_nulls(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [with_nulls(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
