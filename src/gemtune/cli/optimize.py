"""`gemtune optimize`: parse, call one function, print its result."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gemtune.cli.arguments import config_arguments, json_option, path_argument
from gemtune.cli.evaluation import EXIT_NOT_PROVEN, write_comparison_report

if TYPE_CHECKING:
    from gemtune.hyperparameter.result import StudyResult

_WORKER = "worker"
# Nothing runs any more: the budget ended these.
_STATES = {"running": "not finished"}


class _Optimize(click.Group):
    """`optimize DATA_DIR OUT_DIR` searches, `optimize worker DATA_DIR OUT_DIR` helps a search."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Without the word `worker`, be the search itself."""
        if args[:1] == [_WORKER]:
            return super().make_context(info_name, args, parent, **extra)
        return search.make_context(info_name, args, parent, **extra)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What a folder is given to is the search."""
        if args[:1] == [_WORKER]:
            return super().resolve_command(ctx, args)
        return ctx.info_name, search, args


_n_trials_option = click.option(
    "--n-trials", type=click.IntRange(min=1), metavar="N", help="Settings that are tried."
)
_timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For everything: search, refits and proof.",
)
_out_dir_argument = path_argument("output_dir", "OUT_DIR")


@click.command()
@path_argument("data_dir", "DATA_DIR")
@_out_dir_argument
@config_arguments
@_n_trials_option
@_timeout_option
@json_option
def search(
    data_dir: Path,
    output_dir: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    n_trials: int | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Search for better hyperparameters on DATA_DIR (train, val and test.jsonl) into OUT_DIR.

    The winner is trained again and compared with the default on the test data: exit code 0 when it
    is better, 10 when that is not proven and the default is kept. The same command goes on with a
    search that was broken off. `gemtune optimize worker` helps with a search from another process.
    """
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.hyperparameter.optimize import run_study, with_arguments
    from gemtune.monitoring.progress import CountProgress

    with CountProgress(config.monitoring.progress_every_seconds) as progress:
        result = run_study(
            data_dir,
            output_dir,
            with_arguments(config, n_trials, timeout),
            show_progress=True,
            on_progress=progress.update,
        )
    report = _write_reports(result)
    click.echo(json.dumps(_as_json(result)) if as_json else describe_study(result, report))
    return 0 if result.proof["is_proven"] else EXIT_NOT_PROVEN


@click.command()
@path_argument("data_dir", "DATA_DIR")
@_out_dir_argument
@config_arguments
@click.option("--storage", metavar="URL", help="Database of the search, as of its other workers.")
@_n_trials_option
@_timeout_option
def worker(
    data_dir: Path,
    output_dir: Path,
    overrides: tuple[str, ...],
    config_paths: tuple[Path, ...],
    storage: str | None,
    n_trials: int | None,
    timeout: float | None,
) -> None:
    """Help with a search: train trials in OUT_DIR until none is left.

    Data and settings must be those of the search, which are compared. Choosing and proving is left
    to `gemtune optimize`. Without --storage the database is the one in OUT_DIR.
    """
    from gemtune.config.load import load_config

    config = load_config(config_paths, overrides)
    from gemtune.hyperparameter.optimize import help_study, with_arguments

    config = with_arguments(config, n_trials, timeout, storage)
    n_parts = help_study(data_dir, output_dir, config)
    click.echo(f"no trial is left for this worker; it trained {n_parts} parts of trials")


optimize = _Optimize(
    name="optimize",
    commands={"search": search, _WORKER: worker},
    help=search.help,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _write_reports(result: "StudyResult") -> Path:
    """Report the comparison, if there was one, and the study; returns where the latter is."""
    from gemtune.reporting.study_write import write_study_report

    if comparison_dir := result.proof["comparison_dir"]:
        write_comparison_report(Path(comparison_dir))
    return write_study_report(result.output_dir)


def describe_study(result: "StudyResult", report: Path) -> str:
    """What a study found and where it is, in words."""
    from gemtune.monitoring.durations import in_words

    lines = ["nothing to do: this study is done"] if result.was_done else []
    counts = ", ".join(
        f"{n} {_STATES.get(state, state)}" for state, n in sorted(result.n_trials.items())
    )
    cost = "" if result.usd is None else f", {result.usd:.2f} USD"
    n_trials = sum(result.n_trials.values())
    lines.append(f"{n_trials} trials ({counts}) in {in_words(result.wall_seconds)}{cost}")
    if result.stopped:
        lines.append(f"note: {result.stopped}")
    lines += [f"note: {told}" for told in result.alarms]
    winner, proof = result.winner, result.proof
    lines.append(f"winner: trial {winner['trial']}, validation loss {winner['loss']:.4f}")
    lines.append(f"proof: {proof['told']}")
    if proof["selection_bias"]:
        lines.append(f"note: {proof['selection_bias']}")
    lines.append(f"kept: {_in_words(result.best_params)}")
    lines.append(f"the adapter is in {result.output_dir / 'model'}")
    lines.append(f"the report is {report}")
    lines.append(f"next: {result.reproduce}")
    return "\n".join(lines)


def _in_words(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items())


def _as_json(result: "StudyResult") -> dict[str, Any]:
    return {
        **asdict(result),
        "output_dir": str(result.output_dir),
        "best_config": result.best_config.model_dump(mode="json", exclude={"hyperparameter"}),
    }
