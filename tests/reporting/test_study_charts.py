"""Drawings of a study: what is on them, and where."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from reporting.made_studies import (
    DEFAULT,
    made_study,
    made_trial,
    made_trials,
    write_study,
)

from gemtune.reporting import cost_chart as costs
from gemtune.reporting import rate_chart as rates
from gemtune.reporting.importance_chart import doubt, importance_rows
from gemtune.reporting.log_axis import LogAxis, loss_axis, value_axis
from gemtune.reporting.parallel_chart import parallel_chart
from gemtune.reporting.rung_chart import rung_chart
from gemtune.reporting.savings import savings
from gemtune.reporting.study_files import Study, read_study_file

TRIALS = [
    made_trial(0, [2.0, 1.5], "pruned", params={**DEFAULT, "learning_rate": 1e-4}),
    made_trial(1, [3.0], "pruned", params={**DEFAULT, "learning_rate": 1e-5}),
    made_trial(2, [1.8, 1.2, 0.9], "complete"),
    made_trial(3, [1.7, 1.0, 0.6], "complete", params={**DEFAULT, "learning_rate": 0.004}),
    made_trial(4, [None], "ended", params={**DEFAULT, "learning_rate": 0.02}),
]


def read(folder: Path, trials: list[Any] = TRIALS, **changes: Any) -> Study:
    return read_study_file(write_study(folder, made_study(trials, **changes)))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-6, 1e-2, ["1e-6", "1e-5", "0.0001", "0.001", "0.01"]),
        (2e-4, 0.02, ["0.0003", "0.001", "0.003", "0.01"]),
        (0.4, 4.5, ["0.5", "1", "2"]),
    ],
)
def test_ticks_in_logarithms_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    assert [tick.label for tick in LogAxis(low, high, 0, 300).ticks()] == labels


def test_equal_ratios_are_equally_far_apart() -> None:
    axis = LogAxis(1e-5, 1e-3, 0, 200)
    assert (axis.place(1e-5), axis.place(1e-4), axis.place(1e-3), axis.place(1)) == (
        0,
        100,
        200,
        200,
    )


def test_losses_are_drawn_in_logarithms_only_where_they_differ_many_times() -> None:
    assert isinstance(loss_axis([0.05, 3.0], 200, 0), LogAxis)
    assert not isinstance(loss_axis([0.9, 1.1], 200, 0), LogAxis)
    assert not isinstance(loss_axis([0.0, 3.0], 200, 0), LogAxis)


@pytest.mark.parametrize("is_log", [True, False])
def test_a_single_value_is_drawn_in_the_middle(is_log: bool) -> None:
    assert value_axis([0.001], 0, 100, is_log=is_log).place(0.001) == 50


def test_the_best_loss_is_drawn_against_money_time_and_trials(tmp_path: Path) -> None:
    usd, time, trials = costs.cost_charts(read(tmp_path))
    assert (usd.unit, time.unit, trials.unit) == ("USD", "minutes of training", "trials, whole")
    ends = {chart.line.split()[-1] for chart in (usd, time, trials)}
    assert len(ends) == 1
    assert ends.pop().startswith(f"{float(costs.RIGHT)},")
    assert [label.partition(":")[0] for *_, label in trials.dots] == [
        "trial 0", "trial 0", "trial 2", "trial 2", "trial 3",
    ]  # fmt: skip
    # Lower losses are further down, and the default is above the winner.
    heights = [y for _, y, _ in trials.dots]
    assert heights == sorted(heights)
    assert trials.default is not None
    assert trials.default < heights[-1]


def test_the_best_loss_stays_until_a_better_one_is_found(tmp_path: Path) -> None:
    corners = [corner.split(",") for corner in costs.cost_charts(read(tmp_path))[0].line.split()]
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):
        assert x == next_x or y == next_y


def test_money_is_not_drawn_where_the_price_of_a_machine_is_not_known(tmp_path: Path) -> None:
    study = made_study(TRIALS)
    study["budget"]["sessions"][0]["usd_per_hour"] = None
    found = read_study_file(write_study(tmp_path, study))
    assert [chart.unit for chart in costs.cost_charts(found)] == [
        "minutes of training",
        "trials, whole",
    ]


def test_a_curve_ends_where_its_trial_was_stopped(tmp_path: Path) -> None:
    chart = rung_chart(read(tmp_path))
    assert chart is not None
    n_points = {curve.label[:7]: len(curve.line.split()) for curve in chart.curves}
    assert n_points == {"trial 0": 2, "trial 1": 1, "trial 2": 3, "trial 3": 3}
    assert [curve.kind for curve in chart.curves][-2:] == ["default", "winner"]
    assert [tick.label for tick in chart.x_ticks] == ["11\u00a0%", "33\u00a0%", "100\u00a0%"]


def test_a_loss_of_nothing_is_a_loss(tmp_path: Path) -> None:
    chart = rung_chart(read(tmp_path, [made_trial(0, [0.5, 0.1, 0.0], "complete")]))
    assert chart is not None
    assert len(chart.curves[0].line.split()) == 3


def test_a_learning_rate_is_drawn_as_the_range_means_it(tmp_path: Path) -> None:
    trial = made_trial(0, [1.0], "pruned", params={**DEFAULT, "batch_size": 32})
    study = read(tmp_path, [trial])
    rate = rates.reference_rate(study.trials[0], study)
    # Four times as many rows a step: twice the rate.
    assert rate == pytest.approx(DEFAULT["learning_rate"] / 2)


def test_both_ends_of_the_range_and_the_widened_one_are_drawn(tmp_path: Path) -> None:
    chart = rates.rate_chart(read(tmp_path))
    assert chart is not None
    assert [(end.label, end.is_widened) for end in chart.ends] == [
        ("0.00026", False), ("0.026", False), ("0.08", True),
    ]  # fmt: skip
    low, high, wider = (end.x for end in chart.ends)
    assert low < high < wider
    tried = {mark.label[:7]: mark for mark in chart.marks}
    assert tried["trial 1"].x < low, "a setting outside the range is drawn outside"
    assert tried["trial 3"].last is not None
    assert tried["trial 0"].last is None, "losses of stopped trials are no final losses"
    assert [label for _, label in chart.failed] == ["trial 4, learning rate 0.02: diverged"]


def test_a_learning_rate_that_was_not_searched_is_not_drawn(tmp_path: Path) -> None:
    study = made_study(TRIALS)
    del study["space"]["ranges"]["learning_rate"]
    assert rates.rate_chart(read_study_file(write_study(tmp_path, study))) is None


def test_a_trial_is_a_line_through_all_its_settings(tmp_path: Path) -> None:
    chart = parallel_chart(read(tmp_path))
    assert chart is not None
    assert [axis.name for axis in chart.axes] == [
        "learning_rate (as for batch size 8)", "batch_size", "lora_dropout",
        "loss on the validation rows",
    ]  # fmt: skip
    n_points = {line.label[:7]: len(line.line.split()) for line in chart.lines}
    assert n_points == {"trial 0": 4, "trial 1": 4, "trial 2": 4, "trial 3": 4, "trial 4": 3}
    assert chart.lines[-1].kind == "winner"


def test_values_outside_the_choices_have_a_place_in_their_order(tmp_path: Path) -> None:
    trials = [made_trial(0, [1.0], "pruned", params={**DEFAULT, "batch_size": 6})]
    chart = parallel_chart(read(tmp_path, trials))
    assert chart is not None
    assert [tick.label for tick in chart.axes[1].ticks] == ["4", "6", "8", "16"]


def test_shares_are_ranked_and_doubted_for_few_trials(tmp_path: Path) -> None:
    few, many = read(tmp_path / "a"), read(tmp_path / "b", made_trials(200))
    some = read(tmp_path / "c", made_trials(20))
    assert few.importance
    rows = importance_rows(few.importance)
    assert [row.name for row in rows] == ["learning_rate", "batch_size", "lora_dropout", "lora_r"]
    assert rows[0].low < rows[0].bar < rows[0].high
    assert "fewer than 15 trials such shares are mostly chance" in (doubt(few) or "")
    assert "fewer than 15 complete trials" in (doubt(some) or "")
    assert doubt(many) is None


def test_savings_are_those_against_trials_that_are_all_trained_to_the_end(tmp_path: Path) -> None:
    tokens, time, money = savings(read(tmp_path))
    # Two whole trials, a third, and twice a ninth, of five.
    assert tokens.used == "2,300,000"
    assert tokens.whole == "4,500,000"
    assert tokens.share == time.share == money.share == "49\u00a0%"


def test_a_trial_that_failed_unmeasured_counts_as_a_typical_one(tmp_path: Path) -> None:
    assert savings(read(tmp_path / "a", [TRIALS[4]])) == []
    tokens = savings(read(tmp_path / "b", [TRIALS[2], TRIALS[4]]))[0]
    assert tokens.whole == "1,800,000"
