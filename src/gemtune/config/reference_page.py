"""The page of the docs that lists every key, made from the schema."""

import json
from collections.abc import Iterator

from gemtune.config.describe import Node, describe, is_section, json_schema, keys_of

_HEAD = """\
# Configuration keys

Made by `gemtune config explain --markdown > docs/reference/config.md`; do not edit it by hand.
`gemtune config explain KEY` shows the same in a terminal."""


def reference_page() -> str:
    """The Markdown page `docs/reference/config.md`, without its last newline."""
    return "\n".join([_HEAD, *_sections(json_schema(), "")])


def _sections(node: Node, name: str) -> Iterator[str]:
    keys = keys_of(node)
    if leaves := {key: child for key, child in keys.items() if not is_section(child)}:
        yield f"\n## {name or 'top level'}\n"
        yield f"{node['description']}\n"
        yield "| key | takes | default | meaning |"
        yield "|---|---|---|---|"
        yield from (_row(key, child) for key, child in leaves.items())
    for key, child in keys.items():
        if is_section(child):
            yield from _sections(child, f"{name}.{key}" if name else key)


def _row(key: str, node: Node) -> str:
    default = json.dumps(node["default"])
    return f"| `{key}` | {describe(node)} | `{default}` | {node['description']} |"
