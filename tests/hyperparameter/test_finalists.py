"""Which trial wins, by a rule that was declared before."""

from pathlib import Path

import pytest
from hyperparameter.fake_engine import FakeEngine

from gemtune.config.load import load_config
from gemtune.data.examples import Example, Message
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.finalists import (
    Finalist,
    Rule,
    best_trials,
    declare_rule,
    rank,
    score_finalists,
)
from gemtune.hyperparameter.records import Rung, State, Trial

ACCURACY = Rule(3, "metric", "accuracy", higher_is_better=True)


def trial(number: int, loss: float, state: State = "complete") -> Trial:
    rung = Rung(1.0, Advance(1, 1, loss, 1.0))
    return Trial(number, {}, "sampler", 1, 4, state, (rung,), None, number)


def finalist(number: int, loss: float, accuracy: float) -> Finalist:
    return Finalist(trial(number, loss), loss, {"accuracy": accuracy})


def winner(rule: Rule, *finalists: Finalist) -> int:
    return rank(finalists, rule)[0].trial.number


def test_the_best_by_loss_of_those_that_came_to_the_end_are_finalists() -> None:
    trials = [trial(0, 3.0), trial(1, 0.1, "pruned"), trial(2, 1.0), trial(3, 2.0)]
    assert [each.number for each in best_trials(trials, 2)] == [2, 3]


def test_the_metric_decides_and_the_loss_only_between_equals() -> None:
    assert winner(ACCURACY, finalist(0, 1.0, 0.5), finalist(1, 2.0, 0.6)) == 1
    assert winner(ACCURACY, finalist(0, 2.0, 0.5), finalist(1, 1.0, 0.5)) == 1
    assert winner(ACCURACY, finalist(1, 1.0, 0.5), finalist(0, 1.0, 0.5)) == 0


def test_of_a_metric_that_should_be_low_the_lowest_wins() -> None:
    lowest = Rule(3, "metric", "accuracy", higher_is_better=False)
    assert winner(lowest, finalist(0, 1.0, 0.5), finalist(1, 2.0, 0.4)) == 1


def test_where_the_loss_decides_nobody_answers(tmp_path: Path) -> None:
    rule = Rule(3, "loss", "accuracy", higher_is_better=True)
    found = score_finalists(
        [trial(0, 2.0), trial(1, 1.0)],
        rule,
        load_config(),
        tmp_path / "no such file",
        tmp_path,
        FakeEngine,
        lambda *_: None,
    )
    assert [each.trial.number for each in found] == [1, 0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("metric", "higher_is_better", "order"),
    [("rougeL", True, "highest"), ("loss", False, "lowest")],
)
def test_the_rule_takes_the_metric_of_the_config_and_its_direction(
    metric: str, higher_is_better: bool, order: str
) -> None:
    config = load_config((), [f"evaluation.primary_metric={metric}", "evaluation.task=text"])
    turns = (Message("user", "hello"), Message("assistant", "a long answer"))
    rows = [Example(turns, id="1")]
    rule = declare_rule(config, rows)
    assert (rule.metric, rule.higher_is_better) == (metric, higher_is_better)
    assert f"the {order} {metric} on all validation rows wins" in rule.in_words
