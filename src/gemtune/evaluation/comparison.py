"""`compare_models`: is the tuned model better than its base, and how sure is that?"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.evaluation.answers.record import LOCK_FILE, read_answer_record
from gemtune.evaluation.compared_sides import ComparedModels, answer_sides, open_models
from gemtune.evaluation.comparing.difference import compare_sides
from gemtune.evaluation.comparing.training_data import find_train_data
from gemtune.evaluation.findings import Comparison
from gemtune.evaluation.json_values import with_nulls
from gemtune.evaluation.judging.judge import judge_sides
from gemtune.evaluation.judging.judgement import Ask, JudgeFinding
from gemtune.evaluation.judging.log import JUDGE_FILE
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import Side
from gemtune.evaluation.side_files import describe_test_data
from gemtune.evaluation.test_set import accepted_answers, load_test_set
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import write_json
from gemtune.runs.owned_folder import own_folder
from gemtune.runs.run import COMPARISON_FILE

SCHEMA_VERSION = 2
_TWO_SIDES = ("base", "tuned")

_PARALLEL_QUESTIONS = 8

Progress = Callable[[str, int, int], None]
"""Called with the side ("base", "tuned", "tuned-2"... or "judge"), rows done, and all its rows."""
Judge = tuple[str, Ask]
"""What identifies a judge, and how to ask it."""


def compare_models(
    base: str | Path,
    tuned: str | Path,
    test_data: str | Path,
    output_dir: str | Path | None = None,
    *,
    config: Config | None = None,
    more_tuned: Sequence[str | Path] = (),
    train_data: str | Path | None = None,
    judge: Judge | None = None,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> Comparison:
    """Compare two models on the same rows, number format, answer length and batches.

    The same call goes on with a comparison that was cut off; sides whose answers are all in
    `output_dir` are not loaded again.

    Args:
        base: Model (adapter folder, folder, alias, hub id) or finished predictions: a folder with
            them and no model, or a file (gemtune's, lm-eval's samples, Vertex batch predictions).
        tuned: The same. Its template is used for a base that brings none of its own, too.
        test_data: JSONL file; rows with the same `group` count as one when chance is measured.
        output_dir: Gets comparison.json and each side's files under base/, tuned/, tuned-2/...
        config: Its `evaluation` section says what is measured, how surely, and what is enough.
        more_tuned: The same training with other seeds; the chance in training is measured too.
        train_data: What the tuned model was trained on, to look for test rows in it; by default
            what the run folder `tuned` tells of.
        judge: A second opinion on rows that are drawn; no part of the verdict.
        overwrite: Start over, and replace other answers in `output_dir`.
        on_progress: Told after each block of rows.

    Raises:
        ConfigError: A metric that there is not.
        DataError: The test data is wrong, or predictions do not fit it.
        ArtefactError: A model cannot be used, or `output_dir` holds answers of something else.
        PrerequisiteError: The judge does not work for this account; the figures are written.
        RemoteError: The judge failed on several rows in a row; the same.
        ResourceError: Out of memory or disk.
        UsageError: A file does not exist, or another process works in `output_dir`.
    """
    config, test_path = config or Config(), Path(test_data)
    folder = Path(output_dir) if output_dir is not None else None
    examples = load_test_set(test_path)
    known_data = find_train_data(tuned, Path(train_data) if train_data is not None else None)
    # The tuned side goes first: it knows the template that it was trained with.
    more = {f"tuned-{number}": model for number, model in enumerate(more_tuned, start=2)}
    names = {"tuned": tuned, "base": base, **more}
    models = open_models(names, examples, test_path, config, folder, overwrite=overwrite)
    with own_folder(folder, LOCK_FILE) if folder else nullcontext():
        if folder:
            # An older result would pass for the result of this comparison if that is cut off.
            (folder / COMPARISON_FILE).unlink(missing_ok=True)
        sides = answer_sides(models, on_progress)
        comparison = compare_sides(
            sides["base"],
            sides["tuned"],
            examples,
            models.scorer,
            config.evaluation,
            more_tuned=[sides[role] for role in more],
            train_data=known_data,
        )
        if folder:
            write_json(folder / COMPARISON_FILE, _record(comparison, sides, models, folder))
        if judge:
            # The figures are on the disk by now: a service that fails costs only its own opinion.
            found = _ask_judge(judge, sides, models, on_progress)
            comparison = replace(comparison, judge=found)
        if folder and judge:
            write_json(folder / COMPARISON_FILE, _record(comparison, sides, models, folder))
    return comparison


def _ask_judge(
    judge: Judge,
    sides: Mapping[str, Side],
    models: ComparedModels,
    on_progress: Progress | None,
) -> JudgeFinding:
    (name, ask), config, folder = judge, models.config.evaluation, models.folder
    return judge_sides(
        sides["base"],
        sides["tuned"],
        models.examples,
        ask,
        judge=name,
        max_rows=config.judge.max_rows,
        seed=config.seed,
        confidence=config.confidence,
        log_path=folder / JUDGE_FILE if folder else None,
        n_parallel=_PARALLEL_QUESTIONS,
        on_progress=partial(on_progress, "judge") if on_progress else None,
    )


def _record(
    comparison: Comparison, sides: Mapping[str, Side], models: ComparedModels, folder: Path
) -> dict[str, object]:
    examples = models.examples
    return {
        "schema_version": SCHEMA_VERSION,
        **with_nulls(asdict(comparison)),
        "trained_sample": _trained_sample(folder),
        "decode": {role: sides[role].decode for role in _TWO_SIDES},
        "signatures": _signatures(models.scorer, examples),
        "test_data": describe_test_data(models.test_data, examples),
        "environment": describe_environment(),
        "seconds": {role: sides[role].answer_seconds for role in _TWO_SIDES},
    }


def _signatures(scorer: Scorer, examples: Sequence[Example]) -> dict[str, str]:
    return scorer.signatures([accepted_answers(example) for example in examples])


def _trained_sample(folder: Path) -> object:
    """What the tuned model was taught of a row; else, what the base would be."""
    records = [read_answer_record(folder / role) for role in ("tuned", "base")]
    return next((found.trained_sample for found in records if found and found.trained_sample), None)
