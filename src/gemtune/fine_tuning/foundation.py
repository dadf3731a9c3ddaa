"""What all adapters of a process stand on: the base model and the rows, loaded once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gemtune.config.precision import resolve_precision_request
from gemtune.config.schema import Config, FineTuningConfig
from gemtune.data.examples import Example
from gemtune.data.files import DataFiles
from gemtune.data.lengths import quantiles
from gemtune.data.load import load_examples
from gemtune.errors import ConfigError
from gemtune.fine_tuning.rows import Row, warn_about_cut_rows
from gemtune.fine_tuning.token_cache import cached_rows
from gemtune.models.attention import choose_attention
from gemtune.models.causality import require_causal
from gemtune.models.context import context_tokens
from gemtune.models.known_tokens import require_known_tokens
from gemtune.models.load import load_base_model, load_tokenizer
from gemtune.models.memory import memory_errors
from gemtune.models.precision import choose_device, choose_dtype
from gemtune.models.source import find_source, portable_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Foundation:
    """A base model that nothing changes, and rows in its tokens."""

    rows: Mapping[str, list[Row]]
    tokenizer: PreTrainedTokenizerBase
    base: PreTrainedModel
    base_name: str
    """The name under which plain transformers finds the base."""
    dtype: torch.dtype
    """What the base computes in."""
    device: torch.device
    answer_tokens_p99: int
    """Tokens, end token included, that 99 % of the training answers do not exceed."""


def load_foundation(files: DataFiles, config: Config) -> Foundation:
    """Read the data, turn it into rows and load the base.

    Raises:
        DataError: the data is wrong, which is told before a model is loaded, or no token of an
            answer is left to train on.
        ConfigError: a row exceeds what the model takes, or it sees what it is to predict.
        ArtefactError: the model cannot be used.
        ResourceError: out of memory.
    """
    splits = {"train": files.train, "val": files.val}
    examples = {split: load_examples(path) for split, path in splits.items() if path}
    with memory_errors("while loading the model", fix="choose a smaller model"):
        return _found(examples, config)


def _found(examples: Mapping[str, list[Example]], config: Config) -> Foundation:
    fine_tuning = config.fine_tuning
    tokenizer = load_tokenizer(fine_tuning)
    rows = {split: cached_rows(found, tokenizer, config.data) for split, found in examples.items()}
    for split, found in examples.items():
        warn_about_cut_rows(rows[split], found[0].path)
    device = choose_device()
    dtype = choose_dtype(resolve_precision_request(fine_tuning.training), device)
    base = load_base_model(fine_tuning, dtype, device)
    longest = max(len(row.token_ids) for found in rows.values() for row in found)
    _require_context(base, longest)
    highest_id = max(int(row.token_ids.max()) for found in rows.values() for row in found)
    require_known_tokens(base, highest_id)
    require_causal(base)
    choose_attention(base, device, longest)
    _warn_about_revision(fine_tuning)
    return Foundation(
        rows=rows,
        tokenizer=tokenizer,
        base=base,
        base_name=portable_name(fine_tuning.model, fine_tuning.revision),
        dtype=dtype,
        device=device,
        answer_tokens_p99=quantiles([row.n_answer_tokens for row in rows["train"]]).p99,
    )


def _require_context(base: PreTrainedModel, longest: int) -> None:
    """Models with a table of positions would stop with an index error, others get worse unseen."""
    context = context_tokens(base)
    if context is not None and longest > context:
        raise ConfigError(
            f"the longest row has {longest} tokens, more than the {context} that this model takes",
            fix=f"set data.max_length={context}: longer rows are cut at the end",
        )


def _warn_about_revision(config: FineTuningConfig) -> None:
    if config.revision is not None and find_source(config.model).kind != "hub":
        logger.warning(
            "fine_tuning.revision has no effect: %s is not a model on a hub", config.model
        )
