"""Drawings: places, scales and round numbers."""

from pathlib import Path

import pytest
from reporting.made_comparisons import made_metric, made_slice, write_run

from gemtune.reporting.chart_axis import Axis
from gemtune.reporting.histogram import histogram
from gemtune.reporting.interval_chart import metric_marks, slice_marks
from gemtune.reporting.loss_chart import loss_chart
from gemtune.reporting.run_files import read_run_folder


def points(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.split())]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 100, ["0", "20", "40", "60", "80", "100"]),
        (0, 5.3, ["0", "2", "4"]),
        (0, 0.3, ["0.0", "0.1", "0.2", "0.3"]),
        (-0.02, 0.02, ["\u22120.02", "\u22120.01", "0.00", "0.01", "0.02"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    n_wanted = 5 if high in (100, 0.02) else 4
    assert [tick.label for tick in Axis(low, high, 0, 300).ticks(n_wanted)] == labels


def test_an_axis_that_runs_upwards_draws_the_larger_value_higher() -> None:
    axis = Axis(0, 10, 200, 0)
    assert (axis.place(0), axis.place(5), axis.place(10), axis.place(99)) == (200, 100, 0, 0)


def test_loss_curves_go_from_the_first_step_to_the_last(tmp_path: Path) -> None:
    chart = loss_chart(read_run_folder(write_run(tmp_path, n_steps=60)))

    assert chart is not None
    train = points(chart.train)
    assert len(train) == 60
    assert train[0][0] < train[-1][0]
    assert train[0][1] < train[-1][1], "a falling loss is drawn downwards"
    assert chart.smoothed
    assert [label for *_, label in chart.validation_points] == ["step 0: 5.300", "step 60: 0.410"]


def test_a_long_run_is_thinned_to_a_few_hundred_points(tmp_path: Path) -> None:
    chart = loss_chart(read_run_folder(write_run(tmp_path, n_steps=10_000)))

    assert chart is not None
    assert 200 < len(points(chart.train)) <= 300


def test_a_run_without_two_records_has_no_curve(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "metrics.jsonl").write_text('{"kind": "eval", "step": 0, "eval/loss": 5.3}\n')
    assert loss_chart(read_run_folder(run)) is None


def test_rows_without_a_change_have_a_bar_of_their_own() -> None:
    chart = histogram([0.0] * 5 + [1e-9] + [1.0] * 2 + [-0.5], 3)

    assert chart is not None
    assert [(bar.outcome, bar.label.split()[0]) for bar in chart.bars] == [
        ("worse", "1"), ("equal", "5"), ("better", "1"), ("better", "2"),
    ]  # fmt: skip
    xs = [bar.x for bar in chart.bars]
    assert xs == sorted(xs)
    assert max(bar.height for bar in chart.bars) == chart.bars[1].height


def test_every_row_is_in_one_bar() -> None:
    gains = [i / 500 - 1 for i in range(1_001)]
    chart = histogram(gains, 3)
    assert chart is not None
    assert sum(int(bar.label.split()[0].replace(",", "")) for bar in chart.bars) == len(gains)


@pytest.mark.parametrize("gains", [[], [0.0, 0.0]])
def test_no_change_at_all_is_no_histogram(gains: list[float]) -> None:
    assert histogram(gains, 3) is None


def test_an_interval_is_drawn_around_its_difference_on_its_side_of_zero() -> None:
    marks = metric_marks(made_metric(low=0.1, difference=0.2, high=0.4), margin=0.02)
    assert marks is not None
    assert marks.margin is not None
    assert marks.margin < marks.zero < marks.low < marks.point < marks.high

    lower_is_better = metric_marks(made_metric(higher_is_better=False), margin=0.02)
    assert lower_is_better is not None
    assert lower_is_better.margin is not None
    assert lower_is_better.margin > lower_is_better.zero


def test_slices_share_one_scale() -> None:
    wide, narrow = slice_marks(
        [made_slice("a", low=-1.0, high=1.0), made_slice("b", low=0.4, high=0.6)]
    )
    assert wide is not None
    assert narrow is not None
    assert wide.zero == narrow.zero
    assert (wide.high - wide.low) == pytest.approx(10 * (narrow.high - narrow.low), rel=0.02)


def test_figures_that_are_not_finite_are_not_drawn() -> None:
    assert metric_marks(made_metric(high=float("nan"))) is None
    assert slice_marks([made_slice("a", low=float("nan"))]) == [None]
