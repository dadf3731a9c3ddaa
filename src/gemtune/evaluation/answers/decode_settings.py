"""What answers depend on besides the model, as far as it is known before one is loaded."""

import math
from collections.abc import Mapping
from typing import Any

from gemtune.config.schema import Config, DataConfig
from gemtune.models.adapter_files import adapter_record_of

_ANSWER_MARGIN = 1.2
_MIN_NEW_TOKENS = 8


def wanted_settings(
    model: str, config: Config, like: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Say what decoding shall be like, as far as it is known before a model is loaded.

    Args:
        model: Adapter folder, model folder, GGUF file, alias or hub id.
        config: What the user asked for.
        like: Settings of the other side of a comparison: answer length and, for a model that
            brings no template, the template come from it.

    Returns:
        `data` (a DataConfig as a dict), `max_new_tokens` (None: from the test set), `batch_tokens`,
        `precision` and `engine`.

    Raises:
        ArtefactError: There is no such model, or its adapter is damaged.
    """
    record, asked = adapter_record_of(model), config.evaluation
    template = DataConfig(**like["data"]) if like else config.data
    max_new_tokens = like["max_new_tokens"] if like else asked.max_new_tokens
    if record and record.data:
        # The template that a model was trained with wins over all others.
        template = record.data
    if max_new_tokens is None and record and record.answer_tokens_p99:
        max_new_tokens = with_margin(record.answer_tokens_p99)
    return {
        "data": template.model_dump(mode="json"),
        "max_new_tokens": max_new_tokens,
        "batch_tokens": asked.batch_tokens,
        "precision": asked.precision,
        "engine": asked.engine,
    }


def with_margin(n_tokens: int) -> int:
    """Room for answers somewhat longer than those that are known."""
    return max(_MIN_NEW_TOKENS, math.ceil(n_tokens * _ANSWER_MARGIN))
