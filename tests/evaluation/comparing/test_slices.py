"""Which slices there are, what is measured on them, and how they are corrected."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scored_sides import CONFIG, compare, make_examples

from gemtune.data.examples import Example, Message
from gemtune.evaluation.comparing.slices import MAX_VALUES, find_slices, largest_slices


def found(
    examples: list[Example], task: str = "text", overlap: NDArray[np.bool_] | None = None
) -> dict[tuple[str, str], int]:
    slices = find_slices(examples, task=task, overlap=overlap)
    return {(part.by, part.value): len(part.rows) for part in slices}


def asked(*prompts: str) -> list[Example]:
    return [
        Example((Message("user", prompt), Message("assistant", "a")), id=str(i))
        for i, prompt in enumerate(prompts)
    ]


def test_the_slice_key_may_be_any_json_value_and_each_member_of_a_list_counts() -> None:
    rows = make_examples(6, slice=["red", ["red", "big"], 7, True, None, ["red", "red"]])

    assert {key: n for key, n in found(rows).items() if key[0] == "slice"} == {
        ("slice", "red"): 3,
        ("slice", "big"): 1,
        ("slice", "7"): 1,
        ("slice", "true"): 1,
    }


def test_labels_are_slices_of_the_label_task_alone() -> None:
    rows = asked("a", "b", "c")
    rows = [replace(row, messages=(row.messages[0], Message("assistant", "x"))) for row in rows[:1]]
    rows += asked("b", "c")

    assert found(rows, task="label")["label", "a"] == 2
    assert not any(by == "label" for by, _ in found(rows))


def test_labels_that_the_slice_key_repeats_are_shown_once() -> None:
    rows = [replace(row, extra={"slice": row.completion}) for row in make_examples(4)]

    assert not any(by == "label" for by, _ in found(rows, task="label"))


def test_inputs_are_cut_into_quartiles_of_length_in_order() -> None:
    rows = asked(*("w " * n for n in [9, 1, 2, 3, 4, 5, 12, 10]))

    slices = find_slices(rows, task="text", overlap=None)

    assert [(part.value, len(part.rows)) for part in slices] == [
        ("1 to 2 words", 2),
        ("3 to 4 words", 2),
        ("5 to 9 words", 2),
        ("10 to 12 words", 2),
    ]


def test_digits_and_overlap_divide_the_rows() -> None:
    rows = asked("call 7 now", "call me", "call you")

    slices = found(rows, overlap=np.array([True, True, False]))

    assert (slices["digits", "yes"], slices["digits", "no"]) == (1, 2)
    assert (slices["overlap", "yes"], slices["overlap", "no"]) == (2, 1)


def test_a_slice_of_all_rows_says_nothing_and_is_left_out() -> None:
    assert found(make_examples(4, slice=["all"] * 4)) == {}


def test_of_very_many_values_the_largest_are_measured_and_the_rest_noted() -> None:
    rows = make_examples(400, slice=[f"s{i % 150}" for i in range(400)])

    comparison = compare(rows, range(100), range(200))

    kept = [part for part in comparison.slices if part.by == "slice"]
    assert len(kept) == MAX_VALUES
    assert {part.n_rows for part in kept} == {3}
    assert "slice has 150 values; the 100 with most rows are shown" in comparison.notes
    assert len(largest_slices(find_slices(rows, task="text", overlap=None))) == MAX_VALUES


def test_a_slice_has_the_figures_of_its_rows_and_small_ones_no_corrected_probability() -> None:
    rows = make_examples(130, slice=["won"] * 60 + ["same"] * 60 + ["small"] * 10)

    comparison = compare(rows, range(120, 120), range(60), primary=["exact_match"])

    won, same, small = (
        next(part for part in comparison.slices if part.value == name)
        for name in ("won", "same", "small")
    )
    assert (won.base, won.tuned, won.difference, won.n_rows) == (0.0, 1.0, 1.0, 60)
    assert won.p == pytest.approx(2 * 0.5**60, abs=0)
    assert won.p_bh == pytest.approx(2 * won.p, abs=0)  # two slices of 20 rows or more
    assert (same.difference, same.p, same.p_bh) == (0.0, 1.0, 1.0)
    assert small.p_bh is None


def test_rows_of_one_source_make_a_slice_small() -> None:
    rows = make_examples(
        80, slice=["x"] * 40 + ["y"] * 40, group=["one"] * 40 + [str(i) for i in range(40)]
    )

    slices = {part.value: part for part in compare(rows, range(0), range(80)).slices}

    assert slices["x"].p_bh is None
    assert slices["y"].p_bh is not None


def test_corpus_metrics_are_those_of_the_slice_alone() -> None:
    rows = make_examples(100, slice=["first"] * 50 + ["second"] * 50)

    comparison = compare(rows, range(0), range(50), primary=["bleu"], config=CONFIG)

    slices = {part.value: part for part in comparison.slices}
    assert slices["first"].tuned == pytest.approx(100.0)
    assert slices["second"].tuned == 0.0
