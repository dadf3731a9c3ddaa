"""How many steps a run has, and when it validates."""

import pytest

from gemtune.config.schema import TrainingConfig
from gemtune.fine_tuning.plan import plan_run


def test_accumulated_rows_make_the_effective_batch() -> None:
    plan = plan_run(33, TrainingConfig(batch_size=4, gradient_accumulation_steps=2, epochs=3))
    assert (plan.effective_batch, plan.steps_per_epoch, plan.n_steps) == (8, 5, 15)


@pytest.mark.parametrize(("epochs", "n_steps"), [(0.5, 3), (1.0, 5), (1.1, 6)])
def test_part_of_an_epoch_is_rounded_up_to_whole_steps(epochs: float, n_steps: int) -> None:
    assert plan_run(40, TrainingConfig(epochs=epochs)).n_steps == n_steps


@pytest.mark.parametrize(("max_steps", "n_steps"), [(2, 2), (100, 15)])
def test_max_steps_only_shortens(max_steps: int, n_steps: int) -> None:
    assert plan_run(40, TrainingConfig(max_steps=max_steps)).n_steps == n_steps


def test_validation_comes_once_an_epoch_and_at_the_end() -> None:
    plan = plan_run(40, TrainingConfig(epochs=1.5))
    assert [n for n in range(1, 9) if plan.is_eval_due(n)] == [5, 8]


def test_validation_comes_every_n_steps_and_at_the_end() -> None:
    plan = plan_run(40, TrainingConfig(epochs=2, eval_every_steps=4))
    assert [n for n in range(1, 11) if plan.is_eval_due(n)] == [4, 8, 10]


def test_epochs_are_counted_in_parts() -> None:
    assert plan_run(40, TrainingConfig()).epoch_at(2) == 0.4
