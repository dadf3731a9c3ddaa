"""Parts of the test set in which the difference may be another one."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example
from gemtune.evaluation.comparing.corrections import benjamini_hochberg
from gemtune.evaluation.comparing.measure import measure
from gemtune.evaluation.comparing.pair import Pair, of_rows
from gemtune.evaluation.comparing.statistics import MIN_GROUPS
from gemtune.evaluation.findings import SliceDifference
from gemtune.evaluation.test_set import input_text

MAX_VALUES = 100
"""Of a kind of slice, so many are measured: those with most rows."""

_N_LENGTHS = 4


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that have a value in common."""

    by: str
    value: str
    rows: tuple[int, ...]


def find_slices(
    examples: Sequence[Example], *, task: str, overlap: NDArray[np.bool_] | None
) -> list[Slice]:
    """Cut the test set by its `slice` key, label, input length, digits and overlap.

    Args:
        examples: The test set; `slice` may be any JSON value, of a list each member counts.
        task: Slices by label are for the label task alone.
        overlap: Which rows the training data holds, shape (rows,); None where it is not known.

    Returns:
        Slices of each kind that divides the rows at all.
    """
    kinds = {
        "slice": [_names(example.extra.get("slice")) for example in examples],
        "label": [[example.completion] for example in examples] if task == "label" else [],
        "input length": _lengths(examples),
        "digits": [[_yes(_has_digit(example))] for example in examples],
        "overlap": [] if overlap is None else [[_yes(bool(is_met))] for is_met in overlap],
    }
    if kinds["label"] == kinds["slice"]:
        kinds["label"] = []
    return [found for by, values in kinds.items() for found in _slices(by, values)]


def largest_slices(slices: Sequence[Slice]) -> list[Slice]:
    """Leave out the smallest where a kind has very many; the order is kept."""
    rank: Counter[str] = Counter()
    kept = set()
    for part in sorted(slices, key=lambda part: -len(part.rows)):
        rank[part.by] += 1
        if rank[part.by] <= MAX_VALUES:
            kept.add((part.by, part.value))
    return [part for part in slices if (part.by, part.value) in kept]


def measure_slices(
    pair: Pair, slices: Sequence[Slice], config: EvaluationConfig
) -> tuple[SliceDifference, ...]:
    """Measure one metric on each slice, corrected for their number.

    Args:
        pair: Of one metric.
        slices: Their rows are rows of the pair.
        config: Confidence, resamples and seed.
    """
    found, is_tested = [], []
    for part in slices:
        kept = np.zeros(len(pair.base), dtype=np.bool_)
        kept[list(part.rows)] = True
        cut = of_rows(pair, kept)
        found.append(_measured(part, cut, config))
        is_tested.append(cut.n_groups >= MIN_GROUPS)
    corrected = iter(
        benjamini_hochberg([one.p for one, tested in zip(found, is_tested, strict=True) if tested])
    )
    return tuple(
        replace(one, p_bh=next(corrected)) if tested else one
        for one, tested in zip(found, is_tested, strict=True)
    )


def _measured(part: Slice, pair: Pair, config: EvaluationConfig) -> SliceDifference:
    (figures,) = measure(pair, config)
    return SliceDifference(
        by=part.by,
        value=part.value,
        n_rows=len(part.rows),
        base=figures.base,
        tuned=figures.tuned,
        difference=figures.difference,
        low=figures.low,
        high=figures.high,
        p=figures.p,
        p_bh=None,
    )


def _slices(by: str, values: Sequence[Sequence[str]]) -> Iterator[Slice]:
    rows: Mapping[str, list[int]] = defaultdict(list)
    for row, names in enumerate(values):
        for name in names:
            rows[name].append(row)
    if len(rows) == 1 and len(*rows.values()) == len(values):
        return
    order = (lambda name: int(name.split()[0])) if by == "input length" else None
    yield from (Slice(by, name, tuple(rows[name])) for name in sorted(rows, key=order))


def _names(value: object) -> list[str]:
    members = value if isinstance(value, list) else [value]
    texts = [
        member if isinstance(member, str) else json.dumps(member, ensure_ascii=False)
        for member in members
        if member is not None
    ]
    return list(dict.fromkeys(texts))


def _lengths(examples: Sequence[Example]) -> list[list[str]]:
    """Name the quartile of each input by the lengths that are in it."""
    lengths = np.array([len(input_text(example).split()) for example in examples])
    edges = np.quantile(lengths, np.arange(1, _N_LENGTHS) / _N_LENGTHS)
    quartile = np.searchsorted(edges, lengths, side="left")
    names = {
        part: f"{lengths[quartile == part].min()} to {lengths[quartile == part].max()} words"
        for part in set(quartile.tolist())
    }
    return [[names[part]] for part in quartile.tolist()]


def _has_digit(example: Example) -> bool:
    return any(letter.isdigit() for letter in input_text(example))


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
