"""The small print: what a result depends on, as names and values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gemtune.reporting.comparison_files import ComparisonFiles
from gemtune.reporting.numbers import score
from gemtune.reporting.run_files import TrainingRun

_RUN_KEYS = (
    "status",
    "started",
    "finished",
    "target",
    "model",
    "data",
    "plan",
    "result",
    "seed",
    "hardware",
    "peak_memory_gib",
    "degraded",
    "events",
)


@dataclass(frozen=True, slots=True)
class FactGroup:
    """Facts under one heading."""

    title: str
    facts: tuple[tuple[str, str], ...]


def comparison_facts(files: ComparisonFiles) -> list[FactGroup]:
    """What makes a comparison repeatable: data, settings, signatures, versions."""
    found, around = files.found, files.surroundings
    settings = {
        "primary metrics": ", ".join(found.primary_metrics),
        "gate": found.gate,
        "margin": found.margin,
        "confidence": found.confidence,
        "resamples": found.bootstrap_samples,
        "seed": found.seed,
        "task": found.task,
    }
    return [
        fact_group("Test data", around.test_data),
        fact_group("Statistics", settings),
        *(
            fact_group(
                f"Answers of the {role} model", around.decode.get(role) or {"settings": None}
            )
            for role in ("base", "tuned")
        ),
        fact_group("Metrics", around.signatures),
        fact_group("Environment of the comparison", around.environment),
    ]


def training_facts(run: TrainingRun) -> list[FactGroup]:
    """What makes a training run repeatable."""
    record = {key: run.record[key] for key in _RUN_KEYS if key in run.record}
    return [
        fact_group("Training", record),
        *([fact_group("Files of the training, SHA-256", run.digests)] if run.digests else []),
        fact_group("Environment of the training", run.told("environment") or {}),
    ]


def fact_group(title: str, values: Mapping[str, Any]) -> FactGroup:
    """Lay nested values out as names and texts."""
    return FactGroup(title, tuple(_flat(values, "")))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping() if value:
            for key, inner in value.items():
                yield from _flat(inner, f"{name} {key}".strip())
        case [dict(), *_]:
            for number, inner in enumerate(value, start=1):
                yield from _flat(inner, f"{name} {number}".strip())
        case list() | tuple():
            yield name, ", ".join(map(_text, value)) or "none"
        case _:
            yield name, _text(value)


def _text(value: Any) -> str:
    match value:
        case None:
            return "not known"
        case bool():
            return "yes" if value else "no"
        case float():
            return score(value, 6).rstrip("0").rstrip(".") if value else "0"
        case dict() | list() | str() if not value:
            return "none"
        # A line feed as a separator would be an empty cell.
        case str() if not value.strip():
            return repr(value)
        case _:
            return str(value)
