"""How fast training goes."""

from collections import deque


class RateMeter:
    """Tokens and examples a second over the last steps; what happens between them is left out."""

    def __init__(self, window_steps: int = 20) -> None:
        """Average over the last `window_steps` steps."""
        self._steps: deque[tuple[float, int, int]] = deque(maxlen=window_steps)

    def add(self, n_tokens: int, n_examples: int, seconds: float) -> None:
        """Count one step; on a GPU, time it until its results are read (`loss.item()`)."""
        self._steps.append((seconds, n_tokens, n_examples))

    @property
    def tokens_per_second(self) -> float:
        """Real tokens a second; at least one step must have been added."""
        return self._sum(1) / self._sum(0)

    @property
    def examples_per_second(self) -> float:
        """Training rows a second; at least one step must have been added."""
        return self._sum(2) / self._sum(0)

    def _sum(self, column: int) -> float:
        return sum(step[column] for step in self._steps)
