"""What is not as it was when something began that is to go on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DIGEST_LENGTH, _N_SHOWN = 64, 12


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not what it was."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """`fine_tuning.training.seed: 1 -> 2`, digests shortened."""
        return f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"


def list_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Compare two flat records; what only one of them has is a change too."""
    return [
        Change(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == _DIGEST_LENGTH:
        return f"{value[:_N_SHOWN]}..."
    return "nothing" if value is None else str(value)
