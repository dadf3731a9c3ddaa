"""A judge of two answers: what counts as a win, what it may cost, and how far it can be trusted."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemtune.data.examples import Example, Message
from gemtune.errors import DataError, PrerequisiteError, RemoteError
from gemtune.evaluation.judging.judge import draw_rows, judge_sides
from gemtune.evaluation.judging.judgement import Ask, Choice, JudgeFinding, Judgement, TwoAnswers
from gemtune.evaluation.judging.summary import wilson_interval
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.side import Side


def make_examples(n_rows: int, **extra: Any) -> list[Example]:
    return [
        Example(
            (Message("user", f"question {i}"), Message("assistant", "right")), f"row-{i}", **extra
        )
        for i in range(n_rows)
    ]


def make_side(name: str, texts: Sequence[str]) -> Side:
    predictions = [Prediction(f"row-{i}", text) for i, text in enumerate(texts)]
    return Side(name, predictions, np.zeros((len(texts), 0)), decode=None)


def judge_texts(
    base: Sequence[str], tuned: Sequence[str], ask: Ask, **settings: Any
) -> JudgeFinding:
    settings = {"judge": "fake", "max_rows": 1000, "seed": 1, **settings}
    sides = make_side("base", base), make_side("tuned", tuned)
    return judge_sides(*sides, make_examples(len(base)), ask, **settings)


def prefers(wanted: str) -> Ask:
    """A judge that looks for a word in the answers."""

    def ask(pair: TwoAnswers) -> Judgement:
        has_first, has_second = wanted in pair.first, wanted in pair.second
        choice: Choice = "tie" if has_first == has_second else "first" if has_first else "second"
        return Judgement(choice, f"looked for {wanted}", n_input_tokens=10, n_output_tokens=2)

    return ask


def always(choice: Choice) -> Ask:
    return lambda pair: Judgement(choice, "habit")


def counted(ask: Ask) -> tuple[Ask, list[TwoAnswers]]:
    asked: list[TwoAnswers] = []

    def ask_and_note(pair: TwoAnswers) -> Judgement:
        asked.append(pair)
        return ask(pair)

    return ask_and_note, asked


def test_wins_losses_and_ties_are_those_of_the_tuned_side() -> None:
    base = ["bad 1", "good 2", "bad 3", "bad 4"]
    tuned = ["good 1", "bad 2", "good 3", "also bad 4"]
    found = judge_texts(base, tuned, prefers("good"))
    assert (found.outcomes.win, found.outcomes.tie, found.outcomes.loss) == (2, 1, 1)
    assert [row.outcome for row in found.rows] == ["win", "loss", "win", "tie"]
    assert found.n_inconsistent == 0
    assert found.win_share == pytest.approx(2 / 3)


def test_each_row_is_asked_in_both_orders_with_question_and_references() -> None:
    ask, asked = counted(prefers("good"))
    found = judge_texts(["bad"], ["good"], ask)
    pair = TwoAnswers("question 0", ("right",), "bad", "good")
    assert asked == [pair, replace(pair, first="good", second="bad")]
    assert (found.n_calls, found.n_input_tokens, found.n_output_tokens) == (2, 20, 4)


@pytest.mark.parametrize("choice", ["first", "second"])
def test_a_judge_that_looks_at_the_place_alone_gives_ties_and_is_found_out(choice: Choice) -> None:
    found = judge_texts(["a"] * 50, ["b"] * 50, always(choice))
    assert (found.outcomes.win, found.outcomes.tie, found.outcomes.loss) == (0, 50, 0)
    assert found.inconsistent_share == 1
    n_prefers = {"first": found.n_prefers_first, "second": found.n_prefers_second}
    assert n_prefers == {"first": 0, "second": 0, choice: 50}
    assert (found.win_share, found.low, found.high, found.p) == (None, None, None, 1)


def test_a_tie_in_one_order_alone_is_no_win() -> None:
    def ask(pair: TwoAnswers) -> Judgement:
        return Judgement("second" if pair.second == "good" else "tie", "")

    found = judge_texts(["bad"], ["good"], ask)
    assert (found.outcomes.win, found.outcomes.tie, found.n_inconsistent) == (0, 1, 1)


def test_equal_answers_are_ties_and_nobody_is_asked() -> None:
    ask, asked = counted(always("first"))
    found = judge_texts(["same", "", "a"], ["same\n", "", "b"], ask)
    assert len(asked) == 2
    assert (found.n_equal, found.outcomes.tie) == (2, 3)
    assert found.inconsistent_share == 1


def test_a_row_without_a_usable_judgement_counts_on_no_side_and_is_shown() -> None:
    def ask(pair: TwoAnswers) -> Judgement:
        if "3" in pair.question:
            return Judgement(None, "blocked: SAFETY", n_input_tokens=7)
        return prefers("good")(pair)

    found = judge_texts(["bad"] * 5, ["good"] * 5, ask)
    assert (found.outcomes.win, found.outcomes.tie, found.n_failed) == (4, 0, 1)
    assert found.failures == {"blocked: SAFETY": 1}
    assert found.rows[3].outcome == "failed"
    # After a first failure the second order is not paid for.
    assert (found.n_calls, found.n_input_tokens) == (9, 87)


def test_rows_are_drawn_by_the_seed_and_more_rows_keep_the_earlier_ones() -> None:
    examples = make_examples(100)
    assert draw_rows(examples, 20, 7) == draw_rows(examples, 20, 7)
    assert draw_rows(examples, 20, 7) != draw_rows(examples, 20, 8)
    assert set(draw_rows(examples, 20, 7)) < set(draw_rows(examples, 40, 7))
    assert draw_rows(examples, 500, 7) == list(range(100))


def test_one_row_of_each_group_is_drawn() -> None:
    examples = [
        *make_examples(6, extra={"group": "row-6"}),
        *make_examples(8)[6:],
        replace(make_examples(1)[0], id="x", extra={"group": ["a", 1]}),
    ]
    drawn = draw_rows(examples, 100, 0)
    assert len(drawn) == 4
    assert {6, 7, 8} < set(drawn)


def test_rows_that_were_judged_are_not_asked_again(tmp_path: Path) -> None:
    log = tmp_path / "judge.jsonl"
    first = judge_texts(["bad"] * 9, ["good"] * 9, prefers("good"), log_path=log, max_rows=4)
    ask, asked = counted(prefers("good"))
    found = judge_texts(["bad"] * 9, ["good"] * 9, ask, log_path=log, max_rows=4)
    assert (asked, found) == ([], first)
    found = judge_texts(["bad"] * 9, ["good"] * 9, ask, log_path=log, max_rows=6)
    assert (len(asked), found.n_rows, found.n_calls) == (4, 6, 12)


@pytest.mark.parametrize(
    ("base", "tuned", "judge"),
    [("bad", "good!", "fake"), ("bad!", "good", "fake"), ("bad", "good", "another")],
)
def test_another_answer_or_judge_is_asked_again(
    tmp_path: Path, base: str, tuned: str, judge: str
) -> None:
    log = tmp_path / "judge.jsonl"
    judge_texts(["bad"], ["good"], prefers("good"), log_path=log)
    ask, asked = counted(prefers("good"))
    judge_texts([base], [tuned], ask, log_path=log, judge=judge)
    assert len(asked) == 2


def stopped_after(n_calls: int) -> Ask:
    calls = count()

    def ask(pair: TwoAnswers) -> Judgement:
        if next(calls) >= n_calls:
            raise KeyboardInterrupt
        return prefers("good")(pair)

    return ask


@pytest.mark.parametrize("n_parallel", [1, 3])
def test_a_judging_cut_off_anywhere_goes_on_to_the_same_finding(
    tmp_path: Path, n_parallel: int
) -> None:
    texts = ["bad"] * 10, [("good", "bad too")[i % 3 == 0] for i in range(10)]
    whole = judge_texts(*texts, prefers("good"), log_path=tmp_path / "whole.jsonl")
    for n_calls in range(0, 20, 3):
        log = tmp_path / f"{n_calls}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            judge_texts(*texts, stopped_after(n_calls), log_path=log, n_parallel=n_parallel)
        found = judge_texts(*texts, prefers("good"), log_path=log, n_parallel=n_parallel)
        assert found == whole
        assert log.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_torn_last_line_is_asked_again(tmp_path: Path) -> None:
    log = tmp_path / "judge.jsonl"
    texts = ["bad"] * 3, ["good"] * 3
    whole = judge_texts(*texts, prefers("good"), log_path=log)
    content = log.read_bytes()
    log.write_bytes(content[:-20])
    ask, asked = counted(prefers("good"))
    assert judge_texts(*texts, ask, log_path=log) == whole
    assert len(asked) == 2
    assert log.read_bytes() == content


@pytest.mark.parametrize("line", ["{}", "[1]", "no json", '{"key": "k", "id": "row-0"}'])
def test_a_strange_line_names_file_and_line(tmp_path: Path, line: str) -> None:
    log = tmp_path / "judge.jsonl"
    judge_texts(["bad"], ["good"], prefers("good"), log_path=log)
    with log.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"judge\.jsonl:2: this is no line that gemtune wrote"):
        judge_texts(["bad"], ["good"], prefers("good"), log_path=log)


def failing_on(is_lost: Callable[[TwoAnswers], bool], error: Exception) -> Ask:
    def ask(pair: TwoAnswers) -> Judgement:
        if is_lost(pair):
            raise error
        return prefers("good")(pair)

    return ask


def test_a_row_that_the_service_fails_on_is_counted_and_asked_again_next_time(
    tmp_path: Path,
) -> None:
    texts = ["bad"] * 6, ["good"] * 6
    log = tmp_path / "judge.jsonl"
    ask = failing_on(lambda pair: "question 2" in pair.question, RemoteError("timed out"))
    found = judge_texts(*texts, ask, log_path=log)
    assert (found.n_failed, found.failures, found.outcomes.win) == (1, {"timed out": 1}, 5)
    healed = judge_texts(*texts, prefers("good"), log_path=log)
    assert (healed.n_failed, healed.outcomes.win) == (0, 6)


@pytest.mark.parametrize("n_parallel", [1, 4])
def test_a_service_that_is_down_ends_the_judging_and_keeps_what_was_judged(
    tmp_path: Path, n_parallel: int
) -> None:
    log = tmp_path / "judge.jsonl"
    ask = failing_on(lambda pair: int(pair.question[-1]) > 3, RemoteError("down"))
    noted, asked = counted(ask)
    with pytest.raises(RemoteError, match="down"):
        judge_texts(["bad"] * 9, ["good"] * 9, noted, log_path=log, n_parallel=n_parallel)
    assert len(log.read_text().splitlines()) == 4
    assert len(asked) <= 4 * 2 + max(3, n_parallel)


def test_a_refusal_ends_the_judging_at_once_and_keeps_what_was_judged(tmp_path: Path) -> None:
    log = tmp_path / "judge.jsonl"
    ask = failing_on(lambda pair: "question 1" in pair.question, PrerequisiteError("no quota"))
    with pytest.raises(PrerequisiteError, match="no quota"):
        judge_texts(["bad"] * 3, ["good"] * 3, ask, log_path=log, n_parallel=3)
    assert [json.loads(line)["id"] for line in log.read_text().splitlines()] == ["row-0", "row-2"]


def test_parallel_calls_change_nothing_but_the_time() -> None:
    texts = ["bad"] * 20, [("good", "bad too")[i % 2] for i in range(20)]
    expected = judge_texts(*texts, prefers("good"))
    assert judge_texts(*texts, prefers("good"), n_parallel=6) == expected


def test_progress_counts_rows_that_were_judged_before(tmp_path: Path) -> None:
    log = tmp_path / "judge.jsonl"
    judge_texts(["bad"] * 4, ["good"] * 4, prefers("good"), log_path=log, max_rows=2)
    told: list[tuple[int, int]] = []
    judge_texts(
        ["bad"] * 4,
        ["good"] * 4,
        prefers("good"),
        log_path=log,
        on_progress=lambda n_done, n_all: told.append((n_done, n_all)),
    )
    assert told == [(3, 4), (4, 4)]


def test_a_judge_that_likes_long_answers_is_found_out() -> None:
    def ask(pair: TwoAnswers) -> Judgement:
        return Judgement("first" if len(pair.first) > len(pair.second) else "second", "longer")

    base = ["short", "long enough", "short"]
    tuned = ["rather long", "brief", "long enough"]
    assert judge_texts(base, tuned, ask).longer_won_share == 1
    assert judge_texts(tuned, base, ask).longer_won_share == 1
    assert judge_texts(["bad 12"], ["good"], prefers("good")).longer_won_share == 0


def test_p_is_that_of_the_exact_sign_test() -> None:
    assert judge_texts(["bad"] * 5, ["good"] * 5, prefers("good")).p == 2 / 32
    found = judge_texts(["bad"] * 9 + ["good"], ["good"] * 9 + ["bad"], prefers("good"))
    assert found.p == pytest.approx(2 * 11 / 1024)


def test_the_interval_is_the_one_of_wilson() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    assert wilson_interval(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148, 0.95) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20, 0.95) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29, 0.95) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_a_judge_that_tosses_coins_proves_nothing() -> None:
    """P is uniform, as far as whole counts allow, and intervals hold one half."""
    generator = random.Random(0)
    n_simulations, n_rows = 300, 60

    def ask(pair: TwoAnswers) -> Judgement:
        return Judgement(generator.choice(["first", "second"]), "coin")

    texts = ["a"] * n_rows, ["b"] * n_rows
    found = [judge_texts(*texts, ask) for _ in range(n_simulations)]
    ps = np.array([one.p for one in found])
    # An exact test never says p <= level more often than level; 3 standard errors of leeway.
    for level in (0.05, 0.1, 0.25, 0.5):
        assert (ps <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / n_simulations)
    assert (ps <= 0.5).mean() > 0.25
    is_covered = [
        one.low is None or one.high is None or one.low <= 0.5 <= one.high for one in found
    ]
    assert np.mean(is_covered) == pytest.approx(0.95, abs=0.035)
    assert np.mean([one.n_inconsistent / n_rows for one in found]) == pytest.approx(0.5, abs=0.02)
