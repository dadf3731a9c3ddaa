"""Which program decodes the answers: transformers, or vLLM on a GPU."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemtune.models.adapter_files import ADAPTER_CONFIG_FILE, adapter_record_of
from gemtune.models.context import context_tokens
from gemtune.models.generate import Answer, generate_answers
from gemtune.models.load import LoadedModel
from gemtune.models.source import find_source, model_folder
from gemtune.models.untrusted import read_object
from gemtune.models.vllm_engine import VllmModel, generate_with_vllm, require_vllm

OnAnswers = Callable[[Sequence[tuple[int, Answer]]], None]


def require_engine(name: str) -> None:
    """Look for the program before a model is loaded.

    Raises:
        MissingExtraError: vLLM is not installed.
    """
    if name == "vllm":
        require_vllm()


def generate_with_engine(
    model: str,
    revision: str | None,
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    settings: Mapping[str, Any],
    done: Collection[int],
    on_answers: OnAnswers,
) -> None:
    """Let the engine that `settings` name answer all prompts but those of blocks that are `done`.

    Raises:
        UsageError: The longest answer fills the whole context of the model.
    """
    if settings["engine"] == "vllm":
        generate_with_vllm(
            _vllm_model(model, revision, loaded),
            prompts,
            stop_token_ids=settings["stop_token_ids"],
            max_new_tokens=settings["max_new_tokens"],
            batch_tokens=settings["batch_tokens"],
            on_progress=on_answers,
            done=done,
        )
        return
    generate_answers(
        loaded.model,
        prompts,
        stop_token_ids=settings["stop_token_ids"],
        pad_token_id=loaded.pad_token_id,
        max_new_tokens=settings["max_new_tokens"],
        batch_tokens=settings["batch_tokens"],
        on_progress=on_answers,
        done=done,
    )


def _vllm_model(model: str, revision: str | None, loaded: LoadedModel) -> VllmModel:
    record, context = adapter_record_of(model), context_tokens(loaded.model)
    if record is None:
        folder = model_folder(model, revision, with_weights=True)
        return VllmModel(folder, loaded.dtype_name, context)
    adapter = Path(find_source(model).location)
    return VllmModel(
        model_folder(record.base_model, record.revision, with_weights=True),
        loaded.dtype_name,
        context,
        adapter,
        int(read_object(adapter / ADAPTER_CONFIG_FILE).get("r", 8)),
    )
