"""All trials as plain data."""

from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.claims import Part
from gemtune.hyperparameter.records import Trial
from gemtune.hyperparameter.trial_table import best_so_far, trial_rows


def test_a_loss_of_exactly_zero_is_a_loss() -> None:
    trial = Trial(0, {}, "config", 0, 1, "complete", (), None, 0)
    losses = {0: 2.0, 1: 0.0}
    parts = {
        (0, rung): Part(0, rung, "me", 1, 0, Advance(1, 1, loss, 0.1))
        for rung, loss in losses.items()
    }
    rows = trial_rows([trial], parts, (0.5, 1.0), [])
    assert rows[0]["loss"] == 0.0
    assert best_so_far(rows)[-1]["loss"] == 0.0
