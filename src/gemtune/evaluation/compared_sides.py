"""The sides of a comparison: finding all of them before the first one answers, then answering."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.evaluation.answers.answering import evaluate_side, inputs_identity, revision_of
from gemtune.evaluation.answers.predictions import read_predictions
from gemtune.evaluation.answers.record import require_same_answers
from gemtune.evaluation.answers.task import Progress
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.choose import choose_scorer
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import Side, knows_loss
from gemtune.evaluation.side_files import predictions_path_of, read_side
from gemtune.models.located import require_model

RoleProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class ComparedModels:
    """Everything that is there before a model is loaded; all by role, as "base" or "tuned-2"."""

    names: Mapping[str, str | Path]
    """In the order in which they answer."""
    finished: Mapping[str, tuple[Path, Sequence[Prediction]]]
    """Answers that are in files already."""
    digests: Mapping[str, Mapping[str, str]]
    """Of the models and the test data; empty where nothing is written."""
    examples: Sequence[Example]
    test_data: Path
    scorer: Scorer
    config: Config
    folder: Path | None
    overwrite: bool


def open_models(
    names: Mapping[str, str | Path],
    examples: Sequence[Example],
    test_data: Path,
    config: Config,
    folder: Path | None,
    *,
    overwrite: bool,
) -> ComparedModels:
    """Find every model and read every file, so that nothing is missing an hour later.

    Raises:
        ConfigError: A metric that there is not.
        DataError: Predictions do not fit the test data.
        ArtefactError: There is no such model, or its folder holds other answers.
        UsageError: A predictions file does not exist.
    """
    paths = {role: predictions_path_of(name) for role, name in names.items()}
    finished = {
        role: (path, read_predictions(path, examples)) for role, path in paths.items() if path
    }
    with_loss = all(knows_loss(predictions) for _, predictions in finished.values())
    scorer = choose_scorer(examples, config.evaluation, with_loss=with_loss)
    digests = {}
    for role, name in names.items():
        if role in finished:
            continue
        require_model(str(name), revision_of(name, config))
        if folder:
            digests[role] = inputs_identity(name, test_data, config)
            if not overwrite:
                require_same_answers(folder / role, digests[role])
    return ComparedModels(
        names, finished, digests, examples, test_data, scorer, config, folder, overwrite
    )


def answer_sides(models: ComparedModels, on_progress: RoleProgress | None) -> dict[str, Side]:
    """Score what is finished, and let the models answer one after another.

    A model that brings no template or answer length takes those of the side before it.
    """
    sides = {role: _read_side(models, role) for role in models.finished}
    for role in models.names:
        if role in sides:
            continue
        sides[role] = evaluate_side(
            models.names[role],
            models.examples,
            models.scorer,
            models.config,
            test_data=models.test_data,
            output_dir=models.folder / role if models.folder else None,
            like=next((side.decode for side in sides.values() if side.decode), None),
            digests=models.digests.get(role),
            overwrite=models.overwrite,
            on_progress=_of_role(on_progress, role),
        )
    return sides


def _read_side(models: ComparedModels, role: str) -> Side:
    path, predictions = models.finished[role]
    return read_side(
        path,
        predictions,
        models.scorer,
        models.examples,
        test_data=models.test_data,
        output_dir=models.folder / role if models.folder else None,
        overwrite=models.overwrite,
    )


def _of_role(on_progress: RoleProgress | None, role: str) -> Progress | None:
    if on_progress is None:
        return None
    return lambda n_done, n_all: on_progress(role, n_done, n_all)
