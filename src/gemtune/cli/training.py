"""`gemtune finetune`: parse, call one function, print its result."""

import json
import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemtune.cli.arguments import config_arguments, json_option, path_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from gemtune.fine_tuning.train import FinetuneResult


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
