"""What a study is made of, told before a model is loaded."""

from pathlib import Path
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.data.files import DataFiles
from gemtune.data.load import load_examples
from gemtune.errors import DataError
from gemtune.fine_tuning.identity import describe_identity
from gemtune.hyperparameter.database import sqlite_url

DATABASE_FILE = "study.db"


def storage_of(config: Config, output_dir: Path) -> str:
    """The URL of the database."""
    return config.hyperparameter.storage or sqlite_url(output_dir / DATABASE_FILE)


def load_validation(files: DataFiles) -> list[Example]:
    """The validation data.

    Raises:
        DataError: it is wrong, or there is none.
    """
    if files.val is None:
        raise DataError(
            f"{files.train.parent} holds no val.jsonl, and trials are ranked by it",
            fix="move some rows of train.jsonl into val.jsonl: rows that are no copies of others "
            "that stay",
        )
    return load_examples(files.val)


def describe_inputs(config: Config, files: DataFiles) -> dict[str, Any]:
    """What the trials are made of: settings, digests of data, base and tokenizer."""
    identity = describe_identity(config, files)
    digests = {
        f"{group}.{name}": digest
        for group in ("data", "base", "tokenizer")
        for name, digest in identity[group].items()
    }
    rows = {"hyperparameter.validation_rows": config.hyperparameter.validation_rows}
    return {**identity["settings"], **digests, **rows}


def describe_request(config: Config, files: DataFiles) -> dict[str, Any]:
    """What was asked for; the same request has the same answer.

    Of the test data only whether it is there: nothing looks into it before the proof.
    """
    return {
        "inputs": describe_inputs(config, files),
        # Where trials are kept and what they share changes nothing, and a URL may hold a password.
        "hyperparameter": config.hyperparameter.model_dump(
            mode="json", exclude={"storage", "packing"}
        ),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "has_test_data": files.test is not None,
    }
