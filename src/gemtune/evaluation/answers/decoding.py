"""A loaded model answers a test set, block by block; what was answered before stays."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import DataConfig
from gemtune.data.examples import EncodedRow, Example
from gemtune.evaluation.answers.decode_settings import with_margin
from gemtune.evaluation.answers.engine import generate_with_engine
from gemtune.evaluation.answers.reference_loss import ReferenceLoss, reference_losses
from gemtune.evaluation.findings import TextSpan
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.test_set import accepted_answers
from gemtune.models.context import context_tokens
from gemtune.models.generate import Answer, planned_rows
from gemtune.models.load import LoadedModel
from gemtune.models.template import prompt_encoder, row_encoder, turn_end_token

logger = logging.getLogger(__name__)

_UNCUT_TOKENS = 2**62

AnsweredBlock = Sequence[tuple[int, Prediction]]
"""(Index of the example, its answer), in the order of the test set."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """A test set in the tokens of a model, cut into blocks."""

    model: str
    """What the user named."""
    revision: str | None
    loaded: LoadedModel
    settings: Mapping[str, Any]
    prompts: Sequence[list[int]]
    rows: Sequence[EncodedRow]
    """The prompts with the references, for the loss on these."""
    blocks: Sequence[Sequence[int]]
    """Indexes of the rows that are answered together, in the order in which they are."""


def settled_settings(
    loaded: LoadedModel, examples: Sequence[Example], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Settle everything that the answers depend on, in the form of metrics.json.

    Args:
        loaded: The model.
        examples: The test set, whose longest reference sets the length of the answers where
            nothing else does.
        wanted: From `wanted_settings`.
    """
    template = DataConfig(**wanted["data"])
    # The loader knows the stops of the model's own template, which is not always the one used here.
    stops = {*loaded.stop_token_ids, turn_end_token(loaded.tokenizer, template)}
    longest = wanted["max_new_tokens"] or _room_for_references(loaded, examples)
    return {
        "strategy": "greedy",
        "engine": wanted["engine"],
        "dtype": loaded.dtype_name,
        "batch_tokens": wanted["batch_tokens"],
        "max_new_tokens": longest,
        "stop_token_ids": sorted(stops),
        "data": wanted["data"],
    }


def plan_decoding(
    model: str,
    revision: str | None,
    loaded: LoadedModel,
    examples: Sequence[Example],
    settings: Mapping[str, Any],
) -> Decoding:
    """Encode the test set and cut it into blocks.

    Args:
        model: What the user named, at `revision`.
        revision: Branch, tag or commit of a hub model.
        loaded: The same, loaded.
        examples: The test set.
        settings: From `settled_settings`.

    Raises:
        DataError: The chat template refuses a row.
    """
    template = DataConfig(**settings["data"])
    encode_prompt = prompt_encoder(loaded.tokenizer, template)
    # The answers of a test set are measured whole, however long rows may be in training.
    uncut = template.model_copy(update={"max_length": _UNCUT_TOKENS})
    encode_row = row_encoder(loaded.tokenizer, uncut)
    prompts = [encode_prompt(example.prompt) for example in examples]
    return Decoding(
        model=model,
        revision=revision,
        loaded=loaded,
        settings=settings,
        prompts=prompts,
        rows=[encode_row(example) for example in examples],
        blocks=planned_rows(
            prompts,
            context=context_tokens(loaded.model),
            max_new_tokens=settings["max_new_tokens"],
            batch_tokens=settings["batch_tokens"],
        ),
    )


def answer_blocks(
    decoding: Decoding,
    examples: Sequence[Example],
    done: frozenset[int],
    on_block: Callable[[AnsweredBlock], None],
) -> None:
    """Answer every row that is not `done`, and measure the loss on its reference.

    Args:
        decoding: From `plan_decoding`.
        examples: The test set.
        done: Rows of whole blocks.
        on_block: Called after each block, so that nothing is lost when a run is cut off.
    """
    loaded, settings = decoding.loaded, decoding.settings

    def finish(answers: Sequence[tuple[int, Answer]]) -> None:
        losses = reference_losses(
            loaded.model,
            [decoding.rows[i] for i, _ in answers],
            batch_tokens=settings["batch_tokens"],
        )
        on_block(
            [
                (i, _prediction(examples[i], loaded, answer, loss))
                for (i, answer), loss in zip(answers, losses, strict=True)
            ]
        )

    generate_with_engine(
        decoding.model, decoding.revision, loaded, decoding.prompts, settings, done, finish
    )


def trained_sample(decoding: Decoding) -> list[TextSpan]:
    """The first row as the model sees it, cut where training begins or ends to look at the loss."""
    row, tokenizer = decoding.rows[0], decoding.loaded.tokenizer
    return [
        TextSpan(
            str(tokenizer.decode([token for token, _ in span], clean_up_tokenization_spaces=False)),
            is_trained,
        )
        for is_trained, span in groupby(
            zip(row.token_ids, row.trained, strict=True), key=lambda pair: bool(pair[1])
        )
    ]


def _prediction(
    example: Example, loaded: LoadedModel, answer: Answer, loss: ReferenceLoss
) -> Prediction:
    text = loaded.tokenizer.decode(
        list(answer.token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return Prediction(
        id=example.id,
        # White space at the ends belongs to the template, not to the answer.
        text=str(text).strip(),
        n_tokens=len(answer.token_ids),
        finish_reason=answer.finish_reason,
        prompt_truncated=answer.prompt_truncated,
        reference_loss=loss.nats,
        n_reference_tokens=loss.n_tokens,
    )


def _room_for_references(loaded: LoadedModel, examples: Sequence[Example]) -> int:
    n_tokens, context = (
        with_margin(_longest(loaded.tokenizer, examples)),
        context_tokens(loaded.model),
    )
    if context is None or n_tokens <= context // 2:
        return n_tokens
    logger.warning(
        "the longest reference would take %d tokens with the margin, more than half of the model's "
        "context of %d: answers end after %d; evaluation.max_new_tokens sets another length",
        n_tokens,
        context,
        context // 2,
    )
    return context // 2


def _longest(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> int:
    texts = [answer for example in examples for answer in accepted_answers(example)]
    return max(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
