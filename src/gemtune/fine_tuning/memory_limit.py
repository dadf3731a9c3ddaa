"""How many tokens fit into memory at once: found out by running out of it."""

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from gemtune.errors import OutOfMemoryError
from gemtune.fine_tuning.rows import Row
from gemtune.models.memory import is_out_of_memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """Tokens of a micro-batch, padding included where there is any, and from when on."""

    n_steps: int
    """Optimizer steps done by then."""
    in_training: bool
    """False: from the validation after those steps on; True: from the next step on."""
    tokens: int

    @property
    def moment(self) -> tuple[int, bool]:
        """When it came into force; later ones compare greater."""
        return self.n_steps, self.in_training


class MemoryLimit:
    """Halves micro-batches that do not fit, and knows which size was in force when.

    A resumed run redoes every step with the size that it had the first time: another one would
    round differently.
    """

    def __init__(
        self, limits: Sequence[TokenLimit], on_halving: Callable[[Sequence[TokenLimit]], None]
    ) -> None:
        """Go on with what is known; `on_halving` is told all limits before one comes into force."""
        self._limits = list(limits)
        self._on_halving = on_halving

    def tokens_at(self, n_steps: int, *, in_training: bool) -> int:
        """The size in force."""
        known = [limit for limit in self._limits if limit.moment <= (n_steps, in_training)]
        return known[-1].tokens

    def fit(
        self,
        compute: Callable[[int], float],
        rows: Sequence[Row],
        n_steps: int,
        *,
        in_training: bool,
    ) -> float:
        """Call `compute(tokens)` on `rows`, again with half as many tokens if they do not fit.

        Raises:
            OutOfMemoryError: a row does not fit even alone.
        """
        while True:
            tokens = self.tokens_at(n_steps, in_training=in_training)
            try:
                return compute(tokens)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error) or type(error).__name__
            # Out of the `except`, because its traceback holds on to the tensors of the attempt.
            self._halve(TokenLimit(n_steps, in_training, tokens), rows, reason)

    def _halve(self, failed: TokenLimit, rows: Sequence[Row], reason: str) -> None:
        longest = max(len(row.token_ids) for row in rows)
        where = f"in step {failed.n_steps + 1}" if failed.in_training else "in validation"
        if failed.tokens <= longest:
            raise OutOfMemoryError(
                f"out of memory {where}: a row of {longest} tokens does not fit even alone "
                f"(micro-batches of {failed.tokens} tokens were tried last): {reason}",
                fix="lower data.max_length, choose a smaller model or a machine with more memory",
            )
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        halved = TokenLimit(failed.n_steps, failed.in_training, failed.tokens // 2)
        logger.warning(
            "out of memory %s with micro-batches of %d tokens: it is done again with %d, and the "
            "rest of the run too; rows per step stay the same",
            where,
            failed.tokens,
            halved.tokens,
        )
        self._limits = [*(limit for limit in self._limits if limit.moment < halved.moment), halved]
        self._on_halving(self._limits)
