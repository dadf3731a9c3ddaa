"""From a model to the scored answers of one side, going on with what a folder holds of them.

torch is not imported before it is clear that there is something to answer.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.evaluation.answers.decode_settings import wanted_settings
from gemtune.evaluation.answers.log import read_answer_log, rewrite_answer_log
from gemtune.evaluation.answers.record import open_answers
from gemtune.evaluation.answers.task import AnswerTask, Progress, score_answers, side_of
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import Side
from gemtune.evaluation.side_files import finish_side, read_answer_seconds
from gemtune.models.digest import answering_digests
from gemtune.runs.run import file_digest

logger = logging.getLogger(__name__)


def evaluate_side(
    model: str | Path,
    examples: Sequence[Example],
    scorer: Scorer,
    config: Config,
    *,
    test_data: Path,
    output_dir: Path | None,
    like: Mapping[str, Any] | None = None,
    digests: Mapping[str, str] | None = None,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> Side:
    """Do the work of `evaluate_model` on checked examples.

    Args:
        model: What the user named.
        examples: The test set.
        scorer: The metrics.
        config: Its `evaluation` and `data` sections.
        test_data: Where the examples are from.
        output_dir: Gets the files; None: nothing is written.
        like: Decode settings of the other side of a comparison, see `wanted_settings`.
        digests: From `inputs_identity`, if they are known already.
        overwrite: Start over.
        on_progress: Told after each block of rows.
    """
    wanted = wanted_settings(str(model), config, like)
    task = AnswerTask(str(model), revision_of(model, config), examples, scorer, wanted, on_progress)
    if output_dir is None:
        from gemtune.evaluation.answers.rest import answer_all  # noqa: PLC0415 - loads torch

        return answer_all(task)
    inputs = digests or inputs_identity(model, test_data, config)
    identity = {**inputs, **_flat(wanted)}
    with open_answers(output_dir, identity, overwrite=overwrite) as record:
        kept = read_answer_log(output_dir, examples) if record else []
        if record and len(kept) == len(examples):
            logger.info("%s: nothing to do: all %d answers are there", output_dir, len(kept))
            scored = score_answers(task, kept)
            rewrite_answer_log(output_dir, scorer, examples, scored)
            side = side_of(task, scored, record.decode, read_answer_seconds(output_dir))
        else:
            from gemtune.evaluation.answers.rest import answer_rest  # noqa: PLC0415 - loads torch

            side = answer_rest(task, output_dir, record, identity, kept)
        finish_side(output_dir, scorer, side, examples, test_data)
    return side


def inputs_identity(model: str | Path, test_data: Path, config: Config) -> dict[str, str]:
    """Find a model and take the digests of its files and of the test data, for evaluation.json.

    Raises:
        ArtefactError: There is no such model.
        PrerequisiteError: The model is on a hub that cannot be reached.
    """
    digests = answering_digests(str(model), revision_of(model, config))
    named = {f"model.{name}": digest for name, digest in digests.items()}
    return {**named, "test_data": file_digest(test_data)}


def revision_of(model: str | Path, config: Config) -> str | None:
    """A revision belongs to the model that the config names, not to any other."""
    return config.fine_tuning.revision if str(model) == config.fine_tuning.model else None


def _flat(wanted: Mapping[str, Any]) -> dict[str, Any]:
    template = wanted["data"]
    return {
        "data.template": template["template"],
        "data.separator": template["separator"],
        **{f"evaluation.{name}": value for name, value in wanted.items() if name != "data"},
    }
