"""What lies beside an adapter so that it can be used again: its base and its template."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.errors import ArtefactError
from gemtune.models.source import find_source, lasting_name
from gemtune.models.untrusted import check_adapter_config, read_object
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
    chat_template_sha256: str | None
    """From `template_digest`: None for the plain template and for adapters of other tools."""
    answer_tokens_p99: int | None
    """Tokens, end token included, that 99 % of the training answers do not exceed; None where
    nobody wrote it down."""


def write_adapter_record(
    folder: Path,
    config: FineTuningConfig,
    data: DataConfig,
    chat_template_sha256: str | None = None,
    answer_tokens_p99: int | None = None,
) -> None:
    """Write `gemtune.json` beside an adapter; see `AdapterRecord` for what it tells."""
    record = {
        "base_model": lasting_name(config.model),
        "revision": config.revision,
        "data": data.model_dump(mode="json"),
        "chat_template_sha256": chat_template_sha256,
        "answer_tokens_p99": answer_tokens_p99,
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
    check_adapter_config(folder / ADAPTER_CONFIG_FILE)
    if not (folder / ADAPTER_RECORD_FILE).exists():
        return _read_peft_record(folder / ADAPTER_CONFIG_FILE)
    record = read_object(folder / ADAPTER_RECORD_FILE)
    try:
        return AdapterRecord(
            base_model=record["base_model"],
            revision=record["revision"],
            data=DataConfig(**record["data"]),
            chat_template_sha256=record["chat_template_sha256"],
            answer_tokens_p99=_positive(record.get("answer_tokens_p99")),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise ArtefactError(
            f"{folder / ADAPTER_RECORD_FILE} is damaged: {error}", fix="copy the adapter again"
        ) from error


def adapter_record_of(model: str) -> AdapterRecord | None:
    """What a model that a user named says about itself, if it is an adapter.

    Raises:
        ArtefactError: there is no such model, or a file of the adapter is missing or damaged.
    """
    source = find_source(model)
    return read_adapter_record(Path(source.location)) if source.kind == "adapter" else None


def _positive(n_tokens: Any) -> int | None:
    if n_tokens is None or (type(n_tokens) is int and n_tokens > 0):
        return n_tokens
    raise TypeError(f"answer_tokens_p99 is {n_tokens!r} and no number of tokens")


def _read_peft_record(path: Path) -> AdapterRecord:
    adapter = read_object(path)
    match adapter.get("base_model_name_or_path"):
        case str(base_model) if base_model:
            return AdapterRecord(base_model, adapter.get("revision"), None, None, None)
        case _:
            raise ArtefactError(
                f"{path} names no base model",
                fix="set base_model_name_or_path in it to the model that the adapter belongs to",
            )
