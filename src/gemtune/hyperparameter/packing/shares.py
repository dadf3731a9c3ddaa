"""What a run gives to the next pass: one micro-batch of its step, cut as it is alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.fine_tuning.batches import draw_seed, micro_batches
from gemtune.fine_tuning.gradient_request import GradientRequest
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.rows import Row
from gemtune.models.row_attention import attends_by_row


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """A micro-batch of the step that a run is in."""

    run: Ingredients
    rows: Sequence[Row]
    n_targets: int
    """Of the whole step: the loss is a mean over them."""
    seed: int
    """Of its dropout."""


def cut_step(request: GradientRequest) -> list[Share]:
    """Cut a step of a run into its shares."""
    run, step = request.run, request.step
    max_tokens = run.memory.tokens_at(step, in_training=True)
    groups = micro_batches(request.rows, max_tokens, packed=attends_by_row(run.model))
    n_targets = sum(row.n_targets for row in request.rows)
    seed = run.training.seed
    return [
        Share(run, rows, n_targets, draw_seed(seed, "dropout", step, i))
        for i, rows in enumerate(groups)
    ]
