"""Rows of the validation and test data that the training data holds too."""

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from gemtune.data.examples import Example, Message
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput, ProblemLog

_N_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many rows of one split share their prompt, or prompt and answer, with training rows.

    Texts count as the same if only case or white space differ. `n_prompts` includes `n_pairs`.
    """

    n_prompts: int
    n_pairs: int


@dataclass(slots=True)
class SplitIndex:
    """Prompts and pairs of one held-out split, to be met by the training rows.

    The held-out side is indexed, because it is the small one: the training file may have any size.
    """

    path: Path
    _rows_of_prompt: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _pairs: set[tuple[int, int]] = field(default_factory=set)
    _met_prompts: dict[int, int] = field(default_factory=dict)
    _met_pairs: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, example: Example) -> None:
        """Take in a held-out row."""
        prompt, answer = _folded_hash(example.prompt), _folded_hash(example.messages[-1:])
        self._rows_of_prompt.setdefault(prompt, []).append((example.line, answer))
        self._pairs.add((prompt, answer))

    def meet(self, example: Example) -> None:
        """Compare a training row with the rows taken in."""
        prompt = _folded_hash(example.prompt)
        if prompt in self._rows_of_prompt:
            self._met_prompts.setdefault(prompt, example.line)
            pair = (prompt, _folded_hash(example.messages[-1:]))
            # Other answers to a shared prompt are as many as the training data has rows.
            if pair in self._pairs:
                self._met_pairs.setdefault(pair, example.line)

    def report(self, log: ProblemLog, train: Path, *, is_test: bool) -> Overlap:
        """Record the overlap in `log` and return the counts."""
        pairs, prompts = [], []
        for prompt, train_line in self._met_prompts.items():
            for line, answer in self._rows_of_prompt[prompt]:
                pair_line = self._met_pairs.get((prompt, answer))
                where = pairs if pair_line else prompts
                where.append((line, pair_line or train_line))
        what = "with its answer is" if is_test else "with the same answer is"
        kind = Kind.LEAK if is_test else Kind.PROMPT_OVERLAP
        self._record(log, kind, f"the prompt {what} in the training data", pairs, train)
        self._record(log, Kind.PROMPT_OVERLAP, "the prompt is in the training data", prompts, train)
        return Overlap(n_prompts=len(pairs) + len(prompts), n_pairs=len(pairs))

    def _record(
        self, log: ProblemLog, kind: Kind, what: str, found: list[tuple[int, int]], train: Path
    ) -> None:
        found.sort()
        for line, train_line in found[:_N_SHOWN]:
            log.add(BadInput(kind, f"{what}: {train}:{train_line}").at(self.path, line))
        if rest := found[_N_SHOWN:]:
            more = BadInput(kind, f"and {len(rest)} more rows from here on, the same way")
            log.add(more.at(self.path, rest[0][0]), len(rest))


def _folded_hash(messages: tuple[Message, ...]) -> int:
    text = "\0".join(" ".join(message.content.casefold().split()) for message in messages)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
