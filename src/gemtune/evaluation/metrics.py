"""`evaluate_model`: answer a test set and score the answers."""

from collections.abc import Callable
from pathlib import Path

from gemtune.config.schema import Config
from gemtune.evaluation.answers.answering import evaluate_side
from gemtune.evaluation.answers.predictions import read_predictions
from gemtune.evaluation.scoring.choose import choose_scorer
from gemtune.evaluation.side import knows_loss, side_metrics
from gemtune.evaluation.side_files import predictions_path_of, read_side
from gemtune.evaluation.test_set import load_test_set

Progress = Callable[[int, int], None]
"""Called with the rows that are done and all rows."""


def evaluate_model(
    model_dir: str | Path,
    test_data: str | Path,
    output_dir: str | Path | None = None,
    *,
    config: Config | None = None,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> dict[str, float]:
    """Answer every row of the test data greedily and score the answers.

    The same call goes on with answers that were cut off: the files are the same, byte for byte, as
    if nothing had happened. Where all are there, no model is loaded and they are scored again.

    Args:
        model_dir: Adapter folder, model folder, alias or hub id; or finished predictions: a folder
            with them and no model, or a file (gemtune's, lm-eval's samples, Vertex batch
            predictions), which are scored against the test data.
        test_data: JSONL file; every row's answer and `references` count as right.
        output_dir: Gets predictions.jsonl while the model answers, then predictions.json and
            metrics.json; nothing is written without it.
        config: Its `evaluation` section and, for a model that brings no template, `data`.
        overwrite: Start over, and replace other answers in `output_dir`.
        on_progress: Told after each block of rows.

    Returns:
        `rouge1`, `rouge2`, `rougeL` (0 to 1), `bleu` (corpus, 0 to 100), the other metrics of the
        task, then the counts `n_examples`, `n_empty`, `n_truncated`, `n_prompts_truncated`,
        `n_repeated`, `n_duplicates`.

    Raises:
        ConfigError: A metric that there is not.
        DataError: The test data is wrong, or predictions do not fit it; no model has been loaded
            yet then.
        ArtefactError: The model cannot be used, or `output_dir` holds answers of something else.
        MissingExtraError: `evaluation.engine` is not installed.
        UsageError: `output_dir` holds results of another tool, or another process works in it; a
            predictions file does not exist.
        ResourceError: Out of memory or disk.
    """
    config, examples = config or Config(), load_test_set(Path(test_data))
    folder = Path(output_dir) if output_dir is not None else None
    if finished := predictions_path_of(model_dir):
        predictions = read_predictions(finished, examples)
        scorer = choose_scorer(examples, config.evaluation, with_loss=knows_loss(predictions))
        side = read_side(
            finished,
            predictions,
            scorer,
            examples,
            test_data=Path(test_data),
            output_dir=folder,
            overwrite=overwrite,
        )
        return side_metrics(side, scorer, examples)
    scorer = choose_scorer(examples, config.evaluation, with_loss=True)
    side = evaluate_side(
        model_dir,
        examples,
        scorer,
        config,
        test_data=Path(test_data),
        output_dir=folder,
        overwrite=overwrite,
        on_progress=on_progress,
    )
    return side_metrics(side, scorer, examples)
