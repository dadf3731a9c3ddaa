"""From two scored sides to figures, intervals and a verdict."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest
from scored_sides import CONFIG, SETTINGS, compare, make_examples, make_side, scorer_for

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Message
from gemtune.evaluation.comparing.difference import compare_sides
from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.findings import Comparison
from gemtune.evaluation.json_values import with_nulls

ROWS = make_examples(200)


@pytest.mark.parametrize(
    ("base", "tuned", "verdict"),
    [
        (range(20), range(120), "improved"),
        (range(120), range(20), "regressed"),
        (range(60), range(61), "no evidence"),
    ],
)
@pytest.mark.parametrize("metric", ["rougeL", "bleu", "exact_match"])
def test_the_verdict_follows_the_primary_metric(
    base: range, tuned: range, verdict: str, metric: str
) -> None:
    found = compare(ROWS, base, tuned, primary=[metric])

    assert found.verdict == verdict
    assert found.is_gate_met is (verdict == "improved")
    assert found.primary.metric == metric
    assert found.primary.low <= found.primary.difference <= found.primary.high


@pytest.mark.parametrize("metric", ["loss", "perplexity"])
def test_a_lower_loss_is_an_improvement(metric: str) -> None:
    better = compare(ROWS, range(20), range(120), primary=[metric])
    worse = compare(ROWS, range(120), range(20), primary=[metric])

    assert (better.verdict, worse.verdict) == ("improved", "regressed")
    assert better.primary.difference < 0
    assert better.primary.rows == Outcomes(win=100, tie=100, loss=0)
    assert better.wins[:2] == ("20", "21")
    assert better.regressions == ()


def test_equal_sides_differ_by_nothing_and_are_no_evidence() -> None:
    found = compare(ROWS, range(50), range(50), primary=["rougeL", "loss"])

    assert found.verdict == "no evidence"
    assert {(m.difference, m.low, m.high, m.p) for m in found.metrics} == {(0.0, 0.0, 0.0, 1.0)}
    assert {m.smallest_visible for m in found.metrics} == {None}
    assert {m.rows for m in found.metrics} == {Outcomes(0, 200, 0)}
    assert (found.wins, found.regressions) == ((), ())


def test_wins_ties_and_losses_are_counted_by_row() -> None:
    found = compare(ROWS, range(50), range(30, 90))

    assert found.primary.rows == Outcomes(win=40, tie=130, loss=30)
    assert found.primary.difference == pytest.approx(0.05)
    assert found.wins == tuple(map(str, range(50, 70)))
    assert found.regressions == tuple(map(str, range(20)))


def test_five_rows_give_no_verdict_however_clear_they_look() -> None:
    found = compare(make_examples(5), range(0), range(5))

    assert found.primary.low > 0
    assert found.verdict == "no evidence"
    assert "too few" in found.notes[0]


def test_rows_of_one_source_are_one_piece_of_evidence() -> None:
    rows = make_examples(100, group=["one source"] * 60 + [f"source {i}" for i in range(40)])

    found = compare(rows, range(0), range(60), primary=["exact_match"])

    assert found.n_groups == 41
    assert found.verdict == "no evidence"
    assert found.primary.test == "approximate randomization"
    assert found.primary.p > 0.4
    alone = compare(make_examples(100), range(0), range(60), primary=["exact_match"])
    assert (alone.verdict, alone.primary.test) == ("improved", "McNemar exact")


def test_several_primary_metrics_are_corrected_for_their_number() -> None:
    found = compare(ROWS, range(50), range(58), primary=["exact_match", "bleu"])

    by_name = {metric.metric: metric for metric in found.metrics}
    assert found.primary.metric == "exact_match"
    assert by_name["exact_match"].p == pytest.approx(2 * 0.5**8)
    smallest, other = sorted([by_name["exact_match"].p, by_name["bleu"].p])
    assert {by_name["exact_match"].p_holm, by_name["bleu"].p_holm} == {
        2 * smallest,
        max(2 * smallest, other),
    }
    assert by_name["rougeL"].p_holm is None
    assert [name for name, metric in by_name.items() if metric.is_primary] == [
        "bleu",
        "exact_match",
    ]


def test_a_correction_can_take_the_verdict_away() -> None:
    # 6 wins of 6: p is 0.031 alone and 0.063 as one of two.
    assert compare(ROWS, range(50), range(56), primary=["exact_match"]).verdict == "improved"

    found = compare(ROWS, range(50), range(56), primary=["exact_match", "rouge1"])

    assert found.verdict == "no evidence"


def test_a_margin_and_its_gate_accept_what_is_surely_not_much_worse() -> None:
    config = CONFIG.model_copy(update={"margin": 0.1, "gate": "not_worse"})

    found = compare(ROWS, range(60), range(57), config=config)

    assert (found.verdict, found.is_gate_met) == ("not worse", True)
    assert not any("margin" in note for note in found.notes)


def test_a_base_that_has_less_than_the_margin_to_lose_is_noted() -> None:
    config = CONFIG.model_copy(update={"margin": 0.1, "gate": "not_worse"})

    found = compare(ROWS, range(20), range(20), config=config)
    better = compare(ROWS, range(21), range(21), config=config)

    assert (found.verdict, found.is_gate_met) == ("no evidence", False)
    assert any("rougeL of the base is within the margin" in note for note in found.notes)
    assert not any("within the margin" in note for note in better.notes)


def test_a_gate_without_a_margin_is_noted() -> None:
    config = CONFIG.model_copy(update={"gate": "not_worse"})

    found = compare(ROWS, range(60), range(60), config=config)

    assert not found.is_gate_met
    assert any(note.startswith("evaluation.margin is 0") for note in found.notes)


def test_too_few_resamples_for_the_confidence_are_noted() -> None:
    config = EvaluationConfig(bootstrap_samples=100, confidence=0.995)

    found = compare(ROWS, range(0), range(200), config=config)

    assert any(note.startswith("100 resamples cannot show") for note in found.notes)


@pytest.mark.parametrize("loss", [float("inf"), float("nan")])
def test_a_loss_that_is_no_number_harms_no_other_figure(loss: float) -> None:
    scorer = scorer_for("loss", "rougeL")
    base = make_side(ROWS, range(20), scorer=scorer)
    tuned = make_side(ROWS, range(120), scorer=scorer, loss=loss)

    for first, second in ((base, tuned), (tuned, base), (tuned, tuned)):
        found = compare_sides(first, second, ROWS, scorer, CONFIG)

        by_name = {metric.metric: metric for metric in found.metrics}
        assert by_name["loss"].p == 1.0
        assert any(note.startswith("loss is not a finite") for note in found.notes)
        assert by_name["rougeL"].p < 0.05 or first is second
        json.dumps(with_nulls(asdict(found)), allow_nan=False)


def test_the_perplexity_of_a_hopeless_model_overflows_without_a_sound() -> None:
    scorer = scorer_for("perplexity")
    base = make_side(ROWS, range(20), scorer=scorer)
    tuned = make_side(ROWS, range(20), scorer=scorer, loss=1e6)

    found = compare_sides(base, tuned, ROWS, scorer, CONFIG)

    assert found.verdict == "regressed"
    json.dumps(with_nulls(asdict(found)), allow_nan=False)


def test_sides_that_were_decoded_differently_are_noted() -> None:
    found = compare_decoded(SETTINGS, {**SETTINGS, "dtype": "bf16"})

    assert found.notes[-1] == "dtype differs: 'fp32' (base), 'bf16' (tuned)"


def test_another_template_is_noted_but_not_another_length_in_training() -> None:
    found = compare_decoded(
        {**SETTINGS, "data": {"template": "chat", "separator": "\n", "max_length": 64}},
        {**SETTINGS, "data": {"template": "plain", "separator": "\n", "max_length": 128}},
    )

    assert [note for note in found.notes if "differs" in note] == [
        "template differs: 'chat' (base), 'plain' (tuned)"
    ]


def test_unknown_decode_settings_are_noted() -> None:
    assert "not known" in compare_decoded(SETTINGS, None).notes[-1]


def compare_decoded(base: Mapping[str, object], tuned: Mapping[str, object] | None) -> Comparison:
    sides = (make_side(ROWS, range(50), decode=decode) for decode in (base, tuned))
    return compare_sides(*sides, examples=ROWS, scorer=scorer_for("rougeL"), config=CONFIG)


@pytest.mark.parametrize(("metric", "n_notes"), [("rougeL", 1), ("bleu", 0)])
def test_references_that_rouge_cannot_read_are_noted(metric: str, n_notes: int) -> None:
    latin, greek = make_examples(100), Message("assistant", "\u03c7\u03b1\u03af\u03c1\u03b5")
    rows = [replace(latin[0], messages=(latin[0].messages[0], greek)), *latin[1:]]

    found = compare(rows, range(50), range(50), primary=[metric])

    notes = [note for note in found.notes if note.startswith("ROUGE reads a-z and 0-9 only")]
    assert len(notes) == n_notes
    assert all("1 of 100 references" in note for note in notes)


def test_the_same_call_gives_the_same_comparison() -> None:
    rows = make_examples(60, slice=["a", "b", "c"] * 20)

    first, second = (compare(rows, range(30), range(10, 50), range(40)) for _ in range(2))

    assert first == second
