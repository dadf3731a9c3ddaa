"""A loaded model answers a test set; every batch is scored as it finishes."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import Config, DataConfig
from gemtune.data.examples import Example
from gemtune.evaluation.predictions import Prediction
from gemtune.evaluation.scores import N_STATISTICS
from gemtune.evaluation.side import ScoredBatch, Side, score_rows
from gemtune.evaluation.test_set import accepted_answers
from gemtune.models.generate import Answer, generate_answers
from gemtune.models.load import LoadedModel
from gemtune.models.template import prompt_encoder, turn_end_token

_ANSWER_MARGIN = 1.2
_MIN_NEW_TOKENS = 8

_OnBatch = Callable[[Sequence[tuple[int, Prediction]]], None]


def decode_settings(
    loaded: LoadedModel,
    examples: Sequence[Example],
    config: Config,
    like: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Settle everything that the answers depend on, in the form of metrics.json.

    Args:
        loaded: The model; the template that it was trained with wins over all others.
        examples: The test set, whose longest reference sets the length of the answers.
        config: What the user asked for.
        like: Settings of the other side of a comparison: answer length and, for a model that
            brings no template, the template come from it.
    """
    template = loaded.data_config or (DataConfig(**like["data"]) if like else config.data)
    max_new_tokens = like["max_new_tokens"] if like else config.evaluation.max_new_tokens
    # The loader knows the stops of the model's own template, which is not always the one used here.
    stops = {*loaded.stop_token_ids, turn_end_token(loaded.tokenizer, template)}
    return {
        "strategy": "greedy",
        "dtype": loaded.dtype_name,
        "batch_tokens": config.evaluation.batch_tokens,
        "max_new_tokens": max_new_tokens or _enough_new_tokens(loaded.tokenizer, examples),
        "stop_token_ids": sorted(stops),
        "data": template.model_dump(),
    }


def answer_with_model(
    name: str,
    loaded: LoadedModel,
    examples: Sequence[Example],
    settings: Mapping[str, Any],
    on_scored: Callable[[ScoredBatch], None],
) -> Side:
    """Let a model answer the test set, and score each batch as it finishes.

    Args:
        name: What the user calls the model.
        loaded: The model and its tokenizer.
        examples: The test set.
        settings: From `decode_settings`.
        on_scored: Called after each batch, so that nothing is lost when a run is cut off.
    """
    started = time.perf_counter()
    predictions: dict[int, Prediction] = {}
    statistics = np.empty((len(examples), N_STATISTICS))

    def score(batch: Sequence[tuple[int, Prediction]]) -> None:
        rows = [i for i, _ in batch]
        statistics[rows] = score_rows([examples[i] for i in rows], [found for _, found in batch])
        predictions.update(batch)
        on_scored([(i, found, statistics[i]) for i, found in batch])

    _decode_examples(loaded, examples, settings, score)
    in_order = [predictions[i] for i in range(len(examples))]
    return Side(name, in_order, statistics, settings, time.perf_counter() - started)


def _decode_examples(
    loaded: LoadedModel,
    examples: Sequence[Example],
    settings: Mapping[str, Any],
    on_batch: _OnBatch,
) -> None:
    encode = prompt_encoder(loaded.tokenizer, DataConfig(**settings["data"]))

    def to_predictions(batch: Sequence[tuple[int, Answer]]) -> None:
        on_batch([(i, _prediction(examples[i], loaded.tokenizer, answer)) for i, answer in batch])

    generate_answers(
        loaded.model,
        [encode(example.prompt) for example in examples],
        stop_token_ids=settings["stop_token_ids"],
        pad_token_id=loaded.pad_token_id,
        max_new_tokens=settings["max_new_tokens"],
        batch_tokens=settings["batch_tokens"],
        on_progress=to_predictions,
    )


def _prediction(example: Example, tokenizer: PreTrainedTokenizerBase, answer: Answer) -> Prediction:
    text = tokenizer.decode(
        list(answer.token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return Prediction(
        id=example.id,
        # White space at the ends belongs to the template, not to the answer.
        text=str(text).strip(),
        n_tokens=len(answer.token_ids),
        finish_reason=answer.finish_reason,
        prompt_truncated=answer.prompt_truncated,
    )


def _enough_new_tokens(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> int:
    texts = [answer for example in examples for answer in accepted_answers(example)]
    longest = max(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    return max(_MIN_NEW_TOKENS, math.ceil(longest * _ANSWER_MARGIN))
