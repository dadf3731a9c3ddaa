"""What the JSON files of a model or an adapter may not ask for.

transformers and PEFT follow some of their values to modules, to kernels on a hub, and to files.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gemtune.errors import ArtefactError

_INDEX_FILE = "model.safetensors.index.json"
# Values such as "org/repository" name compiled code on a hub.
_IMPLEMENTATION_KEYS = ("attn_implementation", "experts_implementation")
# PEFT imports the module that `megatron_core` names.
_IMPORTING_KEYS = ("megatron_config",)


def check_model_folder(folder: Path) -> None:
    """Refuse a base model whose files lead out of its folder or to code.

    Raises:
        ArtefactError: a shard lies elsewhere, or the config names code on a hub.
    """
    index = folder / _INDEX_FILE
    if index.exists():
        for name in set(read_object(index).get("weight_map", {}).values()):
            _require_plain_name(index, name)
    config = folder / "config.json"
    for key, value in _settings(read_object(config)):
        if key.endswith(_IMPLEMENTATION_KEYS) and "/" in json.dumps(value):
            raise ArtefactError(
                f"{config}: {key} is {value!r}, code on a hub, which gemtune never runs",
                fix=f"remove {key} from it",
            )


def check_adapter_config(path: Path) -> None:
    """Refuse an adapter that is not LoRA or whose config makes PEFT import a module.

    Raises:
        ArtefactError: it is one of these.
    """
    config = read_object(path)
    if config.get("peft_type") != "LORA":
        raise ArtefactError(
            f"{path}: an adapter of the kind {config.get('peft_type')!r} is not read",
            fix="use a LoRA adapter; DoRA and rsLoRA are LoRA",
        )
    for key in _IMPORTING_KEYS:
        if config.get(key) is not None:
            raise ArtefactError(
                f"{path}: {key} makes PEFT import a module that the adapter names",
                fix=f"remove {key} from it",
            )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtefactError: the file cannot be read or holds something else.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    # RecursionError: brackets within brackets.
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}", fix="copy it again") from error


def _require_plain_name(index: Path, name: object) -> None:
    is_plain = isinstance(name, str) and Path(name).name == name
    if not is_plain or Path(name).suffix != ".safetensors":
        raise ArtefactError(
            f"{index}: the weights file {name!r} does not lie in the model's folder",
            fix="take the model from where it was published",
        )


def _settings(value: object) -> Iterator[tuple[str, object]]:
    """Every key of a JSON value at any depth, with its value."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key, inner
        yield from _settings(inner)
