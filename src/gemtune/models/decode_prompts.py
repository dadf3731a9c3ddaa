"""Reading prompts that begin alike: what several of them share goes through the model once.

Prompts in lexicographic order are a walk through their common tree: each leaves the path of the one
before it at some token, and all before that token has been read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Piece:
    """T tokens that the model reads at once, after the P tokens of the path that they leave."""

    n_path: int
    token_ids: list[int]
    positions: list[int]
    """Of each token in its prompt."""
    starts: list[int]
    """Of each prompt, its first new token; they go on to the start of the next."""
    places: list[list[int]]
    """Of each prompt, where all of its tokens lie in the P of the path and the T new ones."""
    n_ended: int
    """How many of the prompts it reads to their ends: all, or not even its only one."""


class PromptWalk:
    """Hands out the prompts of a block in pieces."""

    def __init__(self, prompts: Sequence[list[int]]) -> None:
        """Begin with nothing read of `prompts`, which are in lexicographic order."""
        self._prompts = prompts
        self._path: list[int] = []
        self.n_ended = 0

    def next_piece(self, max_prompts: int, max_tokens: int) -> Piece:
        """Read on: `max_prompts` prompts, or as many as fit into `max_tokens` new tokens.

        A prompt that does not fit by itself is read in several pieces.
        """
        n_path = len(self._path)
        piece = Piece(n_path, [], [], [], [], 0)
        places = list(range(n_path))
        for prompt in self._prompts[self.n_ended : self.n_ended + max_prompts]:
            n_shared = _n_equal(self._path, prompt)
            n_left = max_tokens - len(piece.token_ids)
            if len(prompt) - n_shared > n_left and piece.starts:
                break
            self._path = prompt[: n_shared + n_left]
            start = n_path + len(piece.token_ids)
            places = [*places[:n_shared], *range(start, start + len(self._path) - n_shared)]
            piece.starts.append(len(piece.token_ids))
            piece.places.append(places)
            piece.token_ids.extend(self._path[n_shared:])
            piece.positions.extend(range(n_shared, len(self._path)))
        last = self._prompts[self.n_ended + len(piece.starts) - 1]
        n_ended = len(piece.starts) if len(self._path) == len(last) else 0
        self.n_ended += n_ended
        return replace(piece, n_ended=n_ended)


def _n_equal(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))
