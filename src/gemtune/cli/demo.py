"""`gemtune demo`: the main job on shipped data, offline, on a CPU."""

import json
import shlex
from pathlib import Path

import click

from gemtune.cli.evaluation import EXIT_NOT_PROVEN, write_comparison_report
from gemtune.cli.terminal import visible
from gemtune.cli.training import describe_result
from gemtune.errors import UsageError

# Two passes teach the task; the answers are short.
_SETTINGS = (
    "project.name=gemtune-demo",
    "fine_tuning.model=smollm2-135m",
    "fine_tuning.training.batch_size=8",
    "fine_tuning.training.learning_rate=1e-3",
    "fine_tuning.training.epochs=2",
    "evaluation.max_new_tokens=40",
    "evaluation.primary_metric=exact_match",
)
_N_SHOWN = 2


@click.command()
@click.option("--overwrite", is_flag=True, help="Train again, though an earlier demo did.")
@click.argument(
    "folder",
    metavar="[DIR]",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("gemtune-demo"),
)
def demo(folder: Path, overwrite: bool) -> int:
    """Fine-tune SmolLM2-135M on support tickets and compare it with its base, in DIR.

    Takes a few minutes on two cores; the same command goes on with a demo that was broken off.
    """
    from gemtune.config.load import load_config
    from gemtune.data.sample_task import write_sample_data

    config = load_config((), _SETTINGS)
    data_dir, model_dir, comparison_dir = (folder / n for n in ("data", "model", "comparison"))
    _refuse_other_data(data_dir)
    write_sample_data(data_dir)
    from gemtune.evaluation.comparison import compare_models
    from gemtune.evaluation.table import comparison_table
    from gemtune.fine_tuning.train import finetune_model
    from gemtune.monitoring.progress import CountProgress

    click.echo(f"the task: support tickets into records, {data_dir / 'train.jsonl'}")
    result = finetune_model(data_dir, model_dir, config, overwrite=overwrite, show_progress=True)
    click.echo(describe_result(result))
    with CountProgress(config.monitoring.progress_every_seconds) as progress:
        comparison = compare_models(
            config.fine_tuning.model,
            model_dir,
            data_dir / "test.jsonl",
            comparison_dir,
            config=config,
            overwrite=overwrite,
            on_progress=lambda role, n_done, n_all: progress.update(
                f"answers ({role})", n_done, n_all
            ),
        )
    click.echo(comparison_table(comparison))
    _show_answers(comparison_dir)
    click.echo(f"the report is {write_comparison_report(comparison_dir)}")
    click.echo(f"next: gemtune report {shlex.quote(str(comparison_dir))} --open")
    click.echo(
        "with your data: gemtune data check YOUR_DATA_DIR, then: gemtune finetune YOUR_DATA_DIR "
        "OUT_DIR"
    )
    return 0 if comparison.is_gate_met else EXIT_NOT_PROVEN


def _refuse_other_data(data_dir: Path) -> None:
    from gemtune.data.sample_task import sample_files

    for name, text in sample_files().items():
        path = data_dir / name
        if path.exists() and path.read_bytes() != text.encode():
            raise UsageError(
                f"{path} is not the demo's data and would be overwritten",
                fix="name another folder: gemtune demo DIR",
            )


def _show_answers(comparison_dir: Path) -> None:
    sides = [
        json.loads((comparison_dir / role / "predictions.json").read_text(encoding="utf-8"))
        for role in ("base", "tuned")
    ]
    for base, tuned in list(zip(*sides, strict=True))[:_N_SHOWN]:
        click.echo("")
        for label, text in (
            ("input", base["input"]),
            ("wanted", base["output"]),
            ("base", base["prediction"]),
            ("tuned", tuned["prediction"]),
        ):
            click.echo(f"  {label:7}{visible(' '.join(text.split()))[:150]}")
    click.echo("")
