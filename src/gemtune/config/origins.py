"""Where a value came from, so that every complaint can name a line."""

from collections.abc import Mapping
from dataclasses import dataclass

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A place in a layer; layers and lines sort in reading order."""

    layer: int
    line: int
    label: str

    def __str__(self) -> str:
        """`path/config.yaml:7` or `override 'a.b=c'`."""
        return self.label


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, and where."""

    origin: Origin
    message: str

    def __str__(self) -> str:
        """The line that the user reads."""
        return f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file or override says: nested values, and the place of each key."""

    values: Mapping[str, object]
    origins: Mapping[KeyPath, Origin]
    problems: tuple[Problem, ...] = ()


def dotted(path: KeyPath) -> str:
    """`fine_tuning.lora.r`, as people write it."""
    return ".".join(path)


def place_of(path: KeyPath, origins: Mapping[KeyPath, Origin]) -> Origin:
    """The origin of `path`, or of the nearest section around it that was written down."""
    while path and path not in origins:
        path = path[:-1]
    return origins.get(path, Origin(layer=-1, line=0, label="the defaults"))
