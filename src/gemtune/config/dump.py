"""Write a configuration down so that reading it again gives the same one."""

import json

import yaml

from gemtune.config.scalars import read_plain
from gemtune.config.schema import Config
from gemtune.redaction import redact_forms, redact_values


def dump_resolved(config: Config) -> str:
    """JSON of every key, nulls kept; `load_config` reads it back to an equal Config.

    Secrets, which only a Config made in Python can hold, are marked instead of written.
    """
    values = redact_values(config.model_dump(mode="json"), redact_forms)
    return json.dumps(values, indent=2) + "\n"


def dump_yaml(config: Config) -> str:
    """YAML of every key, for people; `load_config` reads it back to an equal Config."""
    values = config.model_dump(mode="json")
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes what is a number to YAML 1.2 too: PyYAML writes the text `1e5` without quotes."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(read_plain(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
