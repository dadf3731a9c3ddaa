"""Read YAML (and JSON, its subset) into plain values, each with the line it stands on.

Stricter than YAML: duplicate keys, tags and documents that grow when aliases are followed are
errors, because a config is data that people review.
"""

from dataclasses import dataclass, field

import yaml

from gemtune.config.origins import KeyPath, Layer, Origin, Problem, dotted
from gemtune.config.scalars import read_plain

MAX_DEPTH = 50
MAX_ALIASES = 100
MAX_VALUES = 10_000

_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class _RefusedError(Exception):
    """The text is YAML, but not the kind that a config may be."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Composer(yaml.SafeLoader):
    """PyYAML's parser with bounds, and with no guesses about unquoted words."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's name for a constant)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.n_aliases = 0
        self.n_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Count before descending: PyYAML's recursion has no bound of its own."""
        event = self.peek_event()
        line = event.start_mark.line + 1
        self.n_nodes += 1
        self.n_aliases += isinstance(event, yaml.AliasEvent)
        self.depth += 1
        if self.n_aliases > MAX_ALIASES:
            raise _RefusedError(f"more than {MAX_ALIASES} aliases; write the values out", line)
        _check_size(self.depth, self.n_nodes, line)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


@dataclass(slots=True)
class _Reading:
    """What has been found so far in one text."""

    label: str
    layer: int
    has_lines: bool
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    n_values: int = 0

    def origin(self, line: int) -> Origin:
        label = f"{self.label}:{line}" if self.has_lines else self.label
        return Origin(self.layer, line, label)

    def complain(self, message: str, line: int) -> None:
        self.problems.append(Problem(self.origin(line), message))

    def layer_of(self, values: dict[str, object]) -> Layer:
        return Layer(values, self.origins, tuple(self.problems))


def read_file_text(text: str, label: str, layer: int) -> Layer:
    """Read the text of a config file; `label` is its path as the user wrote it."""
    reading = _Reading(label, layer, has_lines=True)
    node = _compose(text, reading)
    values = _read_document(node, (), reading) if node else None
    if isinstance(values, dict):
        return reading.layer_of(values)
    if not reading.problems:
        got = "the file is empty" if values is None else f"got {name_kind(values)}"
        reading.complain(f"a config is a mapping of `key: value` lines; {got}", 1)
    return reading.layer_of({})


def read_override(override: str, layer: int) -> Layer:
    """Read `a.b.c=value`; the value is YAML, and an empty one is null."""
    reading = _Reading(f"override {override!r}", layer, has_lines=False)
    key, equals, text = override.partition("=")
    if not equals:
        reading.complain("there is no '='; write key=value", 1)
        return reading.layer_of({})
    path = tuple(key.strip().split("."))
    node = _compose(text, reading)
    value = _read_document(node, path, reading) if node else None
    if reading.problems:
        return reading.layer_of({})
    for length in range(1, len(path) + 1):
        reading.origins[path[:length]] = reading.origin(1)
    for name in reversed(path[1:]):
        value = {name: value}
    return reading.layer_of({path[0]: value})


def name_kind(value: object) -> str:
    """The kind of a value in words for people."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a section"
    return "a list" if isinstance(value, list) else repr(value)


def _compose(text: str, reading: _Reading) -> yaml.Node | None:
    try:
        return _Composer(text).get_single_node()
    except _RefusedError as error:
        reading.complain(str(error), error.line)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reading.complain(f"the character #x{error.character:04x} is not allowed in YAML", line)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reading.complain(_explain_syntax(error), mark.line + 1 if mark else 1)
    return None


def _explain_syntax(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context)
    if "'\\t'" in problem:
        return "a tab stands here; indent with spaces"
    if problem == "but found another document":
        return "a second document starts here (---); a config is one document"
    if problem == "mapping values are not allowed here":
        return "a second ':' on this line; put the value in quotes, or check the indentation"
    if error.context and error.context_mark:
        problem += f" ({error.context} that starts in line {error.context_mark.line + 1})"
    return f"not valid YAML: {problem}"


def _read_document(node: yaml.Node, path: KeyPath, reading: _Reading) -> object:
    try:
        return _read_node(node, path, reading)
    except _RefusedError as error:
        reading.complain(str(error), error.line)
        return None


def _read_node(node: yaml.Node, path: KeyPath, reading: _Reading) -> object:
    line = node.start_mark.line + 1
    reading.n_values += 1
    _check_size(len(path), reading.n_values, line)
    if node.tag not in _PLAIN_TAGS:
        raise _RefusedError(f"the tag {_short_tag(node.tag)} is refused; a config is data", line)
    if isinstance(node, yaml.MappingNode):
        return _read_mapping(node, path, reading)
    if isinstance(node, yaml.SequenceNode):
        return [
            _read_node(item, (*path, str(index)), reading) for index, item in enumerate(node.value)
        ]
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return read_plain(node.value) if is_plain else _join_surrogates(node.value)


def _read_mapping(node: yaml.MappingNode, path: KeyPath, reading: _Reading) -> dict[str, object]:
    values: dict[str, object] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _RefusedError("a key must be a word", line)
        key = str(key_node.value)
        child = (*path, key)
        if key in lines:
            earlier = reading.origin(lines[key])
            reading.complain(f"{dotted(child)!r} is given twice, first at {earlier}", line)
            continue
        lines[key] = line
        reading.origins[child] = reading.origin(line)
        values[key] = _read_node(value_node, child, reading)
    return values


def _check_size(depth: int, n_values: int, line: int) -> None:
    if depth > MAX_DEPTH:
        raise _RefusedError(f"nested deeper than {MAX_DEPTH} levels", line)
    if n_values > MAX_VALUES:
        raise _RefusedError(f"more than {MAX_VALUES} values once aliases are followed", line)


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _join_surrogates(text: str) -> str:
    """JSON writes an emoji as two escapes, which PyYAML leaves as two halves."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
