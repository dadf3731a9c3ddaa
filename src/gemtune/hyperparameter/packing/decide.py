"""How many trials a worker trains together."""

import logging
from collections.abc import Callable

from gemtune.config.schema import Config
from gemtune.fine_tuning.foundation import Foundation
from gemtune.hyperparameter.packing.choice import Choice, Measured, choose_by_probe
from gemtune.hyperparameter.packing.probe import measure_together
from gemtune.hyperparameter.packing.support import why_not_packed
from gemtune.hyperparameter.rungs import group_size

logger = logging.getLogger(__name__)


def decide_packing(
    config: Config,
    foundation: Foundation,
    measure: Callable[[int], Measured] | None = None,
) -> Choice:
    """Do as `hyperparameter.packing` says, where the model allows it.

    On a CPU `auto` is one, at once: packing gains nothing there (docs/design/packing.md), and a
    probe would cost more than it could find.

    Args:
        config: The user's.
        foundation: What all trials stand on.
        measure: Trains that many for a few steps on this device.
    """
    wanted, search = config.hyperparameter.packing, config.hyperparameter
    if wanted == 1:
        return Choice(1, "hyperparameter.packing=1")
    if wanted == "auto" and foundation.device.type == "cpu":
        return Choice(1, "a CPU has nothing to gain from it")
    reason = why_not_packed(foundation.base, config.fine_tuning.lora)
    if reason:
        if wanted != "auto":
            logger.warning("hyperparameter.packing=%s has no effect: %s", wanted, reason)
        return Choice(1, reason)
    if wanted != "auto":
        return Choice(wanted, f"hyperparameter.packing={wanted}")
    at_most = min(group_size(search.eta), search.n_trials)
    choice = choose_by_probe(
        measure or (lambda size: measure_together(foundation, config, size)), at_most
    )
    logger.info("packing: %d trials at once, %s", choice.n_together, choice.reason)
    return choice
