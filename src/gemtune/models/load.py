"""Loading a base model, an adapter or a tokenizer: safetensors only, never a checkpoint's code."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gemtune.config.precision import Precision
from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.errors import ArtefactError
from gemtune.models.adapter_files import ADAPTER_CONFIG_FILE, AdapterRecord, read_adapter_record
from gemtune.models.declared_size import require_declared_weights
from gemtune.models.memory import is_out_of_memory
from gemtune.models.precision import DTYPE_NAMES, choose_device, choose_dtype
from gemtune.models.quiet import quiet_transformers
from gemtune.models.source import find_source, model_folder
from gemtune.models.template import template_digest, turn_end_token
from gemtune.models.untrusted import check_model_folder


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to answer: adapter merged, on its device, in eval mode."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    stop_token_ids: tuple[int, ...]
    pad_token_id: int
    dtype_name: str
    data_config: DataConfig | None
    """The template that an adapter was trained with; None for models that gemtune did not train."""


def load_tokenizer(config: FineTuningConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of the base model without its weights.

    Raises:
        ArtefactError: there is no such model, or its tokenizer cannot be read.
        PrerequisiteError: the model is on a hub that cannot be reached.
    """
    return _read_tokenizer(model_folder(config.model, config.revision, with_weights=False))


def load_base_model(
    config: FineTuningConfig, dtype: torch.dtype, device: torch.device
) -> PreTrainedModel:
    """Load the weights of the base model in `dtype` onto `device`.

    Raises:
        ArtefactError: there is no such model, or it has no safetensors weights.
        PrerequisiteError: the model is on a hub that cannot be reached.
    """
    folder = model_folder(config.model, config.revision, with_weights=True)
    return _on_device(_read_model(folder, dtype), device)


def load_model_for_generation(
    model: str | Path, *, revision: str | None, precision: Precision
) -> LoadedModel:
    """Load an adapter folder (merged into its base), a folder, a GGUF file, an alias or a hub id.

    Args:
        model: What the user named.
        revision: Branch, tag or commit of a hub model.
        precision: What `evaluation.precision` says.

    Raises:
        ArtefactError: the model cannot be used.
        PrerequisiteError: the model is on a hub that cannot be reached.
    """
    device = choose_device()
    dtype = choose_dtype(precision, device)
    source = find_source(str(model))
    data_config = None
    if source.kind == "adapter":
        network, tokenizer, data_config = _load_adapter(Path(source.location), dtype)
    else:
        folder = model_folder(str(model), revision, with_weights=True)
        network, tokenizer = _read_model(folder, dtype), _read_tokenizer(folder)
    stops = stop_token_ids(network, tokenizer, data_config or DataConfig())
    pad_token_id = tokenizer.pad_token_id
    return LoadedModel(
        model=_on_device(network, device).eval(),
        tokenizer=tokenizer,
        stop_token_ids=stops,
        pad_token_id=stops[0] if pad_token_id is None else pad_token_id,
        dtype_name=DTYPE_NAMES[dtype],
        data_config=data_config,
    )


def stop_token_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, data_config: DataConfig
) -> tuple[int, ...]:
    """Every token that ends an answer: the template's, the tokenizer's and the model's own."""
    own = model.generation_config.eos_token_id if model.generation_config else None
    own_ids = own if isinstance(own, list) else [own]
    candidates = [turn_end_token(tokenizer, data_config), tokenizer.eos_token_id, *own_ids]
    return tuple(dict.fromkeys(token for token in candidates if token is not None))


def _on_device(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    # The decorator of transformers hides the signature of `to` from type checkers.
    return model.to(device)  # pyrefly: ignore[bad-argument-type]


def _load_adapter(
    folder: Path, dtype: torch.dtype
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, DataConfig | None]:
    record = read_adapter_record(folder)
    base_folder = model_folder(record.base_model, record.revision, with_weights=True)
    # Adapters of other tools often come without a tokenizer.
    has_tokenizer = (folder / "tokenizer_config.json").exists()
    tokenizer = _read_tokenizer(folder if has_tokenizer else base_folder)
    _require_same_template(folder, tokenizer, record)
    base = _read_model(base_folder, dtype)
    try:
        with quiet_transformers(), warnings.catch_warnings():
            # PEFT only warns, and the adapter would be without effect there.
            warnings.filterwarnings("error", "Found missing adapter keys", UserWarning)
            adapted = PeftModel.from_pretrained(base, str(folder))
    except (SafetensorError, RuntimeError, ValueError, TypeError, UserWarning) as error:
        raise ArtefactError(
            f"adapter {folder} does not fit its base model '{record.base_model}': {error}",
            fix=f"check base_model_name_or_path in {folder / ADAPTER_CONFIG_FILE}",
        ) from error
    return adapted.merge_and_unload(), tokenizer, record.data


def _require_same_template(
    folder: Path, tokenizer: PreTrainedTokenizerBase, record: AdapterRecord
) -> None:
    """A template is code and words in front of the model: an exchanged one would go unnoticed."""
    if record.data is None:
        return
    found = template_digest(tokenizer, record.data)
    if found != record.chat_template_sha256:
        raise ArtefactError(
            f"the chat template of the adapter {folder} is not the one that it was trained with: "
            f"its sha256 is {found}, then it was {record.chat_template_sha256}",
            fix="copy the adapter again, with the files of its tokenizer",
        )


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        with quiet_transformers():
            loaded = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    # tokenizers raises plain Exceptions for damaged files, transformers many others.
    except Exception as error:
        raise ArtefactError(
            f"the tokenizer in {folder} cannot be read: {error}",
            fix="check that tokenizer.json and tokenizer_config.json are there and whole",
        ) from error
    tokenizer = cast(PreTrainedTokenizerBase, loaded)
    if tokenizer.eos_token_id is None:
        raise ArtefactError(
            f"the tokenizer in {folder} has no end-of-text token, so an answer could not end",
            fix="set eos_token in its tokenizer_config.json",
        )
    return tokenizer


def _read_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    check_model_folder(folder)
    try:
        with quiet_transformers():
            require_declared_weights(folder)
            model, report = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    # A config.json of strangers ends in whatever the code of that architecture does with it.
    except Exception as error:
        if isinstance(error, ArtefactError) or is_out_of_memory(error):
            raise
        is_sentence = isinstance(error, (OSError, ValueError, ImportError))
        told = str(error) if is_sentence else f"{type(error).__name__}: {error}"
        raise ArtefactError(
            f"the model in {folder} cannot be read: {told}",
            fix="gemtune loads safetensors weights of architectures that transformers has itself",
        ) from error
    # transformers would fill these with random numbers and go on.
    unusable = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    if unusable:
        raise ArtefactError(
            f"the model in {folder} is incomplete: {len(unusable)} weights are missing or have "
            f"another shape than its config.json says ({unusable[0]} is the first)",
            fix="copy the model again, with all of its .safetensors files",
        )
    return model
