"""The small print of a study: everything that makes it repeatable."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gemtune.monitoring.durations import in_words
from gemtune.reporting.facts import FactGroup, fact_group
from gemtune.reporting.numbers import figure
from gemtune.reporting.study_files import Choices, Span, Study
from gemtune.reporting.study_words import parameter, share_of_tokens


@dataclass(frozen=True, slots=True)
class ProbeTable:
    """A table of the probe that chose how many trials are trained at once."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def study_facts(study: Study) -> list[FactGroup]:
    """Sampler, search, ranges, budget, versions and fingerprint."""
    search = {
        "trials asked for": study.n_trials,
        "compared at": ", ".join(map(share_of_tokens, study.rungs)) + " of the tokens",
        "one goes on of": study.eta,
        "seed": study.seed,
        "rule": study.rule.in_words,
        "study": study.study_name,
        "storage": study.storage,
    }
    return [
        fact_group("Sampler, every argument", {**study.sampler, "seed of the study": study.seed}),
        fact_group("Search", search),
        fact_group("Ranges", _ranges(study)),
        fact_group("Time and money", _budget(study)),
        fact_group("What was asked for", study.request),
        fact_group("Fingerprint of the study", study.fingerprint),
        fact_group("Environment", study.environment),
    ]


def probe_tables(packing: Any) -> tuple[list[ProbeTable], list[FactGroup]]:
    """What a probe measured: lists of objects as tables, everything else as facts."""
    found = packing if isinstance(packing, Mapping) else {"probe": packing}
    tables = [_probe_table(name, value) for name, value in found.items() if _is_table(value)]
    rest = {name: value for name, value in found.items() if not _is_table(value)}
    return tables, [fact_group("Choice of the probe", rest)] if rest else []


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _probe_table(title: str, measured: list[dict[str, Any]]) -> ProbeTable:
    columns = tuple(dict.fromkeys(key for row in measured for key in row))
    rows = tuple(tuple(_shown(row.get(column)) for column in columns) for row in measured)
    return ProbeTable(title, columns, rows)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return figure(float(f"{value:.4g}"))
    return "\u2013" if value is None else str(value)


def _ranges(study: Study) -> dict[str, str]:
    told = {"preset": study.space.preset}
    told |= {name: _range(found) for name, found in study.space.ranges.items()}
    for name, found in study.space.widened.ranges.items():
        if study.space.ranges.get(name) != found:
            told[f"{name}, widened"] = _range(found)
    if study.space.reference_batch:
        told["learning_rate is meant for batch_size"] = parameter(study.space.reference_batch)
    return told


def _range(found: Span | Choices) -> str:
    if isinstance(found, Choices):
        return "one of " + "; ".join(map(parameter, found.values))
    scale = ", in logarithms" if found.is_log else ""
    return f"{figure(found.low)} to {figure(found.high)}{scale}"


def _budget(study: Study) -> dict[str, str]:
    budget = study.budget
    spent = budget.spent
    told = {
        f"limit in {unit}": in_words(limit) if unit == "seconds" else f"{limit:.2f}"
        for unit, limit in budget.limits.items()
    }
    told["time"] = in_words(spent.wall_seconds)
    told["time summed over processes"] = in_words(spent.machine_seconds)
    told["loading model and data"] = in_words(spent.setup_seconds)
    told["money"] = "price not known" if study.usd is None else f"{study.usd:.4f} USD"
    if study.status != "searching":
        told["why the search stopped"] = budget.stopped or "all trials were done"
    for number, session in enumerate(budget.sessions, start=1):
        begun = datetime.fromtimestamp(session.started_at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
        price = session.usd_per_hour
        told[f"process {number}"] = f"from {begun}, {in_words(session.seconds)}, " + (
            "price not known" if price is None else f"{price:g} USD an hour"
        )
    return told
