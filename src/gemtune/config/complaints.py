"""Turn what pydantic found into sentences that name the nearest right thing."""

from difflib import get_close_matches

from gemtune.config.describe import (
    Node,
    all_paths,
    choices_of,
    describe,
    find_node,
    is_section,
    keys_of,
    kinds_of,
)
from gemtune.config.foreign_keys import NOT_A_KEY, OUR_NAMES
from gemtune.config.origins import KeyPath, dotted
from gemtune.config.read_yaml import name_kind
from gemtune.config.scalars import hint_for_boolean, hint_for_number, hint_for_text


def complain_about_key(path: KeyPath) -> str:
    """The sentence for a key that the schema does not know."""
    hint = suggest_key(path)
    return f"unknown key {dotted(path)!r}" + (f"; {hint}" if hint else "")


def suggest_key(path: KeyPath) -> str:
    """Where the user may have wanted to go: a misplaced, a foreign or a misspelt name."""
    section, name = path[:-1], path[-1]
    siblings = list(keys_of(find_node(section) or {}))
    if near := get_close_matches(name, siblings, n=1, cutoff=0.75):
        return f"did you mean {near[0]!r}?"
    if places := [dotted(known) for known in all_paths() if known[-1] == name]:
        return f"did you mean {' or '.join(map(repr, places))}?"
    if name.lower() in OUR_NAMES:
        return f"here it is called {OUR_NAMES[name.lower()]!r}"
    if name.lower() in NOT_A_KEY:
        return NOT_A_KEY[name.lower()]
    names = {known[-1]: dotted(known) for known in all_paths()}
    if near := get_close_matches(name, names, n=1, cutoff=0.8):
        return f"did you mean {names[near[0]]!r}?"
    return f"known here: {', '.join(siblings)}" if siblings else ""


def complain_about_value(path: KeyPath, value: object) -> str:
    """The sentence for a value that its key does not take."""
    node = find_node(path) or {}
    message = f"{dotted(path)!r} must be {describe(node)}; got {name_kind(value)}"
    hint = _hint(node, value)
    return message + (f"; {hint}" if hint else "")


def _hint(node: Node, value: object) -> str:
    if is_section(node):
        return "put keys under it or remove the line" if value is None else ""
    if choices := choices_of(node):
        near = get_close_matches(str(value), choices, n=1, cutoff=0.5)
        return f"did you mean {near[0]!r}?" if near else ""
    kinds = kinds_of(node)
    if "boolean" in kinds:
        return hint_for_boolean(value)
    if "number" in kinds and isinstance(value, float):
        return ""
    if kinds & {"integer", "number"}:
        return hint_for_number(value)
    return hint_for_text(value)
