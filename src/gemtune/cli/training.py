"""`gemtune finetune`, `evaluate`, `compare`: parse, call one function, print its result."""

import json
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemtune.cli.arguments import (
    config_arguments,
    json_option,
    model_argument,
    output_dir_option,
    path_argument,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gemtune.fine_tuning.train import FinetuneResult

EXIT_NOT_PROVEN = 10


@click.command()
@path_argument("data_dir", "DATA_DIR")
@click.argument("output_dir", metavar="OUT_DIR", type=str)
@config_arguments
@click.option("--overwrite", is_flag=True, help="Start over and replace the run in OUT_DIR.")
@click.option(
    "--allow-changed-data", is_flag=True, help="Go on with a run though its data has changed."
)
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where a run in a bucket happens on this machine; else in the cache.",
)
@json_option
def finetune(
    data_dir: Path,
    output_dir: str,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    overwrite: bool,
    allow_changed_data: bool,
    work_dir: Path | None,
    as_json: bool,
) -> None:
    """Fine-tune a model with LoRA on DATA_DIR (train.jsonl, val.jsonl) into OUT_DIR.

    OUT_DIR is a folder, or gs://BUCKET/FOLDER. The same command goes on with a run that was broken
    off.
    """
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.runs.run import CONFIG_FILE

    result = _trainer(output_dir, work_dir)(
        data_dir,
        config=config,
        overwrite=overwrite,
        allow_changed_data=allow_changed_data,
        show_progress=True,
    )
    if as_json:
        click.echo(json.dumps(asdict(result) | {"output_dir": str(result.output_dir)}))
        return
    click.echo(describe_result(result))
    if _is_url(output_dir):
        click.echo(f"the run with all its checkpoints is in {output_dir}")
    test = data_dir / "test.jsonl"
    named = test if test.exists() else "TEST.jsonl"
    words = ["compare", config.fine_tuning.model, str(result.output_dir), str(named)]
    settings = ["--config-path", str(result.output_dir / CONFIG_FILE)]
    click.echo(f"next: gemtune {shlex.join([*words, *settings])}")


@click.command()
@model_argument("model", "MODEL")
@path_argument("test_data", "TEST.jsonl")
@config_arguments
@output_dir_option
@json_option
def evaluate(
    model: str,
    test_data: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    output_dir: Path | None,
    as_json: bool,
) -> None:
    """Let MODEL (adapter or model folder, alias, hub id) answer TEST.jsonl and score it."""
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.evaluation.metrics import evaluate_model
    from gemtune.monitoring.progress import CountProgress

    with CountProgress(config.monitoring.progress_every_seconds) as progress:
        metrics = evaluate_model(
            model,
            test_data,
            output_dir,
            config=config,
            on_progress=lambda n_done, n_all: progress.update("answers", n_done, n_all),
        )
    if as_json:
        click.echo(json.dumps(metrics))
        return
    for name, value in metrics.items():
        click.echo(f"{name:20} {value:.4f}" if isinstance(value, float) else f"{name:20} {value}")
    if output_dir:
        click.echo(f"answers and scores are in {output_dir}")
    click.echo(f"next: gemtune {shlex.join(['compare', 'BASE', model, str(test_data)])}")


@click.command()
@model_argument("base", "BASE")
@model_argument("tuned", "TUNED")
@path_argument("test_data", "TEST.jsonl")
@config_arguments
@output_dir_option
@json_option
def compare(
    base: str,
    tuned: str,
    test_data: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    output_dir: Path | None,
    as_json: bool,
) -> int:
    """Say whether TUNED is better than BASE on TEST.jsonl; exit code 10 when that is not proven.

    BASE and TUNED are models, or folders with finished predictions.
    """
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.evaluation.comparison import compare_models
    from gemtune.evaluation.table import comparison_table
    from gemtune.monitoring.progress import CountProgress

    with CountProgress(config.monitoring.progress_every_seconds) as progress:
        comparison = compare_models(
            base,
            tuned,
            test_data,
            output_dir,
            config=config,
            on_progress=lambda role, n_done, n_all: progress.update(
                f"answers ({role})", n_done, n_all
            ),
        )
    if as_json:
        click.echo(json.dumps(asdict(comparison)))
    else:
        click.echo(comparison_table(comparison))
        if output_dir:
            click.echo(f"answers and figures are in {output_dir}")
            click.echo(f"next: read {output_dir / 'tuned' / 'predictions.json'}")
        else:
            click.echo("next: add --output-dir DIR to keep every answer")
    return 0 if comparison.verdict == "improved" else EXIT_NOT_PROVEN


def _trainer(output_dir: str, work_dir: Path | None) -> "Callable[..., FinetuneResult]":
    """The function that trains with this folder, or this place in a bucket, as the run's home."""
    if _is_url(output_dir):
        from gemtune.vertex.finetune import finetune_to_bucket

        return partial(finetune_to_bucket, url=output_dir, work_dir=work_dir)
    if work_dir:
        raise click.UsageError("--work-dir is for runs in a bucket (OUT_DIR is gs://...)")
    from gemtune.fine_tuning.train import finetune_model

    return partial(finetune_model, output_dir=output_dir)


def _is_url(output_dir: str) -> bool:
    return output_dir.startswith("gs://")


def describe_result(result: "FinetuneResult") -> str:
    """What a run reached and where it is, in words."""
    from gemtune.monitoring.durations import in_words

    lines = (
        ["nothing to do: this run is done; --overwrite runs it again"] if result.was_done else []
    )
    took = in_words(result.seconds)
    lines.append(f"trained {result.n_steps} steps, {result.n_tokens:,} tokens in {took}")
    if result.skipped_steps:
        numbers = ", ".join(map(str, result.skipped_steps))
        lines.append(f"degraded: steps left out because they were not finite: {numbers}")
    if result.base_loss is not None and result.best_loss is not None:
        early = ", stopped early" if result.stopped_early else ""
        lines.append(f"validation loss {result.base_loss:.3f} -> {result.best_loss:.3f}{early}")
    lines.append(f"the adapter is in {result.output_dir}")
    return "\n".join(lines)
