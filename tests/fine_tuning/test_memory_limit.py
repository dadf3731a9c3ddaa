"""Micro-batches are halved when memory runs out, and later runs know when that was."""

from collections.abc import Callable, Sequence

import pytest

from gemtune.errors import ResourceError
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.rows import Row

MakeRows = Callable[..., list[Row]]


class Machine:
    """Has room for so many tokens."""

    def __init__(self, room: int) -> None:
        """`room` is in padded tokens."""
        self.room = room
        self.tried: list[int] = []

    def compute(self, tokens: int) -> float:
        """Fail if they are too many."""
        self.tried.append(tokens)
        if tokens > self.room:
            raise MemoryError
        return float(tokens)


def test_it_halves_until_it_fits_and_tells_before_the_new_size_is_used(
    make_rows: MakeRows,
) -> None:
    machine = Machine(room=300)
    told: list[tuple[Sequence[TokenLimit], int]] = []
    memory = MemoryLimit(
        [TokenLimit(0, False, 1000)], lambda limits: told.append((limits, len(machine.tried)))
    )
    assert memory.fit(machine.compute, make_rows(8), 7, in_training=True) == 250
    assert machine.tried == [1000, 500, 250]
    assert told[-1] == ([TokenLimit(0, False, 1000), TokenLimit(7, True, 250)], 2)


def test_a_size_is_in_force_from_the_moment_on_at_which_it_was_found() -> None:
    limits = [TokenLimit(0, False, 100), TokenLimit(5, True, 50), TokenLimit(8, False, 25)]
    memory = MemoryLimit(limits, lambda _: None)
    moments = [(4, True), (5, False), (5, True), (6, False), (7, True), (8, False), (9, True)]
    found = [memory.tokens_at(step, in_training=training) for step, training in moments]
    assert found == [100, 100, 50, 50, 50, 25, 25]


def test_other_errors_pass(make_rows: MakeRows) -> None:
    def fail(tokens: int) -> float:
        raise RuntimeError("a bug")

    memory = MemoryLimit([TokenLimit(0, False, 100)], lambda _: None)
    with pytest.raises(RuntimeError, match="a bug"):
        memory.fit(fail, make_rows(8), 7, in_training=True)


def test_a_row_that_does_not_fit_alone_ends_it(make_rows: MakeRows) -> None:
    rows = make_rows(8)
    longest = max(len(row.token_ids) for row in rows)
    memory = MemoryLimit([TokenLimit(0, False, 4 * longest)], lambda _: None)
    machine = Machine(room=1)
    with pytest.raises(ResourceError, match=f"in validation: a row of {longest} tokens"):
        memory.fit(machine.compute, rows, 7, in_training=False)
    assert machine.tried == [4 * longest, 2 * longest, longest]
