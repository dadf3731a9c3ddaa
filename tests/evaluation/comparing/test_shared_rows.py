"""Test rows that the training data holds too: what counts, and what is found in public data."""

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from scored_sides import compare

from gemtune.data.examples import Example, Message
from gemtune.data.load import load_examples
from gemtune.errors import DataError
from gemtune.evaluation.comparing.shared_rows import find_shared_rows

WriteRows = Callable[..., Path]
SHARED = Path(__file__).parents[4] / "shared" / "datasets"

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"


def example(prompt: str, answer: str, row_id: str = "x") -> Example:
    return Example((Message("user", prompt), Message("assistant", answer)), id=row_id)


@pytest.fixture
def train(tmp_path: Path) -> WriteRows:
    def write(*rows: tuple[str, str]) -> Path:
        path = tmp_path / "train.jsonl"
        lines = [json.dumps({"input_text": prompt, "output_text": text}) for prompt, text in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


def counts(rows: list[Example], path: Path) -> tuple[int, int, int]:
    found = find_shared_rows(rows, path)
    return int(found.inputs.sum()), int(found.pairs.sum()), int(found.ngrams.sum())


def test_case_and_punctuation_do_not_hide_an_input(train: WriteRows) -> None:
    path = train(("What's up,  Doc?", "Nothing."), ("another", "one"))

    assert counts([example("what s UP doc", "nothing")], path) == (1, 1, 0)
    assert counts([example("what s UP doc", "something")], path) == (1, 0, 0)
    assert counts([example("what s up", "nothing")], path) == (0, 0, 0)


def test_the_same_answer_to_another_input_is_no_pair(train: WriteRows) -> None:
    path = train(("first", "yes"), ("second", "no"))

    assert counts([example("first", "no")], path) == (1, 0, 0)


def test_half_of_the_13_grams_is_enough_and_less_is_not(train: WriteRows) -> None:
    words = [f"w{i}" for i in range(16)]  # four 13-grams, the two of 14 words shared
    path = train((" ".join(words[:14]), "unseen"))

    assert counts([example(" ".join(words), "")], path) == (0, 0, 1)
    assert counts([example(" ".join([*words, "w16"]), "")], path) == (0, 0, 0)


def test_13_grams_run_from_the_input_into_the_answer_but_not_over_a_gap(train: WriteRows) -> None:
    head, tail = LONG.split()[:7], LONG.split()[7:]

    joined = train((" ".join(head), " ".join(tail)))
    assert counts([example(" ".join(head[:6]), " ".join([head[6], *tail]))], joined) == (0, 0, 1)
    broken = train((" ".join(head), " ".join(["unknown", *tail])))
    assert counts([example(LONG, "")], broken) == (0, 0, 0)


def test_rows_of_fewer_words_have_no_13_grams(train: WriteRows) -> None:
    path = train(("one two", "three"))

    assert counts([example("one", "two three")], path) == (0, 0, 0)


def test_conversations_meet_rows_of_another_format(train: WriteRows) -> None:
    row = Example(
        (Message("system", "Be kind."), Message("user", "hi"), Message("assistant", "hello")), "x"
    )

    assert counts([row], train(("be kind hi", "hello"))) == (1, 1, 0)


def test_training_data_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        find_shared_rows([example("a", "b")], tmp_path / "train.jsonl")


def test_memory_does_not_grow_with_the_training_data(train: WriteRows) -> None:
    rows = [example(LONG, f"answer{i}") for i in range(50)]
    known_words = random.Random(0)
    shuffled = [" ".join(known_words.choices(LONG.split(), k=40)) for _ in range(5000)]
    path = train((LONG, "once"), *((text, "answer0") for text in shuffled))

    tracemalloc.start()
    found = find_shared_rows(rows, path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found.ngrams.all()
    assert path.stat().st_size > 1e6
    assert peak_bytes < 0.7e6


def test_scores_are_given_with_and_without_the_shared_rows(train: WriteRows) -> None:
    rows = [example(f"question number {i}", f"the answer {i}", str(i)) for i in range(100)]
    path = train(*((row.prompt[0].content, row.completion) for row in rows[:40]))

    found = compare(rows, range(0), range(50), primary=["exact_match"], train_data=path)

    assert found.contamination is not None
    assert found.contamination.train_data == str(path)
    assert (found.contamination.n_inputs, found.contamination.n_pairs) == (40, 40)
    assert found.contamination.n_clean == 60
    assert found.primary.difference == pytest.approx(0.5)
    assert found.contamination.without is not None
    assert found.contamination.without.difference == pytest.approx(10 / 60)
    assert [note for note in found.notes if "training data" in note] == [
        "40 of 100 test rows are in the training data, word by word or nearly"
    ]
    overlap = {part.value: part.n_rows for part in found.slices if part.by == "overlap"}
    assert overlap == {"yes": 40, "no": 60}


def test_clean_test_data_has_nothing_to_leave_out(train: WriteRows) -> None:
    rows = [example(f"question number {i}", f"the answer {i}", str(i)) for i in range(100)]

    found = compare(rows, range(0), range(50), train_data=train(("other", "thing")))

    assert found.contamination is not None
    assert (found.contamination.n_clean, found.contamination.without) == (100, None)
    assert not any("training data" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("banking77", (21, 21, 13)),
        ("snips", (18, 18, 42)),
        ("e2e", (0, 0, 29)),
        ("gsm8k", (0, 0, 0)),
    ],
)
def test_public_data_sets_have_the_known_overlap(name: str, shared: tuple[int, int, int]) -> None:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"needs ../shared/datasets/{name}")

    assert counts(load_examples(folder / "test.jsonl"), folder / "train.jsonl") == shared
