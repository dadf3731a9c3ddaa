"""Everything that is ready before the run folder is written to."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from peft import PeftModel

from gemtune.config.schema import Config, TrainingConfig
from gemtune.fine_tuning.adapter import AdapterWriter
from gemtune.fine_tuning.dropout import replace_dropout
from gemtune.fine_tuning.foundation import Foundation
from gemtune.fine_tuning.fused_lora import fuse_lora_layers
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.optimizer import build_optimizer, n_warmup_steps
from gemtune.fine_tuning.plan import RunPlan, plan_run
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.models.fused_norms import fuse_rms_norms
from gemtune.models.precision import DTYPE_NAMES

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


def prepare(foundation: Foundation, config: Config) -> Prepared:
    """Put an adapter on the base; whatever is done with it, the foundation stays as it is.

    Raises:
        ConfigError: the adapter does not fit the model.
    """
    fine_tuning, rows = config.fine_tuning, foundation.rows
    plan = plan_run(len(rows["train"]), fine_tuning.training)
    model = setup_peft_model(foundation.base, fine_tuning)
    if foundation.device.type == "cpu":
        replace_dropout(model)
        fuse_lora_layers(model)
        fuse_rms_norms(model)
    masters = MasterWeights(model, foundation.dtype)
    logger.info(
        "%d rows in %d optimizer steps of %d rows, %s on %s",
        len(rows["train"]),
        plan.n_steps,
        plan.effective_batch,
        DTYPE_NAMES[foundation.dtype],
        foundation.device,
    )
    _warn_about_settings_without_effect(fine_tuning.training, plan, has_val="val" in rows)
    writer = AdapterWriter(
        model=model,
        tokenizer=foundation.tokenizer,
        config=config,
        base_name=foundation.base_name,
        initial=masters.state(),
        answer_tokens_p99=foundation.answer_tokens_p99,
    )
    optimizer = build_optimizer(masters.weights, fine_tuning.training, fine_tuning.lora)
    adapter_bytes = writer.estimate_bytes(masters.n_bytes)
    return Prepared(rows, model, masters, optimizer, writer, plan, adapter_bytes)


def _warn_about_settings_without_effect(
    training: TrainingConfig, plan: RunPlan, *, has_val: bool
) -> None:
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
