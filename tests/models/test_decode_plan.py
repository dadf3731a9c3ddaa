"""Blocks are a function of the prompts and the settings, and hold what fits together."""

import random

from gemtune.models.decode_plan import plan_blocks


def prompts_of(*lengths: int) -> list[list[int]]:
    return [[n] * n for n in lengths]


def test_blocks_cover_every_prompt_once() -> None:
    prompts = prompts_of(3, 50, 9, 9, 1, 30, 2, 200, 3)

    blocks = plan_blocks(prompts, max_new_tokens=10, batch_tokens=120)

    assert sorted(i for block in blocks for rows in block.rows for i in rows) == list(range(9))
    for block in blocks:
        for prompt, rows in zip(block.prompts, block.rows, strict=True):
            assert all(prompts[i] == prompt for i in rows)


def test_the_slots_of_a_block_fit_into_the_budget() -> None:
    blocks = plan_blocks(prompts_of(*range(1, 60)), max_new_tokens=10, batch_tokens=150)

    assert len(blocks) > 2
    for block in blocks:
        assert block.width == max(map(len, block.prompts)) + 10
        assert block.n_slots * block.width <= 150
        assert block.n_slots <= len(block.prompts)


def test_a_prompt_larger_than_the_budget_gets_a_slot() -> None:
    [block] = plan_blocks(prompts_of(500), max_new_tokens=10, batch_tokens=100)

    assert (block.n_slots, block.width) == (1, 510)


def test_a_long_prompt_does_not_widen_the_slots_of_short_ones() -> None:
    blocks = plan_blocks(prompts_of(900, *range(1, 40)), max_new_tokens=10, batch_tokens=100)

    assert blocks[0].width == 910
    assert blocks[-1].width < 60


def test_the_order_of_the_prompts_does_not_change_what_is_decoded_together() -> None:
    prompts = [[i % 7, i % 5, i] for i in range(50)]
    shuffled = random.Random(1).sample(prompts, len(prompts))

    first, second = (plan_blocks(found, 10, 60) for found in (prompts, shuffled))

    assert [block.prompts for block in first] == [block.prompts for block in second]
