"""What makes two runs the same run: if one of these differs, a run must not simply go on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gemtune.config.precision import resolve_precision_request
from gemtune.config.schema import Config, TrainingConfig
from gemtune.data.files import DataFiles
from gemtune.errors import ArtefactError
from gemtune.models.digest import base_digests
from gemtune.runs.changes import Change, list_changes
from gemtune.runs.run import file_digest

Identity = Mapping[str, Mapping[str, Any]]
"""By group and name: `settings` of the config; digests of `data`, `base` and `tokenizer`."""

# These decide when something is saved and what is endured, never a number. Of the two batch sizes
# only the product counts; micro_batch_tokens rounds differently and is looked at on its own.
_FREE_KEYS = frozenset(
    {
        "batch_size",
        "fp16",
        "gradient_accumulation_steps",
        "max_skipped_steps",
        "micro_batch_tokens",
        "save_every_minutes",
        "save_every_steps",
    }
)


def describe_identity(config: Config, files: DataFiles) -> Identity:
    """Take the digests of data, base and tokenizer, and the settings that move numbers.

    Raises:
        ArtefactError: there is no such base model.
        PrerequisiteError: the base model is on a hub that cannot be reached.
    """
    digests = {"train": file_digest(files.train), "val": files.val and file_digest(files.val)}
    model = base_digests(config.fine_tuning.model, config.fine_tuning.revision)
    return {"settings": number_settings(config), "data": digests, **model}


def find_changes(old: Identity, new: Identity) -> list[Change]:
    """Compare the identity of a run with the one that is to continue it.

    A setting that one of the two does not know belongs to another version of gemtune and is left
    out; versions are told apart elsewhere.
    """
    unknown = old["settings"].keys() ^ new["settings"].keys()
    return [
        change for change in list_changes(_flat(old), _flat(new)) if change.field not in unknown
    ]


def is_about_data(change: Change) -> bool:
    """Whether only the content of a data file is another one."""
    return change.field in ("data.train", "data.val")


def changed_inputs_error(run_dir: Path, changes: Iterable[Change]) -> ArtefactError:
    """Say that a run cannot go on, what has changed, and the ways out."""
    changes = list(changes)
    told = "; ".join(map(str, changes))
    only_data = all(map(is_about_data, changes))
    allowed = ", or add --allow-changed-data (allow_changed_data=True) to go on with the new data"
    return ArtefactError(
        f"{run_dir} holds a run that was started with something else: {told}",
        fix=f"bring back what it was started with{allowed if only_data else ''}; choose another "
        "output folder; or add --overwrite (in Python overwrite=True) to start over",
    )


def _flat(identity: Identity) -> dict[str, Any]:
    digests = {
        f"{group}.{name}": digest
        for group in ("data", "base", "tokenizer")
        for name, digest in identity[group].items()
    }
    return {**identity["settings"], **digests}


def number_settings(config: Config) -> dict[str, Any]:
    """The settings that move numbers, by their keys in the config."""
    training = config.fine_tuning.training
    values = {
        **{f"data.{key}": value for key, value in config.data.model_dump(mode="json").items()},
        "fine_tuning.method": config.fine_tuning.method,
    }
    for key, value in config.fine_tuning.lora.model_dump(mode="json").items():
        values[f"fine_tuning.lora.{key}"] = value
    for key, value in training.model_dump(mode="json").items():
        if key not in _FREE_KEYS:
            values[f"fine_tuning.training.{key}"] = value
    values["fine_tuning.training.precision"] = resolve_precision_request(training)
    values["fine_tuning.training.batch_size x gradient_accumulation_steps"] = _rows_a_step(training)
    return values


def _rows_a_step(training: TrainingConfig) -> int:
    return training.batch_size * training.gradient_accumulation_steps
