"""`finetune_model`: from a data folder to an adapter folder."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from gemtune.config.dump import dump_resolved
from gemtune.config.precision import resolve_precision_request
from gemtune.config.schema import Config, FineTuningConfig
from gemtune.data.examples import Example
from gemtune.data.files import find_data_files
from gemtune.data.load import load_examples
from gemtune.errors import ConfigError
from gemtune.fine_tuning.adapter import AdapterWriter
from gemtune.fine_tuning.dropout import replace_dropout
from gemtune.fine_tuning.loop import TrainingLoop
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.optimizer import n_warmup_steps
from gemtune.fine_tuning.plan import RunPlan, plan_run
from gemtune.fine_tuning.record import RunRecord, open_record
from gemtune.fine_tuning.rows import Row, encode_rows
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.models.attention import choose_attention
from gemtune.models.context import context_tokens
from gemtune.models.load import load_base_model, load_tokenizer
from gemtune.models.memory import memory_errors
from gemtune.models.precision import DTYPE_NAMES, choose_device, choose_dtype
from gemtune.models.source import find_source, portable_name
from gemtune.models.template import row_encoder
from gemtune.monitoring.progress import TrainingProgress
from gemtune.monitoring.recorder import Listener, open_recorder
from gemtune.monitoring.tensorboard import TensorBoardListener
from gemtune.runs.files import write_text
from gemtune.runs.folders import install_files, replace_folder
from gemtune.runs.run import CHECKPOINTS_DIR, CONFIG_FILE, clear_run, open_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """A finished run."""

    output_dir: Path
    """The adapter, its tokenizer and the record of the run."""
    n_steps: int
    n_tokens: int
    """Real tokens that went through the model in training."""
    seconds: float
    """Wall time of the training loop."""
    base_loss: float | None
    """Validation loss of the base model, nats per token; None without validation data."""
    best_loss: float | None
    """Lowest validation loss; the adapter in `output_dir` is the one that reached it."""
    stopped_early: bool


def finetune_model(
    data_dir: str | Path,
    output_dir: str | Path,
    config: Config | None = None,
    *,
    overwrite: bool = False,
    show_progress: bool = False,
) -> FinetuneResult:
    """Fine-tune a model with LoRA on the rows of a folder.

    The loss is the mean over the tokens of the answers of a whole optimizer step. The best adapter
    by validation loss (without validation data: the last) lies in `output_dir` at the end, the
    best and the last also under `checkpoints/`.

    Args:
        data_dir: Folder with train.jsonl and, if there is one, val.jsonl.
        output_dir: Run folder; made if it is not there.
        config: Everything else; the defaults where it is missing.
        overwrite: Replace an earlier run in `output_dir`.
        show_progress: Report on stderr while it runs.

    Raises:
        DataError: the data is wrong; no model has been loaded yet then.
        ConfigError: the adapter does not fit the model, or a row exceeds what the model takes.
        UsageError: `output_dir` holds a run or another process works in it.
        ArtefactError: the model cannot be used.
        PrerequisiteError: the model is on a hub that cannot be reached.
        NotFiniteError: the loss or a gradient is not finite.
        ResourceError: out of memory.
    """
    config, run_dir = config or Config(), Path(output_dir)
    files = find_data_files(Path(data_dir))
    examples = {"train": load_examples(files.train)}
    if files.val:
        examples["val"] = load_examples(files.val)
    with open_run(run_dir, overwrite=overwrite):
        with memory_errors("while loading the model", fix="choose a smaller model"):
            ready = _prepare(examples, config)
        clear_run(run_dir)
        write_text(run_dir / CONFIG_FILE, dump_resolved(config))
        n_tokens = config.fine_tuning.training.micro_batch_tokens
        with (
            open_record(run_dir, config, files, ready.model, ready.plan) as record,
            memory_errors(
                f"with micro-batches of {n_tokens} tokens",
                fix="lower fine_tuning.training.micro_batch_tokens (the result stays the same) or "
                "data.max_length",
            ),
        ):
            return _train(ready, record, run_dir, config, show_progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """Everything that is ready before the run folder is written to."""

    rows: Mapping[str, list[Row]]
    model: PeftModel
    masters: MasterWeights
    writer: AdapterWriter
    plan: RunPlan


def _prepare(examples: Mapping[str, list[Example]], config: Config) -> _Prepared:
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
    choose_attention(base, device, longest)
    model = setup_peft_model(base, fine_tuning)
    if device.type == "cpu":
        replace_dropout(model)
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
    return _Prepared(rows, model, masters, writer, plan)


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


def _train(
    ready: _Prepared, record: RunRecord, run_dir: Path, config: Config, show_progress: bool
) -> FinetuneResult:
    def save(weights: Mapping[str, Tensor], is_best: bool) -> None:
        for name in ("last", "best") if is_best else ("last",):
            folder = run_dir / CHECKPOINTS_DIR / name
            replace_folder(folder, lambda new: ready.writer.write(new, weights))

    network = ready.model.get_base_model()
    assert isinstance(network, PreTrainedModel)
    started = time.perf_counter()
    with open_recorder(
        run_dir, list(_listeners(run_dir, config, ready.plan, show_progress))
    ) as recorder:
        loop = TrainingLoop(
            network,
            ready.masters,
            ready.rows["train"],
            ready.rows.get("val", []),
            ready.plan,
            config.fine_tuning,
            recorder,
        )
        reached = loop.run(save, config.monitoring.log_every_steps)
        seconds = time.perf_counter() - started
        recorder.log("end", reached.n_steps, {"end/seconds": seconds})
    install_files(run_dir / CHECKPOINTS_DIR / "best", run_dir)
    record.finish(reached, seconds)
    return FinetuneResult(
        output_dir=run_dir,
        n_steps=reached.n_steps,
        n_tokens=reached.n_tokens,
        seconds=seconds,
        base_loss=reached.first.loss if reached.first else None,
        best_loss=reached.best.loss if reached.best else None,
        stopped_early=reached.stopped_early,
    )


def _listeners(
    run_dir: Path, config: Config, plan: RunPlan, show_progress: bool
) -> Iterator[Listener]:
    if config.monitoring.tensorboard:
        yield TensorBoardListener(run_dir)
    if show_progress:
        yield TrainingProgress(plan.n_steps, config.monitoring.progress_every_seconds)
