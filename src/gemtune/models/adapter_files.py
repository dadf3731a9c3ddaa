"""What lies beside an adapter so that it can be used again: its base and its template."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.errors import ArtefactError
from gemtune.models.source import lasting_name
from gemtune.runs.files import write_json

ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_RECORD_FILE = "gemtune.json"


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """The base that an adapter belongs to and its prompt template."""

    base_model: str
    revision: str | None
    data: DataConfig | None
    """None for adapters of other tools."""


def write_adapter_record(folder: Path, config: FineTuningConfig, data: DataConfig) -> None:
    """Write `gemtune.json` beside an adapter."""
    record = {
        "base_model": lasting_name(config.model),
        "revision": config.revision,
        "data": data.model_dump(mode="json"),
    }
    write_json(folder / ADAPTER_RECORD_FILE, record)


def read_adapter_record(folder: Path) -> AdapterRecord:
    """Read what an adapter folder says about itself, written by gemtune or by plain PEFT.

    Raises:
        ArtefactError: a file is missing or damaged.
    """
    if not (folder / ADAPTER_WEIGHTS_FILE).exists():
        raise ArtefactError(
            f"adapter folder {folder} has no {ADAPTER_WEIGHTS_FILE}",
            fix="the run may not have finished; pickled adapters (.bin) are never read",
        )
    if not (folder / ADAPTER_RECORD_FILE).exists():
        return _read_peft_record(folder / ADAPTER_CONFIG_FILE)
    record = _read_json(folder / ADAPTER_RECORD_FILE)
    try:
        data = DataConfig(**record["data"])
        return AdapterRecord(record["base_model"], record["revision"], data)
    except (KeyError, TypeError, ValidationError) as error:
        raise ArtefactError(
            f"{folder / ADAPTER_RECORD_FILE} is damaged: {error}", fix="copy the adapter again"
        ) from error


def _read_peft_record(path: Path) -> AdapterRecord:
    adapter = _read_json(path)
    match adapter.get("base_model_name_or_path"):
        case str(base_model) if base_model:
            return AdapterRecord(base_model, adapter.get("revision"), None)
        case _:
            raise ArtefactError(
                f"{path} names no base model",
                fix="set base_model_name_or_path in it to the model that the adapter belongs to",
            )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{path} cannot be read: {error}", fix="copy the adapter again"
        ) from error
