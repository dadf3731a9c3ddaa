"""Empty, cut, repeating and copied answers are counted."""

import pytest

from gemtune.data.examples import Example, Message
from gemtune.evaluation.answers.counts import count_answers, ends_in_a_loop
from gemtune.evaluation.prediction import Prediction


def example(number: int, question: str) -> Example:
    return Example((Message("user", question), Message("assistant", "yes")), id=str(number))


@pytest.mark.parametrize(
    "text",
    [
        "The answer is:" + " I do not know." * 3,
        "well, " + "the same words again " * 4 + "the same wor",
        "no " * 11,
        "0" * 30,
        "\u597d\u7684\u3002" * 10,
        "a line\n" * 6,
    ],
)
def test_a_tail_that_is_said_three_times_is_a_loop(text: str) -> None:
    assert ends_in_a_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,000,000",
        "ha ha ha",
        "It is what it is.",
        "I do not know. I do not know.",
        "I do not know. I do not know. I do not know. But I can guess.",
    ],
)
def test_short_runs_and_repetition_inside_are_no_loop(text: str) -> None:
    assert not ends_in_a_loop(text)


def test_all_that_is_wrong_with_answers_is_counted() -> None:
    answers = [
        Prediction("0", "yes", finish_reason="stop", prompt_truncated=3),
        Prediction("1", "yes", finish_reason="length"),
        Prediction("2", "yes"),
        Prediction("3", ""),
        Prediction("4", ""),
        Prediction("5", "no " * 20, finish_reason="length"),
    ]
    examples = [example(i, "one" if i in (0, 1) else f"other {i}") for i in range(6)]

    assert count_answers(answers, examples) == {
        "n_examples": 6,
        "n_empty": 2,
        "n_truncated": 2,
        "n_prompts_truncated": 1,
        "n_repeated": 1,
        # The second row asks what the first one asks.
        "n_duplicates": 1,
    }
