"""From figures to one word: direction, margin, several metrics, tiny test sets."""

from dataclasses import replace

import pytest

from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.comparing.verdict import decide, is_gate_met, worst_loss
from gemtune.evaluation.findings import MetricDifference


def found(low: float, high: float, p: float = 0.001, *, higher: bool = True) -> MetricDifference:
    return MetricDifference(
        metric="score",
        higher_is_better=higher,
        digits=3,
        is_primary=True,
        base=0.5,
        tuned=0.5 + (low + high) / 2,
        difference=(low + high) / 2,
        low=low,
        high=high,
        test="approximate randomization",
        p=p,
        p_holm=p,
        smallest_visible=0.1,
        rows=Outcomes(1, 1, 1),
    )


def verdict(*primaries: MetricDifference, margin: float = 0.0, n_groups: int = 100) -> str:
    return decide(primaries, margin=margin, confidence=0.95, n_groups=n_groups)


BETTER, WORSE, UNCLEAR = found(0.1, 0.3), found(-0.3, -0.1), found(-0.1, 0.1, p=0.9)
NAN = float("nan")


@pytest.mark.parametrize(
    ("primaries", "word"),
    [
        ([BETTER], "improved"),
        ([WORSE], "regressed"),
        ([UNCLEAR], "no evidence"),
        ([BETTER, UNCLEAR], "improved"),
        ([BETTER, WORSE], "regressed"),
        ([WORSE, UNCLEAR], "regressed"),
        ([found(0.1, 0.3, p=0.06)], "no evidence"),
        ([found(-0.3, -0.1, p=0.06)], "no evidence"),
        ([found(-0.001, 0.3, p=0.01)], "no evidence"),
        ([found(0.0, 0.3, p=0.01)], "no evidence"),
        ([found(0.0, 0.0, p=1.0)], "no evidence"),
        ([found(NAN, NAN, p=1.0)], "no evidence"),
    ],
)
def test_interval_and_corrected_probability_have_to_agree(
    primaries: list[MetricDifference], word: str
) -> None:
    assert verdict(*primaries) == word


def test_a_lower_loss_is_an_improvement_and_a_higher_one_is_not() -> None:
    assert verdict(found(-0.3, -0.1, higher=False)) == "improved"
    assert verdict(found(0.1, 0.3, higher=False)) == "regressed"
    assert verdict(found(-0.1, 0.04, p=0.5, higher=False), margin=0.05) == "not worse"
    assert verdict(found(-0.1, 0.06, p=0.5, higher=False), margin=0.05) == "no evidence"


@pytest.mark.parametrize(
    ("primaries", "margin", "word"),
    [
        ([found(-0.02, 0.1, p=0.2)], 0.05, "not worse"),
        ([found(-0.05, 0.1, p=0.2)], 0.05, "not worse"),
        ([found(-0.06, 0.1, p=0.2)], 0.05, "no evidence"),
        ([found(-0.02, 0.1, p=0.2)], 0.0, "no evidence"),
        ([BETTER], 0.05, "improved"),
        ([found(-0.04, -0.01)], 0.05, "not worse"),
        ([found(-0.06, -0.01)], 0.05, "regressed"),
        ([found(-0.02, 0.1, p=0.2), found(-0.06, 0.1, p=0.2)], 0.05, "no evidence"),
        ([BETTER, found(-0.04, -0.01)], 0.05, "not worse"),
        ([found(NAN, NAN, p=1.0)], 0.05, "no evidence"),
    ],
)
def test_not_worse_means_that_the_bad_end_is_within_the_margin(
    primaries: list[MetricDifference], margin: float, word: str
) -> None:
    assert verdict(*primaries, margin=margin) == word


@pytest.mark.parametrize("primary", [BETTER, WORSE, found(0.0, 0.01)])
def test_too_few_rows_are_no_evidence_for_anything(primary: MetricDifference) -> None:
    assert verdict(primary, margin=0.5, n_groups=5) == "no evidence"


def test_the_gate_asks_for_its_verdict() -> None:
    words = ("improved", "not worse", "no evidence", "regressed")

    assert [is_gate_met(word, "improved") for word in words] == [True, False, False, False]
    assert [is_gate_met(word, "not_worse") for word in words] == [True, True, False, False]


def test_the_worst_loss_is_the_bad_end() -> None:
    assert worst_loss(found(-0.02, 0.1), 0.05) == 0.02
    assert worst_loss(found(-0.02, 0.1, higher=False), 0.05) == 0.1


def test_rows_none_of_which_was_lost_still_leave_room_for_a_loss() -> None:
    equal = replace(found(0.0, 0.0, p=1.0), test="McNemar exact", rows=Outcomes(0, 100, 0))

    # Clopper and Pearson's upper end for 0 of 100.
    assert worst_loss(equal, 0.05) == pytest.approx(0.036217, abs=1e-6)
    assert verdict(equal, margin=0.03) == "no evidence"
    assert verdict(equal, margin=0.04) == "not worse"


def test_a_base_within_the_margin_has_nothing_to_lose_and_proves_nothing() -> None:
    hopeless = replace(found(0.0, 0.0, p=1.0), base=0.0, tuned=0.0)
    poor = replace(found(-0.04, 0.1, p=0.2), base=0.05)

    assert verdict(hopeless, margin=0.05) == "no evidence"
    assert verdict(poor, margin=0.05) == "no evidence"
    assert verdict(poor, margin=0.049) == "not worse"
    assert verdict(replace(poor, base=-3.0), margin=0.05) == "not worse"
    assert (
        verdict(replace(found(0.0, 0.01, p=0.2, higher=False), base=0.0), margin=0.05)
        == "not worse"
    )


def test_not_worse_takes_more_rows_than_the_other_verdicts() -> None:
    close = found(-0.02, 0.1, p=0.2)

    assert verdict(close, margin=0.05, n_groups=19) == "no evidence"
    assert verdict(close, margin=0.05, n_groups=20) == "not worse"
    assert verdict(BETTER, margin=0.05, n_groups=6) == "improved"
