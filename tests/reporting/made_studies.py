"""study.json of searches, made by hand in the shape that `gemtune optimize` writes."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RUNGS = (1 / 9, 1 / 3, 1.0)
TOKENS = 900_000
DEFAULT = {
    "learning_rate": 0.0013,
    "batch_size": 8,
    "lora_r": 16,
    "lora_alpha": 32.0,
    "lora_dropout": 0.0,
    "target_modules": "auto",
}
SOURCES = ("config", "plan", "evidence")
Json = dict[str, Any]


def made_rung(rung: int, loss: float | None, *, usd: float | None = 0.004) -> Json:
    before = RUNGS[rung - 1] if rung else 0.0
    share = RUNGS[rung] - before
    return {
        "rung": rung,
        "from_fraction": before,
        "fraction": RUNGS[rung],
        "loss": loss,
        "n_steps": round(300 * RUNGS[rung]),
        "n_tokens": round(TOKENS * RUNGS[rung]),
        "seconds": 450 * share,
        "usd": None if usd is None else usd * share * 10,
    }


def made_trial(number: int, losses: Sequence[float | None], state: str, **changes: Any) -> Json:
    """A trial with a loss for each rung that it reached; None where it broke down."""
    rungs = [made_rung(rung, loss) for rung, loss in enumerate(losses)]
    reasons = {"pruned": "others were better at 11 % of the tokens", "ended": "diverged"}
    source = SOURCES[number] if number < len(SOURCES) else "sampler"
    return {
        "number": number,
        "source": source,
        "group": 1 + number // 9,
        "params": DEFAULT,
        "state": state,
        "reason": reasons.get(state),
        "loss": next((loss for loss in losses[::-1] if loss is not None), None),
        "rungs": rungs,
        "seconds": sum(rung["seconds"] for rung in rungs),
        "usd": sum(rung["usd"] or 0 for rung in rungs),
        **changes,
    }


def made_trials(n_trials: int, seed: int = 0) -> list[Json]:
    """The first ones as a search tries them; the best learning rate is about 0.004."""
    chance = random.Random(seed)
    trials = []
    for number in range(n_trials):
        rate = {0: 5e-4, 1: 1e-5, 2: 0.0013}.get(number, 10 ** chance.uniform(-3.6, -1.6))
        params = {
            **DEFAULT,
            "learning_rate": float(f"{rate:.3g}"),
            "batch_size": 8 if number < len(SOURCES) else chance.choice((4, 8, 16)),
            "lora_r": 4 if number == 0 else 16,
            "lora_dropout": chance.choice((0.0, 0.05, 0.1)) if number > 2 else 0.0,
        }
        end = 0.4 + 0.35 * math.log10(rate / 0.004) ** 2 + chance.uniform(0, 0.05)
        losses = [end + 1.6, end + 0.6, end]
        if rate > 0.015:
            trials.append(made_trial(number, [None], "ended", params=params))
        elif number == 2 or end < 0.48:
            trials.append(made_trial(number, losses, "complete", params=params))
        else:
            n_rungs = 2 if end < 0.62 else 1
            trials.append(made_trial(number, losses[:n_rungs], "pruned", params=params))
    return trials


def made_proof(**changes: Any) -> Json:
    """A gain that is proven."""
    return {
        "outcome": "proven",
        "told": "accuracy 0.700 with the default, 0.782 with the winner; the gain is proven",
        "published": "trial-0005",
        "published_run": "data/study/refits/trial-0005-seed-44",
        "published_seed": 44,
        "winner_losses": [0.4313, 0.4287, 0.4402],
        "default_losses": [0.4921, 0.5013, 0.4876],
        "comparison_dir": "data/study/proof/trial-0005",
        "verdict": "improved",
        "metric": "accuracy",
        "default_score": 0.7,
        "winner_score": 0.782,
        "difference": 0.082,
        "low": 0.021,
        "high": 0.143,
        "confidence": 0.95,
        "n_rows": 400,
        "selection_bias": "the winner's validation loss was 0.4012 when it was chosen and 0.4334 "
        "on average when it was trained again with other seeds. Believe the later ones",
        "is_proven": True,
        **changes,
    }


def made_importance(n_trials: int) -> Json:
    shares = {"learning_rate": 0.71, "batch_size": 0.18, "lora_dropout": 0.07, "lora_r": 0.04}
    return {
        "method": "PED-ANOVA",
        "fraction": RUNGS[0],
        "n_trials": n_trials,
        "is_enough": n_trials >= 15,
        "confidence": 0.9,
        "params": {
            name: {"importance": share, "low": share * 0.6, "high": min(1.0, share * 1.4 + 0.1)}
            for name, share in shares.items()
        },
    }


def made_study(trials: Sequence[Json], **changes: Any) -> Json:
    """A finished study with every part filled in; the winner is its lowest loss at the end."""
    complete = sorted((t for t in trials if t["state"] == "complete"), key=lambda t: t["loss"])
    finalists = [
        {
            "trial": trial["number"],
            "params": trial["params"],
            "loss": trial["loss"],
            "scores": {"accuracy": 0.81 - 0.02 * rank, "loss": trial["loss"], "n_examples": 200},
        }
        for rank, trial in enumerate(complete[:3])
    ]
    span = {"low": 2.6e-4, "high": 0.026, "is_log": True, "is_whole": False}
    choices = {"batch_size": {"values": [4, 8, 16]}, "lora_dropout": {"values": [0.0, 0.05, 0.1]}}
    ranges = {"learning_rate": span, **choices}
    widened = {"learning_rate": {**span, "high": 0.08}, **choices}
    return {
        "schema_version": 1,
        "status": "done",
        "rule": {
            "n_finalists": 3, "select": "metric", "metric": "accuracy", "higher_is_better": True,
            "in_words": "of the 3 lowest validation losses, the highest accuracy wins",
        },
        "space": {
            "preset": "recommended", "ranges": ranges, "reference_batch": 8.0,
            "widened": {"ranges": widened, "reference_batch": 8.0},
        },
        "first_settings": [{"source": t["source"], "params": t["params"]} for t in trials[:3]],
        "rungs": list(RUNGS),
        "eta": 3,
        "n_trials": max(len(trials), 1),
        "seed": 42,
        "sampler": {"name": "TPESampler", "multivariate": True, "n_startup_trials": 5},
        "trials": list(trials),
        "best_so_far": made_progress(trials),
        "importance": made_importance(len(trials)),
        "edges": [],
        "budget": {
            "limits": {"seconds": 7200.0, "USD": 2.0}, "reserve_share": 0.35,
            "spent": {"wall_seconds": 5400.0, "machine_seconds": 9000.0, "usd": 1.25,
                      "setup_seconds": 25.0},
            "projected": {}, "stopped": None,
            "sessions": [{"worker": "a", "started_at": 1795424770.7, "seconds": 4500.0,
                          "setup_seconds": 25.0, "usd_per_hour": 0.5}] * 2,
        },
        "packing": None,
        "finalists": finalists or None,
        "winner": finalists[0] if finalists else None,
        "default": DEFAULT,
        "proof": made_proof() if finalists else None,
        "best_params": finalists[0]["params"] if finalists else None,
        "reproduce": "gemtune finetune data OUT_DIR --config-path data/study/best_config.yaml "
        "fine_tuning.training.seed=44" if finalists else None,
        "request": {"evaluation": {"task": "auto"}},
        "storage": "sqlite:///data/study/study.db",
        "study_name": "gemtune",
        "fingerprint": {"data.train": "22b51c91fb8b"},
        "environment": {"python": "3.11.7", "packages": {"torch": "2.13.0"}, "optuna": "5.0.0"},
        **changes,
    }  # fmt: skip


def made_progress(trials: Sequence[Json]) -> list[Json]:
    """The lowest loss after each part."""
    points: list[Json] = []
    seconds, usd, whole, best = 0.0, 0.0, 0.0, (math.inf, -1)
    for trial in trials:
        for rung in trial["rungs"]:
            seconds += rung["seconds"]
            usd += rung["usd"] or 0.0
            whole += rung["fraction"] - rung["from_fraction"]
            if rung["loss"] is not None:
                best = min(best, (rung["loss"], trial["number"]))
            if best[1] >= 0:
                spent = {"seconds": seconds, "usd": usd, "trials": whole}
                points.append({**spent, "loss": best[0], "trial": best[1]})
    return points


def write_study(folder: Path, study: Json) -> Path:
    """Write study.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    return folder
