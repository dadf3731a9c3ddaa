"""`evaluate_model`: answer a test set and score the answers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.evaluation.decoding import answer_with_model, decode_settings
from gemtune.evaluation.side import ScoredBatch, Side, side_metrics
from gemtune.evaluation.side_files import append_predictions, finish_side, start_side
from gemtune.evaluation.test_set import load_test_set
from gemtune.models.load import load_model_for_generation
from gemtune.models.memory import memory_errors

Progress = Callable[[int, int], None]
"""Called with the rows that are done and all rows."""


def evaluate_model(
    model_dir: str | Path,
    test_data: str | Path,
    output_dir: str | Path | None = None,
    *,
    config: Config | None = None,
    on_progress: Progress | None = None,
) -> dict[str, float]:
    """Answer every row of the test data greedily and score the answers.

    Args:
        model_dir: Adapter folder, model folder, alias or hub id.
        test_data: JSONL file; every row's answer and `references` count as right.
        output_dir: Gets predictions.jsonl while the model answers, then predictions.json and
            metrics.json; nothing is written without it.
        config: Its `evaluation` section and, for a model that brings no template, `data`.
        on_progress: Told after each batch.

    Returns:
        `rouge1`, `rouge2`, `rougeL` (0 to 1), `bleu` (corpus, 0 to 100), `exact_match` (0 to 1),
        then the counts `n_examples`, `n_empty`, `n_truncated`, `n_prompts_truncated`.

    Raises:
        DataError: The test data is wrong; no model has been loaded yet then.
        ArtefactError: The model cannot be used.
        ResourceError: Out of memory.
    """
    examples = load_test_set(Path(test_data))
    side = evaluate_side(
        model_dir,
        examples,
        config or Config(),
        test_data=Path(test_data),
        output_dir=Path(output_dir) if output_dir is not None else None,
        on_progress=on_progress,
    )
    return side_metrics(side)


def evaluate_side(
    model: str | Path,
    examples: Sequence[Example],
    config: Config,
    *,
    test_data: Path,
    output_dir: Path | None,
    like: Mapping[str, Any] | None = None,
    on_progress: Progress | None = None,
) -> Side:
    """Do the work of `evaluate_model` on checked examples.

    `like` holds the decode settings of the other side of a comparison, see `decode_settings`.
    """
    # A revision belongs to the model that the config names, not to any other.
    revision = config.fine_tuning.revision if str(model) == config.fine_tuning.model else None
    n_done = 0

    def note(batch: ScoredBatch) -> None:
        nonlocal n_done
        n_done += len(batch)
        if output_dir is not None:
            append_predictions(output_dir, examples, batch)
        if on_progress is not None:
            on_progress(n_done, len(examples))

    with memory_errors("while loading the model", fix="choose a smaller model"):
        loaded = load_model_for_generation(
            model, revision=revision, precision=config.evaluation.precision
        )
    settings = decode_settings(loaded, examples, config, like)
    if output_dir is not None:
        start_side(output_dir)
    with memory_errors(
        f"with batches of {settings['batch_tokens']} tokens",
        fix="lower evaluation.batch_tokens or evaluation.max_new_tokens",
    ):
        side = answer_with_model(str(model), loaded, examples, settings, note)
    if output_dir is not None:
        finish_side(output_dir, side, examples, test_data)
    return side
