"""`run.json` of a run that is to go on: what that stands on is there, or the file is refused."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gemtune.errors import ArtefactError
from gemtune.runs.plain_files import parse_json

_Digests = dict[str, str | None]


class _Shape(BaseModel):
    """Only what is read again; values of the wrong kind are not turned into the right one."""

    model_config = ConfigDict(strict=True)


class _Identity(_Shape):
    settings: dict[str, Any]
    data: _Digests
    base: _Digests
    tokenizer: _Digests


class _TokenLimit(_Shape):
    n_steps: int
    in_training: bool
    tokens: Annotated[int, Field(ge=1)]


class _Model(_Shape):
    dtype: str


class _Environment(_Shape):
    python: str
    packages: dict[str, Any]


class _Begun(_Shape):
    status: str
    started: str
    identity: _Identity
    micro_batch_tokens: int
    micro_batches: Annotated[list[_TokenLimit], Field(min_length=1)]
    events: list[dict[str, Any]]
    hardware: dict[str, Any]
    model: _Model
    environment: _Environment
    train_seconds: float = 0.0


class _Validation(_Shape):
    loss: float


class _Result(_Shape):
    n_steps: int
    n_tokens: int
    first: _Validation | None
    best: _Validation | None
    stopped_early: bool
    skipped_steps: list[int]


class _Done(_Begun):
    train_seconds: float
    result: _Result


def read_earlier_run(path: Path) -> dict[str, Any]:
    """Read `run.json` of an earlier process.

    Raises:
        ArtefactError: it is damaged.
    """
    try:
        record = parse_json(path.read_bytes())
        is_done = isinstance(record, dict) and record.get("status") == "done"
        begun = (_Done if is_done else _Begun).model_validate(record)
        first = begun.micro_batches[0]
        if (first.n_steps, first.in_training) == (0, False):
            return record
        reason = "micro_batches.0: it does not say how the run began"
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        reason = ": ".join(filter(None, (".".join(map(str, found["loc"])), found["msg"])))
    except ValueError as error:
        reason = str(error)
    raise ArtefactError(
        f"{path} is damaged or of an older gemtune, so that run cannot go on: {reason}",
        fix="choose another output folder, or add --overwrite (in Python overwrite=True) to start "
        "over",
    )
