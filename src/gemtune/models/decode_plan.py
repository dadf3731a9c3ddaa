"""What is decoded together: a function of the prompts and the settings, never of the clock."""

from collections.abc import Sequence
from dataclasses import dataclass

_ROWS_A_SLOT = 4
"""Of a block, on average: the batch runs empty only at its end, and a kill loses only a block."""


DecodedRow = tuple[list[int], bool]
"""The tokens of an answer, and whether a stop token ended it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Prompts that are decoded together; the bits of their answers depend on nothing else."""

    prompts: list[list[int]]
    """Token ids in lexicographic order, so that neighbours begin alike; none twice."""
    rows: list[list[int]]
    """For each of them, the indexes of the equal prompts that it stands for."""
    n_slots: int
    """How many are decoded at the same time."""
    width: int
    """Tokens of the longest prompt and the longest answer."""


def plan_blocks(
    prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int
) -> list[Block]:
    """Cut the prompts into blocks, those with the longest prompts first.

    Args:
        prompts: Token ids; equal ones become one row.
        max_new_tokens: Longest answer in tokens.
        batch_tokens: Slots times width, in tokens; a prompt that exceeds it gets a slot all the
            same.
    """
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for i, prompt in enumerate(prompts):
        rows_of.setdefault(tuple(prompt), []).append(i)
    # A slot is as wide as the longest of its block, so a block takes prompts of similar length.
    order = sorted(rows_of, key=lambda prompt: (-len(prompt), prompt))
    blocks: list[Block] = []
    while order:
        width = len(order[0]) + max_new_tokens
        n_slots = max(1, batch_tokens // width)
        block = sorted(order[: n_slots * _ROWS_A_SLOT])
        order = order[n_slots * _ROWS_A_SLOT :]
        blocks.append(
            Block(
                prompts=[list(prompt) for prompt in block],
                rows=[rows_of[prompt] for prompt in block],
                n_slots=min(n_slots, len(block)),
                width=width,
            )
        )
    return blocks
