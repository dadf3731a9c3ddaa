"""What a study found, read from study.json."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemtune.config.params import Params, create_config_from_params
from gemtune.config.schema import Config


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A finished study."""

    output_dir: Path
    best_params: Params
    """What is kept: the winner's if its gain is proven, else the default's."""
    best_config: Config
    winner: Mapping[str, Any]
    """`trial`, `params`, `loss` and `scores` of the trial that the rule chose."""
    n_trials: Mapping[str, int]
    """By state: `complete`, `pruned`, `ended`, `running`."""
    wall_seconds: float
    usd: float | None
    """None where no price is known."""
    stopped: str | None
    """Why the search asked for no more trials, if it was not because all were there."""
    alarms: tuple[str, ...]
    """Ranges at whose edge the best trial lies."""
    proof: Mapping[str, Any]
    """See `Proof.as_json`."""
    reproduce: str
    """The command that trains the published model again."""
    was_done: bool
    """The study was finished before; nothing has been done now."""


def read_result(
    output_dir: Path, study: Mapping[str, Any], config: Config, *, was_done: bool
) -> StudyResult:
    """Read the end of a study.

    Args:
        output_dir: Its folder.
        study: The content of study.json.
        config: What the search started from.
        was_done: See `StudyResult`.
    """
    spent, sessions = study["budget"]["spent"], study["budget"]["sessions"]
    has_price = all(session["usd_per_hour"] is not None for session in sessions)
    return StudyResult(
        output_dir=output_dir,
        best_params=study["best_params"],
        best_config=create_config_from_params(config, study["best_params"]),
        winner=study["winner"],
        n_trials=dict(Counter(trial["state"] for trial in study["trials"])),
        wall_seconds=spent["wall_seconds"],
        usd=spent["usd"] if has_price else None,
        stopped=study["budget"]["stopped"],
        alarms=tuple(edge["told"] for edge in study["edges"]),
        proof=study["proof"],
        reproduce=study["reproduce"],
        was_done=was_done,
    )
