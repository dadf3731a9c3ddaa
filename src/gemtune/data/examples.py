"""The one shape that every data format is read into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row: a conversation that ends with the answer to learn.

    `messages` holds at least one user and, as the last, one assistant message. `references` are
    further accepted answers (test sets). `extra` keeps every other key of the row, its `id` among
    them, so that writing the example in the format it came from gives the row back. `id` is the
    row's own, or "<file stem>-<line>".
    """

    messages: tuple[Message, ...]
    id: str
    references: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    line: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything that the model sees before it answers."""
        return self.messages[:-1]

    @property
    def completion(self) -> str:
        """The answer to learn: the text of the last assistant message."""
        return self.messages[-1].content


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One example in tokens, as the model sees it in training.

    `trained[i]` says whether the loss is taken on `token_ids[i]`. `truncated` says that the row was
    longer than `data.max_length` and was cut. The first `n_prompt_tokens` tokens are the prompt.
    """

    token_ids: Sequence[int]
    trained: Sequence[bool]
    truncated: bool
    n_prompt_tokens: int
