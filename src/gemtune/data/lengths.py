"""How long the rows of a file are in tokens, and which of them cannot be learned from."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gemtune.data.examples import EncodedRow, Example
from gemtune.data.kinds import Kind
from gemtune.data.load import scan_examples
from gemtune.data.problems import BadInput, ProblemLog
from gemtune.data.reader import FileScan


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How many tokens half, 90 %, 99 % and all of the rows have at most."""

    p50: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """Lengths in tokens after the cut at `data.max_length`."""

    prompt: Quantiles
    completion: Quantiles
    total: Quantiles
    n_tokens: int
    n_trained_tokens: int
    n_truncated: int


def measure_tokens(
    path: Path, encode: Callable[[Example], EncodedRow], log: ProblemLog
) -> TokenLengths | None:
    """Encode every row of a file; None if it has no good row.

    Rows without a trained token are errors (NO_TARGET_TOKENS) in `log`, cut rows one warning.
    """
    prompts, completions, totals = array("I"), array("I"), array("I")
    n_trained, cut_lines = 0, array("Q")
    for example in scan_examples(FileScan(path)):
        row = encode(example)
        prompts.append(row.n_prompt_tokens)
        completions.append(len(row.token_ids) - row.n_prompt_tokens)
        totals.append(len(row.token_ids))
        n_trained += sum(row.trained)
        if row.truncated:
            cut_lines.append(example.line)
        if not any(row.trained):
            message = "no token of the answer is left to train on"
            log.add(BadInput(Kind.NO_TARGET_TOKENS, message).at(path, example.line))
    if cut_lines:
        message = f"{len(cut_lines)} of {len(totals)} rows exceed data.max_length and are cut"
        log.add(BadInput(Kind.LONG, message).at(path, cut_lines[0]), len(cut_lines))
    if not totals:
        return None
    return TokenLengths(
        prompt=quantiles(prompts),
        completion=quantiles(completions),
        total=quantiles(totals),
        n_tokens=sum(totals),
        n_trained_tokens=n_trained,
        n_truncated=len(cut_lines),
    )


def quantiles(lengths: Sequence[int]) -> Quantiles:
    """Return the smallest lengths that 50, 90, 99 and 100 % of the rows do not exceed."""
    ordered = sorted(lengths)

    def at(percent: int) -> int:
        return ordered[-(-len(ordered) * percent // 100) - 1]

    return Quantiles(p50=at(50), p90=at(90), p99=at(99), max=ordered[-1])
