"""`optimize_hyperparameters`: search, choose, prove, and keep what is better."""

from pathlib import Path

from gemtune.config.params import Param, Params, create_config_from_params
from gemtune.config.schema import Config
from gemtune.data.files import find_data_files
from gemtune.errors import UsageError
from gemtune.fine_tuning.train import FinetuneResult, finetune_model
from gemtune.hyperparameter.finalists import Progress
from gemtune.hyperparameter.inputs import describe_request, load_validation
from gemtune.hyperparameter.ledger import Stopwatch
from gemtune.hyperparameter.limits import limits_of
from gemtune.hyperparameter.order import Order, show_nothing
from gemtune.hyperparameter.publication import MODEL_DIR
from gemtune.hyperparameter.record import STUDY_FILE, is_same, read_study
from gemtune.hyperparameter.result import StudyResult, read_result
from gemtune.runs.owned_folder import own_folder

LOCK_FILE = "study.lock"


def optimize_hyperparameters(
    data_dir: str | Path,
    output_dir: str | Path,
    config: Config | None = None,
    n_trials: int | None = None,
    timeout: float | None = None,
) -> tuple[dict[str, Param], Config]:
    """Search for better hyperparameters and prove that they are better, or keep the default.

    The same call goes on with a study that was broken off, with the same result; a study that is
    done is not done again.

    Args:
        data_dir: Folder with train.jsonl, val.jsonl (which ranks the trials) and test.jsonl (which
            nothing but the proof looks at).
        output_dir: Gets study.json, best_config.yaml and, in `model/`, the adapter.
        config: What the search starts from; its section `hyperparameter` says the rest.
        n_trials: Settings that are tried, instead of `hyperparameter.n_trials`.
        timeout: Seconds for everything, instead of `hyperparameter.timeout_seconds`.

    Returns:
        The hyperparameters that are kept, by name, and the config with them: the winner's if its
        gain is proven, else the default's.

    Raises:
        BudgetError: time or money do not suffice for the settings that are always tried.
        ConfigError: the config cannot be searched with.
        DataError: the data is wrong, or there is no validation data.
        NotFiniteError: no trial came to its end.
        ArtefactError: the study was begun with something else.
        UsageError: another process works on the study.
    """
    result = run_study(data_dir, output_dir, with_arguments(config or Config(), n_trials, timeout))
    return dict(result.best_params), result.best_config


def finetune_with_best_params(
    data_dir: str | Path,
    output_dir: str | Path,
    config: Config,
    best_params: Params,
    *,
    overwrite: bool = False,
    show_progress: bool = False,
) -> FinetuneResult:
    """Fine-tune with the hyperparameters that a search found.

    Args:
        data_dir: Folder with the data.
        output_dir: Run folder.
        config: Everything else.
        best_params: From `optimize_hyperparameters`.
        overwrite: Start over, and replace an earlier run in `output_dir`.
        show_progress: Report on stderr while it runs.

    Raises:
        ConfigError: a name is unknown, or its key does not take the value.
        GemtuneError: whatever `finetune_model` raises.
    """
    return finetune_model(
        data_dir,
        output_dir,
        create_config_from_params(config, best_params),
        overwrite=overwrite,
        show_progress=show_progress,
    )


def with_arguments(
    config: Config,
    n_trials: int | None = None,
    timeout: float | None = None,
    storage: str | None = None,
) -> Config:
    """The config with the arguments of a call in the place of its keys."""
    given = {"n_trials": n_trials, "timeout_seconds": timeout, "storage": storage}
    changes = {name: value for name, value in given.items() if value is not None}
    values = config.model_dump()
    values["hyperparameter"] |= changes
    return Config.model_validate(values)


def run_study(
    data_dir: str | Path,
    output_dir: str | Path,
    config: Config,
    *,
    show_progress: bool = False,
    on_progress: Progress = show_nothing,
) -> StudyResult:
    """Do the work of `optimize_hyperparameters` and tell all of the result.

    Args:
        data_dir: Folder with the data.
        output_dir: Folder of the study.
        config: What the search starts from.
        show_progress: Report on stderr while refits are trained.
        on_progress: Told of rows that are answered.
    """
    watch, folder = Stopwatch(), Path(output_dir)
    files = find_data_files(Path(data_dir))
    # What can be wrong is told before a model is loaded.
    limits_of(config.hyperparameter)
    load_validation(files)
    with own_folder(folder, LOCK_FILE):
        _require_no_other_model(folder)
        request = describe_request(config, files)
        found = read_study(folder)
        if found and found["status"] == "done" and is_same(found["request"], request):
            return read_result(folder, found, config, was_done=True)
        from gemtune.hyperparameter.stages import work_on  # noqa: PLC0415 - loads torch

        work_on(Order(files, folder, config, request, watch, on_progress, show_progress))
        found = read_study(folder)
        assert found
        return read_result(folder, found, config, was_done=False)


def _require_no_other_model(folder: Path) -> None:
    """The adapter of a study replaces the one before it, which must not be somebody else's."""
    model_dir = folder / MODEL_DIR
    if model_dir.exists() and not (folder / STUDY_FILE).exists():
        raise UsageError(
            f"{model_dir} is not of a study of gemtune, and would be replaced",
            fix="choose another output folder",
        )


def help_study(data_dir: str | Path, output_dir: str | Path, config: Config) -> int:
    """Train trials of a study that `optimize_hyperparameters` leads, in this process too.

    Args:
        data_dir: The same data.
        output_dir: Where trials are parked; a folder of its own, or that of the study.
        config: The same config; `hyperparameter.storage` says where the study is.

    Returns:
        How many parts of trials this process trained.

    Raises:
        ArtefactError: data or config are not those of the study.
        GemtuneError: whatever `optimize_hyperparameters` raises.
    """
    watch = Stopwatch()
    files = find_data_files(Path(data_dir))
    limits_of(config.hyperparameter)
    from gemtune.hyperparameter.stages import help_with  # noqa: PLC0415 - loads torch

    return help_with(Order(files, Path(output_dir), config, {}, watch))
