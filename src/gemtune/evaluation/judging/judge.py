"""Ask a judge which of two answers is better, for rows drawn from a test set.

Every row is asked twice with the answers in both orders, and only what holds in both counts.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from gemtune.data.examples import Example
from gemtune.errors import GemtuneError, RemoteError
from gemtune.evaluation.judging.judgement import (
    Ask,
    Choice,
    JudgedRow,
    JudgeFinding,
    Judgement,
    RowOutcome,
    TwoAnswers,
)
from gemtune.evaluation.judging.log import append_judge_log, judge_key, read_judge_log
from gemtune.evaluation.judging.summary import summarize_judging
from gemtune.evaluation.side import Side
from gemtune.evaluation.test_set import accepted_answers, group_of, input_text

# So many rows one after another that the service failed on are not the fault of the rows.
_MAX_LOST_IN_A_ROW = 3
_WHEN_BASE_FIRST: Mapping[Choice, RowOutcome] = {"first": "loss", "second": "win", "tie": "tie"}
_WHEN_TUNED_FIRST: Mapping[Choice, RowOutcome] = {"first": "win", "second": "loss", "tie": "tie"}


def judge_sides(
    base: Side,
    tuned: Side,
    examples: Sequence[Example],
    ask: Ask,
    *,
    judge: str,
    max_rows: int,
    seed: int,
    confidence: float = 0.95,
    log_path: Path | None = None,
    n_parallel: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> JudgeFinding:
    """Judge the answers of two sides on rows that the seed draws.

    Args:
        base: Answers in the order of `examples`.
        tuned: The same of the other side.
        examples: The test set.
        ask: The judge.
        judge: What identifies it: the model and the version of what it is told.
        max_rows: Rows to draw, one of each `group`; with more rows the earlier ones stay.
        seed: Seed of the PCG64 generator that draws them.
        confidence: Of the interval on the share of wins.
        log_path: Where judged rows are kept; those that stand there are not asked again.
        n_parallel: Rows that are asked at the same time.
        on_progress: Called with the rows that are done and all rows.

    Raises:
        RemoteError: The service failed on three rows one after another; what was judged is kept.
        PrerequisiteError: The service does not work for this account; the same.
        DataError: The file at `log_path` is damaged.
    """
    pairs = {
        examples[index].id: TwoAnswers(
            question=input_text(examples[index]),
            references=accepted_answers(examples[index]),
            first=base.predictions[index].text,
            second=tuned.predictions[index].text,
        )
        for index in draw_rows(examples, max_rows, seed)
    }
    keys = {row_id: judge_key(judge, row_id, pair) for row_id, pair in pairs.items()}
    known = read_judge_log(log_path) if log_path else {}
    rows = {row_id: known[key] for row_id, key in keys.items() if key in known}
    waiting = {row_id: pair for row_id, pair in pairs.items() if row_id not in rows}
    n_lost_in_a_row = 0
    for judged, lost in _judge_in_blocks(waiting, ask, n_parallel):
        if log_path:
            # Before any error is raised: these are paid for.
            append_judge_log(log_path, [(keys[row_id], row) for row_id, row in judged.items()])
        n_lost_in_a_row = 0 if judged else n_lost_in_a_row + len(lost)
        _raise_if_hopeless(lost.values(), n_lost_in_a_row)
        rows |= judged | {row_id: _lost_row(row_id, error) for row_id, error in lost.items()}
        if on_progress:
            on_progress(len(rows), len(pairs))
    return summarize_judging(
        [rows[row_id] for row_id in pairs],
        {row_id: len(pair.second) - len(pair.first) for row_id, pair in pairs.items()},
        judge=judge,
        seed=seed,
        confidence=confidence,
    )


def draw_rows(examples: Sequence[Example], max_rows: int, seed: int) -> list[int]:
    """Draw at most one row of each group, so that rows are independent; sorted indexes."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(examples)).tolist()
    drawn: dict[Hashable, int] = {}
    for index in order:
        drawn.setdefault(group_of(examples[index]), index)
    return sorted(islice(drawn.values(), max_rows))


def _judge_in_blocks(
    pairs: Mapping[str, TwoAnswers], ask: Ask, n_parallel: int
) -> Iterator[tuple[dict[str, JudgedRow], dict[str, GemtuneError]]]:
    """Yield the rows of each block that were judged, and what went wrong on the others."""

    def attempt(row_id: str) -> JudgedRow | GemtuneError:
        try:
            return _judge_row(row_id, pairs[row_id], ask)
        except GemtuneError as error:
            return error

    row_ids = list(pairs)
    with _threads(n_parallel) as threads:
        for start in range(0, len(row_ids), n_parallel):
            block = row_ids[start : start + n_parallel]
            found = list(zip(block, threads.map(attempt, block), strict=True))
            yield (
                {row_id: row for row_id, row in found if isinstance(row, JudgedRow)},
                {row_id: error for row_id, error in found if isinstance(error, GemtuneError)},
            )


@contextmanager
def _threads(n_parallel: int) -> Iterator[Executor]:
    threads = ThreadPoolExecutor(n_parallel)
    try:
        yield threads
    finally:
        # Whoever stopped us has no time for answers that are still on their way.
        threads.shutdown(wait=False, cancel_futures=True)


def _judge_row(row_id: str, pair: TwoAnswers, ask: Ask) -> JudgedRow:
    if pair.first.strip() == pair.second.strip():
        return JudgedRow(row_id, "equal", None, None)
    base_first = ask(pair)
    if base_first.choice is None:
        return JudgedRow(row_id, "failed", base_first, None)
    tuned_first = ask(replace(pair, first=pair.second, second=pair.first))
    if tuned_first.choice is None:
        return JudgedRow(row_id, "failed", base_first, tuned_first)
    outcome = _WHEN_BASE_FIRST[base_first.choice]
    is_consistent = outcome == _WHEN_TUNED_FIRST[tuned_first.choice]
    return JudgedRow(row_id, outcome if is_consistent else "inconsistent", base_first, tuned_first)


def _lost_row(row_id: str, error: GemtuneError) -> JudgedRow:
    return JudgedRow(row_id, "failed", Judgement(choice=None, reason=str(error)), None)


def _raise_if_hopeless(errors: Iterable[GemtuneError], n_lost_in_a_row: int) -> None:
    for error in errors:
        if not isinstance(error, RemoteError) or n_lost_in_a_row >= _MAX_LOST_IN_A_ROW:
            raise error
