"""`gemtune evaluate` and `compare`: parse, call one function, print its result."""

import json
import shlex
from contextlib import contextmanager
from dataclasses import asdict
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
    from collections.abc import Iterator

    from gemtune.config.schema import JudgeConfig
    from gemtune.evaluation.comparison import Judge

EXIT_NOT_PROVEN = 10

_overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Start over and replace other answers in DIR."
)


@click.command()
@model_argument("model", "MODEL")
@path_argument("test_data", "TEST.jsonl")
@config_arguments
@output_dir_option
@_overwrite_option
@json_option
def evaluate(
    model: str,
    test_data: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    output_dir: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Let MODEL (adapter or model folder, alias, hub id) answer TEST.jsonl and score it.

    MODEL may be finished predictions, too. The same command goes on with answers in DIR that were
    broken off.
    """
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.evaluation.json_values import with_nulls
    from gemtune.evaluation.metrics import evaluate_model
    from gemtune.monitoring.progress import CountProgress

    with CountProgress(config.monitoring.progress_every_seconds) as progress:
        metrics = evaluate_model(
            model,
            test_data,
            output_dir,
            config=config,
            overwrite=overwrite,
            on_progress=lambda n_done, n_all: progress.update("answers", n_done, n_all),
        )
    if as_json:
        click.echo(json.dumps(with_nulls(metrics)))
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
@click.option(
    "--also-tuned",
    "more_tuned",
    metavar="MODEL",
    multiple=True,
    help="The same training with another seed; may be repeated.",
)
@click.option(
    "--train-data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What TUNED was trained on, to look for test rows in it; else what its run tells of.",
)
@_overwrite_option
@click.option("--no-report", is_flag=True, help="Write no report.html and report.md.")
@json_option
def compare(
    base: str,
    tuned: str,
    test_data: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    output_dir: Path | None,
    more_tuned: tuple[str, ...],
    train_data: Path | None,
    overwrite: bool,
    no_report: bool,
    as_json: bool,
) -> int:
    """Say whether TUNED is better than BASE on TEST.jsonl; exit code 10 when that is not proven.

    BASE and TUNED are models, or finished predictions. Answers, figures and the report go to DIR;
    where TUNED is the folder of a run, by default into its folder `comparison`.
    """
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.evaluation.comparison import compare_models
    from gemtune.evaluation.json_values import with_nulls
    from gemtune.evaluation.judging.sentence import judge_sentence
    from gemtune.evaluation.table import comparison_table
    from gemtune.monitoring.progress import CountProgress

    output_dir = output_dir or _folder_in_run(tuned)
    with (
        # First of all, so that a missing account is told before models have answered.
        _open_judge(config.evaluation.judge) as judge,
        CountProgress(config.monitoring.progress_every_seconds) as progress,
    ):
        comparison = compare_models(
            base,
            tuned,
            test_data,
            output_dir,
            config=config,
            more_tuned=more_tuned,
            train_data=train_data,
            judge=judge,
            overwrite=overwrite,
            on_progress=lambda role, n_done, n_all: progress.update(
                "judge" if role == "judge" else f"answers ({role})", n_done, n_all
            ),
        )
    report = write_comparison_report(output_dir) if output_dir and not no_report else None
    if as_json:
        click.echo(json.dumps(with_nulls(asdict(comparison))))
    else:
        click.echo(comparison_table(comparison))
        if comparison.judge:
            click.echo(judge_sentence(comparison.judge))
        _show_places(output_dir, report)
    return 0 if comparison.is_gate_met else EXIT_NOT_PROVEN


def write_comparison_report(comparison_dir: Path) -> Path:
    """Write report.html beside the figures; returns where it is."""
    from gemtune.reporting.write import write_report

    return write_report(comparison_dir)


@contextmanager
def _open_judge(config: "JudgeConfig") -> "Iterator[Judge | None]":
    if config.model is None:
        yield None
        return
    from gemtune.vertex.gemini_judge import judge_name, open_judge

    with open_judge(config) as ask:
        yield judge_name(config.model), ask


def _folder_in_run(tuned: str) -> Path | None:
    """Where the comparison of a training run belongs."""
    from gemtune.runs.run import COMPARISON_DIR, RUN_FILE

    return Path(tuned) / COMPARISON_DIR if (Path(tuned) / RUN_FILE).is_file() else None


def _show_places(output_dir: Path | None, report: Path | None) -> None:
    if output_dir is None:
        click.echo("next: add --output-dir DIR to keep every answer and to get a report")
        return
    click.echo(f"answers and figures are in {output_dir}")
    if report:
        click.echo(f"the report is {report}")
    click.echo(f"next: gemtune report {shlex.quote(str(output_dir))} --open")
