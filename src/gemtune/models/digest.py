"""Digests of the files that a model is read from: what makes two models the same one."""

from collections.abc import Iterable
from pathlib import Path

from gemtune.models.adapter_files import read_adapter_record
from gemtune.models.source import find_source, model_folder
from gemtune.runs.run import file_digest

Digests = dict[str, dict[str, str]]
"""SHA-256 in hexadecimal, by part of the model and name of the file."""

_WEIGHT_FILES = ("*.safetensors", "config.json")
_TOKENIZER_FILES = (
    "added_tokens.json",
    "additional_chat_templates/*",
    "chat_template.*",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.*",
    "tokenizer_config.json",
    "vocab.*",
)
_GENERATION_FILES = ("generation_config.json",)
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "gemtune.json")


def base_digests(model: str, revision: str | None) -> Digests:
    """Digests of the `base` and the `tokenizer` of a model that can be trained.

    Raises:
        ArtefactError: there is no such model, or it is an adapter.
        PrerequisiteError: the model is on a hub that cannot be reached.
    """
    source = find_source(model)
    if source.kind == "gguf":
        # The folder that it is converted into may be made again, by another version.
        return {"base": {"gguf": file_digest(Path(source.location))}, "tokenizer": {}}
    folder = model_folder(model, revision, with_weights=True)
    return {
        "base": _digests(folder, _WEIGHT_FILES),
        "tokenizer": _digests(folder, _TOKENIZER_FILES),
    }


def answering_digests(model: str, revision: str | None) -> dict[str, str]:
    """Digests of all files that the answers of a model depend on, by `part.file name`.

    Args:
        model: Adapter folder, model folder, GGUF file, alias or hub id.
        revision: Branch, tag or commit of a hub model.

    Raises:
        ArtefactError: there is no such model.
        PrerequisiteError: the model is on a hub that cannot be reached.
    """
    source = find_source(model)
    if source.kind != "adapter":
        return _flat(_with_generation_files(base_digests(model, revision), model, revision))
    folder = Path(source.location)
    record = read_adapter_record(folder)
    parts = base_digests(record.base_model, record.revision)
    parts = _with_generation_files(parts, record.base_model, record.revision)
    # Adapters of other tools often come without a tokenizer.
    parts["tokenizer"] = _digests(folder, _TOKENIZER_FILES) or parts["tokenizer"]
    return _flat({**parts, "adapter": _digests(folder, _ADAPTER_FILES)})


def _with_generation_files(parts: Digests, model: str, revision: str | None) -> Digests:
    """Add what names the tokens that end an answer."""
    if find_source(model).kind == "gguf":
        return parts
    folder = model_folder(model, revision, with_weights=True)
    return {**parts, "base": {**parts["base"], **_digests(folder, _GENERATION_FILES)}}


def _digests(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}


def _flat(parts: Digests) -> dict[str, str]:
    return {
        f"{part}.{name}": digest for part, files in parts.items() for name, digest in files.items()
    }
