"""`compare_models`: is the tuned model better than its base, and how sure is that?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.evaluation.difference import Comparison, compare_sides
from gemtune.evaluation.side import Side
from gemtune.evaluation.side_files import (
    describe_test_data,
    predictions_path_of,
    read_side,
    write_side,
)
from gemtune.evaluation.test_set import load_test_set
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import write_json

SCHEMA_VERSION = 1
COMPARISON_FILE = "comparison.json"

Progress = Callable[[str, int, int], None]
"""Called with the side ("base" or "tuned"), its rows that are done, and all rows."""


def compare_models(
    base: str | Path,
    tuned: str | Path,
    test_data: str | Path,
    output_dir: str | Path | None = None,
    *,
    config: Config | None = None,
    on_progress: Progress | None = None,
) -> Comparison:
    """Compare two models on the same rows, number format, answer length and batches.

    Args:
        base: Model (adapter folder, folder, alias, hub id) or finished predictions (a
            predictions.jsonl or a folder with one and no model).
        tuned: The same. Its template is used for a base that brings none of its own, too.
        test_data: JSONL file; rows with the same `group` count as one when chance is measured.
        output_dir: Gets comparison.json and each side's files under base/ and tuned/.
        config: Its `evaluation` section holds metric, confidence, resamples and seed.
        on_progress: Told after each batch.

    Raises:
        DataError: The test data is wrong, or predictions do not fit it.
        ArtefactError: A model cannot be used.
        ResourceError: Out of memory.
        UsageError: A predictions file does not exist.
    """
    config, test_path = config or Config(), Path(test_data)
    folder = Path(output_dir) if output_dir is not None else None
    examples = load_test_set(test_path)
    models = {"tuned": tuned, "base": base}
    sides = _finished_sides(models, examples)
    unfinished = {role: model for role, model in models.items() if role not in sides}
    if unfinished:
        _require_models(unfinished.values())
    if folder is not None:
        # An older result would pass for the result of this comparison if that is cut off.
        (folder / COMPARISON_FILE).unlink(missing_ok=True)
        for role, side in sides.items():
            write_side(folder / role, side, examples, test_path)
    # The tuned side goes first: it knows the template that it was trained with.
    for role, model in unfinished.items():
        from gemtune.evaluation.metrics import evaluate_side  # noqa: PLC0415 - needs torch

        sides[role] = evaluate_side(
            model,
            examples,
            config,
            test_data=test_path,
            output_dir=folder / role if folder else None,
            like=next((side.decode for side in sides.values() if side.decode), None),
            on_progress=_of_role(on_progress, role),
        )
    comparison = compare_sides(sides["base"], sides["tuned"], examples, config.evaluation)
    if folder is not None:
        record = _record(comparison, sides, test_path, examples)
        write_json(folder / COMPARISON_FILE, record)
    return comparison


def _finished_sides(
    models: Mapping[str, str | Path], examples: Sequence[Example]
) -> dict[str, Side]:
    paths = {role: predictions_path_of(model) for role, model in models.items()}
    return {role: read_side(path, examples) for role, path in paths.items() if path}


def _require_models(models: Iterable[str | Path]) -> None:
    """Find a misspelt name now, and not after the other model has answered for minutes."""
    from gemtune.models.source import find_source  # noqa: PLC0415 - needs torch

    for model in models:
        find_source(str(model))


def _of_role(on_progress: Progress | None, role: str) -> Callable[[int, int], None] | None:
    if on_progress is None:
        return None
    return lambda n_done, n_all: on_progress(role, n_done, n_all)


def _record(
    comparison: Comparison, sides: Mapping[str, Side], test_data: Path, examples: Sequence[Example]
) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        **asdict(comparison),
        "decode": {role: sides[role].decode for role in ("base", "tuned")},
        "test_data": describe_test_data(test_data, examples),
        "environment": describe_environment(),
    }
