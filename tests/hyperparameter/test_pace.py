"""What the rest of a study costs, told from what its parts took."""

import pytest

from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.board import Standing
from gemtune.hyperparameter.pace import (
    FinalWork,
    Pace,
    finish_seconds,
    group_seconds,
    measure_pace,
)

FRACTIONS = (1 / 9, 1 / 3, 1.0)
PACE = Pace((1.0, 2.0, 6.0), training_seconds=9.0, seconds_per_token=0.01)


def part(seconds: float, n_tokens: int, ended: str | None = None) -> Advance:
    return Advance(1, n_tokens, 1.0, seconds, ended)


def test_before_anything_was_measured_there_is_no_pace() -> None:
    assert measure_pace({}, FRACTIONS, 0) is None
    assert measure_pace({(0, 0): part(5.0, 100, "not finite")}, FRACTIONS, 0) is None


def test_parts_that_were_not_measured_cost_what_their_share_of_the_tokens_says() -> None:
    pace = measure_pace({(0, 0): part(1.0, 100)}, FRACTIONS, 0)
    assert pace
    assert pace.part_seconds == pytest.approx((1.0, 2.0, 6.0))
    assert pace.training_seconds == pytest.approx(9.0)
    assert pace.seconds_per_token == pytest.approx(9.0 / 900)


def test_every_part_validates_however_short_it_is() -> None:
    # 250 tokens forward cost what 100 tokens of training do.
    pace = measure_pace({(0, 0): part(2.0, 100)}, FRACTIONS, 250)
    assert pace
    assert pace.part_seconds == pytest.approx((2.0, 3.0, 7.0))
    assert pace.training_seconds == pytest.approx(9.0)


def test_a_part_that_was_found_done_after_a_kill_does_not_make_trials_look_fast() -> None:
    seconds = [4.0, 0.01, 4.2]
    pace = measure_pace({(i, 0): part(s, 100) for i, s in enumerate(seconds)}, FRACTIONS, 0)
    assert pace
    assert pace.part_seconds[0] == 4.0


def test_the_fastest_parts_tell_what_is_possible_at_all() -> None:
    results = {(i, 0): part(s, 100) for i, s in enumerate((1.0, 9.0, 9.0))}
    pace = measure_pace(results, FRACTIONS, 0, min)
    assert pace
    assert pace.training_seconds == pytest.approx(9.0)


def test_a_group_costs_its_halving() -> None:
    # 9 to the first rung, 4 (one more than a third) to the second, 2 to the end.
    assert group_seconds(PACE, 9, eta=3) == 9 * 1 + 4 * 2 + 2 * 6
    assert group_seconds(PACE, 1, eta=3) == 9


def test_what_was_begun_costs_the_open_parts_and_what_survives_of_them() -> None:
    standings = {
        0: Standing("pruned", 0),
        1: Standing("open", 1),
        2: Standing("waiting", 1),
        3: Standing("open", 1),
    }
    assert finish_seconds(PACE, standings, eta=3) == 2 * 2 + 1 * 6
    assert finish_seconds(PACE, {0: Standing("complete", 2)}, eta=3) == 0.0


def test_the_end_of_a_study_costs_refits_answers_validation_and_loading() -> None:
    work = FinalWork(n_refits=6, n_answering=7, n_answered_tokens=1000, n_validated_tokens=500)
    assert work.seconds(PACE, setup_seconds=2.0) == pytest.approx(6 * 9 + 12 + 13 * 2)
