"""All trials as plain data, and how the best loss fell while the cost grew."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gemtune.hyperparameter.claims import Part
from gemtune.hyperparameter.ledger import Session
from gemtune.hyperparameter.records import Trial

Parts = Mapping[tuple[int, int], Part]


def trial_rows(
    trials: Sequence[Trial], parts: Parts, fractions: Sequence[float], sessions: Sequence[Session]
) -> list[dict[str, Any]]:
    """One object a trial; `usd` is null where the price of the machine is not known."""
    prices = {each.worker: each.usd_per_hour for each in sessions}
    rows = []
    for trial in trials:
        rungs = list(_rungs(trial, parts, fractions, prices))
        prices_known = all(rung["usd"] is not None for rung in rungs)
        rows.append(
            {
                "number": trial.number,
                "source": trial.source,
                "group": trial.group,
                "params": dict(trial.params),
                "state": trial.state,
                "reason": _reason(trial, rungs),
                "loss": _last_loss(rungs),
                "rungs": rungs,
                "seconds": sum(rung["seconds"] for rung in rungs),
                "usd": sum(rung["usd"] for rung in rungs) if prices_known else None,
            }
        )
    return rows


def best_so_far(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lowest loss of any trial at any rung, after each part in the order of one worker.

    `trials` counts whole trials: parts of a trial count for their share of its tokens.
    """
    order = sorted(
        ((row["group"], rung["rung"], row["number"]), row, rung)
        for row in rows
        for rung in row["rungs"]
    )
    points: list[dict[str, Any]] = []
    seconds, usd, n_trials, best = 0.0, 0.0, 0.0, None
    for (_, _, number), _, rung in order:
        seconds += rung["seconds"]
        usd = None if usd is None or rung["usd"] is None else usd + rung["usd"]
        n_trials += rung["fraction"] - rung["from_fraction"]
        if rung["loss"] is not None and (best is None or rung["loss"] < best[0]):
            best = rung["loss"], number
        if best:
            found = {"loss": best[0], "trial": best[1]}
            points.append({"seconds": seconds, "usd": usd, "trials": n_trials, **found})
    return points


def _rungs(
    trial: Trial, parts: Parts, fractions: Sequence[float], prices: Mapping[str, float | None]
) -> Iterator[dict[str, Any]]:
    for rung, fraction in enumerate(fractions):
        part = parts.get((trial.number, rung))
        if part is None or part.result is None:
            return
        reached, price = part.result, prices.get(part.worker)
        yield {
            "rung": rung,
            "from_fraction": fractions[rung - 1] if rung else 0.0,
            "fraction": fraction,
            # A loss that is no finite number has no place in JSON.
            "loss": None if reached.failure else reached.loss,
            "n_steps": reached.n_steps,
            "n_tokens": reached.n_tokens,
            "seconds": reached.seconds,
            "usd": None if price is None else reached.seconds / 3600 * price,
        }


def _last_loss(rungs: Sequence[Mapping[str, Any]]) -> float | None:
    return next((rung["loss"] for rung in rungs[::-1] if rung["loss"] is not None), None)


def _reason(trial: Trial, rungs: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a trial did not come to its end."""
    if trial.state == "pruned":
        return f"others were better at {100 * rungs[-1]['fraction']:.0f} % of the tokens"
    return trial.ended
