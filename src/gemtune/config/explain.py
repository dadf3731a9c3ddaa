"""Say what a key is for, and publish the whole schema for editors."""

import json
from collections.abc import Iterator

from gemtune.config.complaints import complain_about_key
from gemtune.config.describe import Node, describe, find_node, is_section, json_schema, keys_of
from gemtune.config.origins import dotted
from gemtune.errors import ConfigError


def explain_key(key: str) -> str:
    """What `fine_tuning.lora.r`, or the section `fine_tuning.lora`, takes and is for.

    Raises:
        ConfigError: There is no such key; the nearest one is named.
    """
    path = tuple(key.split(".")) if key else ()
    node = find_node(path)
    if node is None:
        raise ConfigError(complain_about_key(path), fix="`gemtune config explain` lists all")
    if is_section(node):
        return "\n".join(_explain_section(node, dotted(path)))
    return "\n".join(
        [
            f"{key}: {describe(node)}",
            f"default: {json.dumps(node['default'])}",
            node.get("description", ""),
        ]
    )


def schema_text() -> str:
    """The JSON Schema of the configuration, as `config/schema.json` holds it."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **json_schema()}
    return json.dumps(document, indent=2) + "\n"


def _explain_section(node: Node, name: str) -> Iterator[str]:
    yield ": ".join(filter(None, [name, node.get("description", "")]))
    for key, child in keys_of(node).items():
        full_name = f"{name}.{key}" if name else key
        if is_section(child):
            yield from _explain_section(child, full_name)
        else:
            yield f"  {full_name} = {json.dumps(child['default'])}  ({describe(child)})"
            yield f"      {child.get('description', '')}"
