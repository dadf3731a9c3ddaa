"""Answers that something is wrong with, whatever their scores."""

from collections.abc import Sequence

from gemtune.data.examples import Example, Message
from gemtune.evaluation.prediction import Prediction

_N_TIMES = 3
# Short runs are no loops: "1,000", "ha ha ha", a line of dashes.
_MIN_LOOP_CHARACTERS = 30


def count_answers(predictions: Sequence[Prediction], examples: Sequence[Example]) -> dict[str, int]:
    """Count rows, and those that are empty, cut off, in a loop, or what an earlier row got.

    Args:
        predictions: In the order of the examples.
        examples: The test set.
    """
    return {
        "n_examples": len(predictions),
        "n_empty": sum(not found.text.strip() for found in predictions),
        "n_truncated": sum(found.finish_reason == "length" for found in predictions),
        "n_prompts_truncated": sum(bool(found.prompt_truncated) for found in predictions),
        "n_repeated": sum(ends_in_a_loop(found.text) for found in predictions),
        "n_duplicates": _count_duplicates(predictions, examples),
    }


def ends_in_a_loop(text: str) -> bool:
    """Whether the tail of an answer is one piece of text, said three or more times in a row."""
    text = text.rstrip()
    for n_piece in range(1, len(text) // _N_TIMES + 1):
        n_tail = max(_N_TIMES * n_piece, _MIN_LOOP_CHARACTERS)
        tail = text[-n_tail:]
        # A tail that equals itself a piece further on repeats that piece, wherever it was cut off.
        if len(tail) == n_tail and tail[n_piece:] == tail[:-n_piece]:
            return True
    return False


def _count_duplicates(predictions: Sequence[Prediction], examples: Sequence[Example]) -> int:
    """Answers in the words of an earlier one to another prompt; empty ones are counted apart."""
    asked: dict[str, set[tuple[Message, ...]]] = {}
    n_duplicates = 0
    for found, example in zip(predictions, examples, strict=True):
        earlier = asked.setdefault(found.text, set())
        n_duplicates += bool(found.text and earlier - {example.prompt})
        earlier.add(example.prompt)
    return n_duplicates
