"""The test set: what is asked, and which answers are right."""

from collections.abc import Hashable, Sequence
from pathlib import Path

from gemtune.data.examples import Example
from gemtune.data.load import load_examples
from gemtune.errors import DataError


def load_test_set(test_data: Path) -> list[Example]:
    """Read and check the test data.

    Raises:
        DataError: A row is wrong, or two rows share an id, by which predictions are paired.
    """
    examples = load_examples(test_data)
    _require_unique_ids(examples)
    return examples


def input_text(example: Example) -> str:
    """Show the prompt as one text: a lone message as it is, more with their roles."""
    if len(example.prompt) == 1:
        return example.prompt[0].content
    return "\n".join(f"{message.role}: {message.content}" for message in example.prompt)


def accepted_answers(example: Example) -> tuple[str, ...]:
    """Return every right answer of the row, its own one first.

    Data sets with `references` mostly repeat the own one there: it counts once. What two people
    wrote alike stays twice, because NIST and CIDEr weigh by how many did.
    """
    others = list(example.references)
    if example.completion in others:
        others.remove(example.completion)
    return (example.completion, *others)


def group_of(example: Example) -> Hashable:
    """What a row shares with those that are no evidence apart from it: its `group`, or its id."""
    group = example.extra.get("group")
    # A tuple keeps an id apart from a group of the same name; groups may be any JSON value.
    return ("id", example.id) if group is None else ("group", repr(group))


def _require_unique_ids(examples: Sequence[Example]) -> None:
    first_line: dict[str, int] = {}
    for example in examples:
        line = first_line.setdefault(example.id, example.line)
        if line != example.line:
            raise DataError(
                f"{example.path}:{example.line}: line {line} has the id {example.id!r} too",
                fix="give every row of the test data an id of its own, or none at all",
            )
