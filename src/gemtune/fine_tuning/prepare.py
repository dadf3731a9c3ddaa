"""Everything that is ready before the run folder is written to."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from gemtune.config.precision import resolve_precision_request
from gemtune.config.schema import Config, FineTuningConfig
from gemtune.data.examples import Example
from gemtune.errors import ConfigError
from gemtune.fine_tuning.adapter import AdapterWriter
from gemtune.fine_tuning.dropout import replace_dropout
from gemtune.fine_tuning.fused_lora import fuse_lora_layers
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.optimizer import build_optimizer, n_warmup_steps
from gemtune.fine_tuning.plan import RunPlan, plan_run
from gemtune.fine_tuning.rows import Row, encode_rows
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.models.attention import choose_attention
from gemtune.models.causality import require_causal
from gemtune.models.context import context_tokens
from gemtune.models.fused_norms import fuse_rms_norms
from gemtune.models.load import load_base_model, load_tokenizer
from gemtune.models.precision import DTYPE_NAMES, choose_device, choose_dtype
from gemtune.models.source import find_source, portable_name
from gemtune.models.template import row_encoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model with an adapter at its start, and the rows to train it on."""

    rows: Mapping[str, list[Row]]
    model: PeftModel
    masters: MasterWeights
    optimizer: torch.optim.Optimizer
    writer: AdapterWriter
    plan: RunPlan
    adapter_bytes: int
    """About what an adapter folder takes on the disk."""


def prepare(examples: Mapping[str, list[Example]], config: Config) -> Prepared:
    """Turn examples into rows, load the base and put an adapter on it.

    Raises:
        DataError: no token of an answer is left to train on.
        ConfigError: the adapter does not fit the model, a row exceeds what the model takes, or the
            model sees what it is to predict.
        ArtefactError: the model cannot be used.
    """
    fine_tuning = config.fine_tuning
    tokenizer = load_tokenizer(fine_tuning)
    encode = row_encoder(tokenizer, config.data)
    rows = {split: encode_rows(found, encode) for split, found in examples.items()}
    plan = plan_run(len(rows["train"]), fine_tuning.training)
    device = choose_device()
    dtype = choose_dtype(resolve_precision_request(fine_tuning.training), device)
    base = load_base_model(fine_tuning, dtype, device)
    longest = max(len(row.token_ids) for found in rows.values() for row in found)
    _require_context(base, longest)
    require_causal(base)
    choose_attention(base, device, longest)
    model = setup_peft_model(base, fine_tuning)
    if device.type == "cpu":
        replace_dropout(model)
        fuse_lora_layers(model)
        fuse_rms_norms(model)
    masters = MasterWeights(model, dtype)
    logger.info(
        "%d rows in %d optimizer steps of %d rows, %s on %s",
        len(rows["train"]),
        plan.n_steps,
        plan.effective_batch,
        DTYPE_NAMES[dtype],
        device,
    )
    _warn_about_settings_without_effect(fine_tuning, plan, has_val="val" in rows)
    base_name = portable_name(fine_tuning.model, fine_tuning.revision)
    writer = AdapterWriter(model, tokenizer, config, base_name, masters.state())
    optimizer = build_optimizer(masters.weights, fine_tuning.training, fine_tuning.lora)
    adapter_bytes = writer.estimate_bytes(masters.n_bytes)
    return Prepared(rows, model, masters, optimizer, writer, plan, adapter_bytes)


def _require_context(base: PreTrainedModel, longest: int) -> None:
    """Models with a table of positions would stop with an index error, others get worse unseen."""
    context = context_tokens(base)
    if context is not None and longest > context:
        raise ConfigError(
            f"the longest row has {longest} tokens, more than the {context} that this model takes",
            fix=f"set data.max_length={context}: longer rows are cut at the end",
        )


def _warn_about_settings_without_effect(
    config: FineTuningConfig, plan: RunPlan, *, has_val: bool
) -> None:
    training = config.training
    n_warmup = n_warmup_steps(training, plan.n_steps)
    if training.warmup_steps is not None and n_warmup < training.warmup_steps:
        logger.warning(
            "fine_tuning.training.warmup_steps=%d is more than half of the %d steps: %d are used",
            training.warmup_steps,
            plan.n_steps,
            n_warmup,
        )
    if training.early_stopping_patience is not None and not has_val:
        logger.warning(
            "fine_tuning.training.early_stopping_patience has no effect: there is no val.jsonl"
        )
    if config.revision is not None and find_source(config.model).kind != "hub":
        logger.warning(
            "fine_tuning.revision has no effect: %s is not a model on a hub", config.model
        )
