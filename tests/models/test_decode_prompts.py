"""The walk reads what prompts share once, and says where the tokens of each lie."""

import pytest

from gemtune.models.decode_prompts import PromptWalk

PROMPTS = sorted(
    [[1, 2, 3, 4, 5], [1, 2, 3, 9], [1, 2, 3], [1, 2, 7, 7], [6], [6, 1, 2], [8, 8, 8]]
)
N_IN_TREE = 14


def walked(max_prompts: int, max_tokens: int) -> tuple[list[list[int]], int]:
    """Put the prompts together again from the pieces; and how many tokens were read."""
    walk, path, found, n_read = PromptWalk(PROMPTS), list[int](), list[list[int]](), 0
    while walk.n_ended < len(PROMPTS):
        piece = walk.next_piece(max_prompts, max_tokens)
        assert piece.n_path == len(path)
        assert 0 < len(piece.token_ids) <= max_tokens
        assert len(piece.places) <= max_prompts
        known, positions = path + piece.token_ids, [*range(len(path)), *piece.positions]
        for places in piece.places:
            assert [positions[place] for place in places] == list(range(len(places)))
        texts = [[known[place] for place in places] for places in piece.places]
        found.extend(texts[: piece.n_ended])
        path = texts[-1]
        n_read += len(piece.token_ids)
    return found, n_read


@pytest.mark.parametrize("max_prompts", [1, 2, 100])
@pytest.mark.parametrize("max_tokens", [1, 2, 4, 100])
def test_prompts_come_out_whole_and_shared_tokens_are_read_once(
    max_prompts: int, max_tokens: int
) -> None:
    assert walked(max_prompts, max_tokens) == (PROMPTS, N_IN_TREE)


def test_a_piece_says_where_the_new_tokens_of_each_prompt_begin() -> None:
    piece = PromptWalk(PROMPTS).next_piece(3, 100)

    assert piece.token_ids == [1, 2, 3, 4, 5, 9]
    assert piece.starts == [0, 3, 5]
    assert piece.places == [[0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 5]]
