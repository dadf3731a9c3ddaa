"""Is the winner better than the default? Asked once, on rows that nothing was chosen by."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from gemtune.config.schema import Config
from gemtune.data.files import find_data_files
from gemtune.evaluation.comparison import compare_models
from gemtune.evaluation.findings import Comparison
from gemtune.hyperparameter.evidence import Evidence, gather, tell
from gemtune.hyperparameter.finalists import Finalist, Progress
from gemtune.hyperparameter.ledger import Stopwatch
from gemtune.hyperparameter.publication import publish
from gemtune.hyperparameter.refits import Contender, Refit, best_refit, refit

logger = logging.getLogger(__name__)

PROOF_DIR = "proof"
MayRefit = Callable[[float], bool]
"""Asked with the seconds that the last seed took on both sides."""
Outcome = Literal["proven", "not proven", "default is best", "no test data"]

_NO_EVIDENCE = dict.fromkeys(field.name for field in fields(Evidence))
_BEST_ALREADY = (
    "the default is the best setting that was found, so there is nothing to prove; it is kept"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be proven, and with what."""

    winner: Finalist
    default: Contender
    data_dir: Path
    output_dir: Path
    config: Config

    @property
    def contender(self) -> Contender:
        """The winner as what is trained again."""
        trial = self.winner.trial
        return Contender(f"trial-{trial.number:04d}", trial.params)


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found."""

    outcome: Outcome
    told: str
    """The outcome in one sentence."""
    published: str
    """The contender whose run is in `model/`."""
    published_run: str
    published_seed: int
    winner_losses: tuple[float, ...]
    """Of its runs, by seed, on all validation rows."""
    default_losses: tuple[float, ...]
    evidence: Evidence | None
    """None where nothing was compared."""

    @property
    def is_proven(self) -> bool:
        """Whether the winner is better than the default, and surely so."""
        return self.outcome == "proven"

    def as_json(self) -> dict[str, Any]:
        """Plain data for study.json; `evidence` on the same level, null where there is none."""
        found = asdict(self)
        return {**found, **(found.pop("evidence") or _NO_EVIDENCE), "is_proven": self.is_proven}


@dataclass(frozen=True, slots=True)
class Refits:
    """The runs of both sides."""

    winner: Sequence[Refit]
    default: Sequence[Refit]


def prove(
    asked: Question, on_progress: Progress, may_refit: MayRefit, *, show_progress: bool
) -> Proof:
    """Train winner and default again, compare them on the test data, and publish one of them.

    The test data is read when all runs are done, not before. What is done stays done: the same
    call goes on.

    Args:
        asked: What is to be proven.
        on_progress: Told of rows that are answered.
        may_refit: Whether the budget has room for both sides with one more seed.
        show_progress: Report on stderr while refits are trained.

    Raises:
        DataError: the test data is wrong.
    """
    if dict(asked.winner.trial.params) == dict(asked.default.params):
        # Nothing will be compared, so no spread over seeds is needed.
        runs = [_train(asked, asked.default, 0, show_progress=show_progress)]
        return _end(asked, "default is best", _BEST_ALREADY, Refits(runs, runs))
    n_seeds = asked.config.hyperparameter.n_refits if _test_data(asked) else 1
    refits = _train_both(asked, n_seeds, may_refit, show_progress=show_progress)
    test = _test_data(asked)
    if test is None:
        told = (
            f"{asked.data_dir} holds no test.jsonl, so nothing is proven, and the default is "
            "kept: the validation data cannot prove what was chosen by it. Add rows that are in "
            "no other split as test.jsonl and run the same command again"
        )
        return _end(asked, "no test data", told, refits)
    comparison_dir = asked.output_dir / PROOF_DIR / asked.contender.name
    comparison = _compare(asked, test, comparison_dir, refits, on_progress)
    evidence = gather(comparison, comparison_dir, asked.winner, refits.winner)
    # Whatever the gate of `compare` is: a setting that is only not worse is no reason to change.
    outcome = "proven" if comparison.verdict == "improved" else "not proven"
    return _end(asked, outcome, tell(comparison, len(refits.winner)), refits, evidence)


def _test_data(asked: Question) -> Path | None:
    return find_data_files(asked.data_dir).test


def _train_both(
    asked: Question, n_seeds: int, may_refit: MayRefit, *, show_progress: bool
) -> Refits:
    """Both sides have the same seeds; the first one is trained whatever the budget says."""
    default: list[Refit] = []
    winner: list[Refit] = []
    while len(winner) < n_seeds:
        watch, n_done = Stopwatch(), len(winner)
        default.append(_train(asked, asked.default, n_done, show_progress=show_progress))
        winner.append(_train(asked, asked.contender, n_done, show_progress=show_progress))
        if len(winner) < n_seeds and not may_refit(watch.seconds):
            told = "the budget has room for %d of the %d seeds that the proof was to have"
            logger.warning(told, len(winner), n_seeds)
            break
    return Refits(winner=winner, default=default)


def _train(asked: Question, contender: Contender, n_before: int, *, show_progress: bool) -> Refit:
    return refit(
        contender,
        n_before,
        asked.data_dir,
        asked.output_dir,
        asked.config,
        show_progress=show_progress,
    )


def _compare(
    asked: Question, test: Path, comparison_dir: Path, refits: Refits, on_progress: Progress
) -> Comparison:
    first = best_refit(refits.winner)

    def tell_rows(role: str, n_done: int, n_all: int) -> None:
        name = "default" if role == "base" else role.replace("tuned", "winner")
        on_progress(f"test answers ({name})", n_done, n_all)

    return compare_models(
        # The strongest of the default's runs, chosen without the test data: no easy opponent.
        best_refit(refits.default).run_dir,
        first.run_dir,
        test,
        comparison_dir,
        config=asked.config,
        more_tuned=[each.run_dir for each in refits.winner if each is not first],
        on_progress=tell_rows,
    )


def _end(
    asked: Question,
    outcome: Outcome,
    told: str,
    refits: Refits,
    evidence: Evidence | None = None,
) -> Proof:
    is_proven = outcome == "proven"
    run = best_refit(refits.winner if is_proven else refits.default)
    publish(run.run_dir, asked.output_dir)
    logger.info("%s", told)
    return Proof(
        outcome=outcome,
        told=told,
        published=(asked.contender if is_proven else asked.default).name,
        published_run=str(run.run_dir),
        published_seed=run.seed,
        winner_losses=tuple(each.loss for each in refits.winner),
        default_losses=tuple(each.loss for each in refits.default),
        evidence=evidence,
    )
