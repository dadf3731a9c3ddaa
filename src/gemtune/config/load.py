"""From files and overrides to one frozen Config, or to one error that names every problem."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from gemtune.config.complaints import complain_about_key, complain_about_value
from gemtune.config.describe import find_node, is_mapping, is_section
from gemtune.config.origins import KeyPath, Origin, Problem, place_of
from gemtune.config.read_file import read_file
from gemtune.config.read_yaml import read_override
from gemtune.config.rules import broken_rules, warn_about_doubtful_values
from gemtune.config.schema import Config
from gemtune.errors import ConfigError


def load_config(paths: Sequence[str | Path] = (), overrides: Sequence[str] = ()) -> Config:
    """Read the configuration: defaults < files left to right < `key=value` overrides.

    Args:
        paths: YAML files, or the `config.resolved.json` of a run; each names only what it changes.
        overrides: `fine_tuning.lora.r=8`; the value is YAML.

    Raises:
        ConfigError: Something is wrong; the message lists all of it, each with its file and line.
    """
    layers = [read_file(Path(path), number) for number, path in enumerate(paths)]
    layers += [read_override(text, len(layers) + n) for n, text in enumerate(overrides)]
    values: dict[str, object] = {}
    origins: dict[KeyPath, Origin] = {}
    for layer in layers:
        _merge(values, layer.values)
        origins |= layer.origins
    problems = [problem for layer in layers for problem in layer.problems]
    config, faults = _validate(values)
    problems += [Problem(place_of(path, origins), message) for path, message in faults]
    if problems:
        raise _config_error(problems)
    warn_about_doubtful_values(config)
    return config


def _merge(into: dict[str, object], values: Mapping[str, object]) -> None:
    for key, value in values.items():
        below = into.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            _merge(below, value)
        else:
            into[key] = value


def _validate(values: dict[str, object]) -> tuple[Config, list[tuple[KeyPath, str]]]:
    """Validate, then again without what was wrong, so that the rules see the rest."""
    try:
        config = Config.model_validate(values, strict=True)
    except ValidationError as error:
        faults = dict(_explain(values, fault["type"], fault["loc"]) for fault in error.errors())
        for path in faults:
            _remove(values, path)
        config = Config.model_validate(values, strict=True)
        return config, [*faults.items(), *broken_rules(config)]
    return config, list(broken_rules(config))


def _explain(
    values: Mapping[str, object], kind: str, location: tuple[int | str, ...]
) -> tuple[KeyPath, str]:
    path, value = _find(values, location)
    if kind == "extra_forbidden":
        return path, complain_about_key(path)
    return path, complain_about_value(path, value)


def _find(values: Mapping[str, object], location: tuple[int | str, ...]) -> tuple[KeyPath, object]:
    """The key that pydantic means: a location also names union members and list items."""
    path: KeyPath = ()
    value: object = values
    for step in map(str, location):
        node = find_node(path) or {}
        if not isinstance(value, dict) or not (is_section(node) or is_mapping(node)):
            break
        path, value = (*path, step), value[step]
    return path, value


def _remove(values: dict[str, object], path: KeyPath) -> None:
    *sections, name = path
    for section in sections:
        below = values[section]
        assert isinstance(below, dict)
        values = below
    del values[name]


def _config_error(problems: Sequence[Problem]) -> ConfigError:
    lines = [str(problem) for problem in sorted(set(problems))]
    message = lines[0]
    if len(lines) > 1:
        message = "\n  ".join([f"{len(lines)} problems in the configuration", *lines])
    return ConfigError(message, fix="`gemtune config explain KEY` says what a key takes")
