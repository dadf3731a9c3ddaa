"""Say in words what a key takes, read from the schema's own JSON Schema."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from gemtune.config.origins import KeyPath
from gemtune.config.schema import Config

Node = Mapping[str, Any]

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}
_ITEMS = {"string": "text", "number": "numbers"}


@cache
def json_schema() -> Node:
    """The JSON Schema of the whole configuration."""
    return Config.model_json_schema()


def find_node(path: KeyPath) -> Node | None:
    """The schema of the key or section at `path`; None where there is none."""
    node: Node | None = json_schema()
    for name in path:
        node = (keys_of(node).get(name) or _values_of(node)) if node else None
    return node


def keys_of(node: Node) -> Mapping[str, Node]:
    """The keys of a section, each with its schema; empty for anything else."""
    properties = node.get("properties", {})
    return {name: _resolve(child) for name, child in properties.items()}


def all_paths(path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every section and key below `path`, in the order of the schema."""
    for name in keys_of(find_node(path) or {}):
        yield (*path, name)
        yield from all_paths((*path, name))


def is_section(node: Node) -> bool:
    """Whether the node holds further keys."""
    return "properties" in node


def is_mapping(node: Node) -> bool:
    """Whether the node holds sections under names that the user chooses."""
    return _values_of(node) is not None


def describe(node: Node) -> str:
    """What the key takes: `a whole number, at least 1, or null`."""
    if is_section(node):
        return f"a section with the keys {', '.join(keys_of(node))}"
    if values := _values_of(node):
        return f"by name, {describe(values)}"
    if "anyOf" in node:
        return ", or ".join(describe(option) for option in node["anyOf"])
    if choices := choices_of(node):
        return f"{'one of ' if len(choices) > 1 else ''}{', '.join(choices)}"
    if node["type"] == "array":
        return f"a list of {' or '.join(_ITEMS[kind] for kind in sorted(kinds_of(node['items'])))}"
    words = [_KINDS[node["type"]]]
    words += [f"{word} {_number(node[bound])}" for bound, word in _BOUNDS.items() if bound in node]
    if "maxLength" in node:
        words.append(f"{node.get('minLength', 0)} to {node['maxLength']} characters")
    elif "minLength" in node:
        words.append("not empty")
    return ", ".join(words)


def choices_of(node: Node) -> list[str]:
    """The fixed words that the key takes; empty where it takes more than those."""
    return [str(each) for each in node.get("enum", [node["const"]] if "const" in node else [])]


def kinds_of(node: Node) -> set[str]:
    """The JSON types that the key takes."""
    options = node.get("anyOf", [node])
    return {option["type"] for option in options}


def _values_of(node: Node) -> Node | None:
    """The schema of every value of a mapping; a section forbids names that it does not know."""
    values = node.get("additionalProperties")
    return _resolve(values) if values else None


def _number(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _resolve(node: Node) -> Node:
    if "$ref" not in node:
        return node
    target = json_schema()["$defs"][node["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
