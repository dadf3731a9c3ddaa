"""The best trials once more, by what the task is about: which of them wins, by a rule known before.

Nothing here looks at the test data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gemtune.config.schema import Config
from gemtune.data.examples import Example
from gemtune.errors import ArtefactError
from gemtune.evaluation.metrics import evaluate_model
from gemtune.evaluation.scoring.choose import choose_scorer
from gemtune.hyperparameter.advance import Engine
from gemtune.hyperparameter.parking import parked_adapter
from gemtune.hyperparameter.records import Trial
from gemtune.hyperparameter.settle import trial_dir

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many rows of it are done, and all rows."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the winner is chosen among the trials that came to the end."""

    n_finalists: int
    """The best by validation loss that are looked at again."""
    select: Literal["metric", "loss"]
    """What ranks them: `metric` on their answers to all validation rows, or the loss alone."""
    metric: str
    higher_is_better: bool

    @property
    def in_words(self) -> str:
        """The rule as people read it."""
        if self.select == "loss":
            return "the lowest validation loss wins; of equal ones the earlier trial"
        order = "highest" if self.higher_is_better else "lowest"
        return (
            f"of the {self.n_finalists} lowest validation losses, the {order} {self.metric} on all "
            "validation rows wins; of equal ones the lower loss, then the earlier trial"
        )


@dataclass(frozen=True, slots=True)
class Finalist:
    """A trial that can win."""

    trial: Trial
    loss: float
    """On the rows that trials are ranked by."""
    scores: Mapping[str, float]
    """On all validation rows; empty where the rule does not ask for answers."""


def declare_rule(config: Config, validation: Sequence[Example]) -> Rule:
    """Settle the rule; the metric is the first that decides in comparisons too.

    Raises:
        ConfigError: a metric that there is not.
    """
    scorer = choose_scorer(validation, config.evaluation, with_loss=True)
    name = scorer.primary_metrics[0]
    metric = scorer.metrics[scorer.column(name)]
    wanted = config.hyperparameter
    return Rule(wanted.n_finalists, wanted.select, name, metric.higher_is_better)


def best_trials(trials: Sequence[Trial], n_trials: int) -> list[Trial]:
    """Those that came to the end, the lowest loss first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=_by_loss)[:n_trials]


def score_finalists(
    trials: Sequence[Trial],
    rule: Rule,
    config: Config,
    validation: Path,
    output_dir: Path,
    make_engine: Callable[[], Engine],
    on_progress: Progress,
) -> list[Finalist]:
    """Let the best trials answer the validation data; the winner comes first.

    Args:
        trials: From `best_trials`.
        rule: From `declare_rule`.
        config: Its `evaluation` section.
        validation: All of the validation data.
        output_dir: Of the study; trials are parked below it, answers go there.
        make_engine: For a trial that is parked on another machine: it is trained again here.
        on_progress: Told after each block of rows.
    """
    found = []
    for trial in trials:
        scores: Mapping[str, float] = {}
        if rule.select == "metric":
            label = f"answers (trial {trial.number})"
            scores = evaluate_model(
                _adapter_of(trial, output_dir, make_engine),
                validation,
                output_dir / "finalists" / f"trial-{trial.number:04d}",
                config=config,
                on_progress=lambda n_done, n_all, label=label: on_progress(label, n_done, n_all),
            )
        assert trial.loss is not None
        found.append(Finalist(trial, trial.loss, scores))
    return rank(found, rule)


def rank(finalists: Sequence[Finalist], rule: Rule) -> list[Finalist]:
    """The winner first."""
    sign = -1.0 if rule.higher_is_better else 1.0

    def key(finalist: Finalist) -> tuple[float, float, int]:
        score = sign * finalist.scores[rule.metric] if rule.select == "metric" else 0.0
        return score, finalist.loss, finalist.trial.number

    return sorted(finalists, key=key)


def _adapter_of(trial: Trial, output_dir: Path, make_engine: Callable[[], Engine]) -> Path:
    folder = trial_dir(output_dir / "trials", trial.number)
    try:
        return parked_adapter(folder)
    except ArtefactError:
        make_engine().advance(trial.params, folder, 1.0, lambda: None)
        return parked_adapter(folder)


def _by_loss(trial: Trial) -> tuple[float, int]:
    assert trial.loss is not None
    return trial.loss, trial.number
