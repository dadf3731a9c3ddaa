"""Folders of comparisons and runs, made by hand from the dataclasses that describe them."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gemtune.evaluation.comparing.statistics import Outcomes
from gemtune.evaluation.findings import (
    Comparison,
    Contamination,
    LengthFinding,
    MetricDifference,
    SeedFinding,
    SliceDifference,
    TextSpan,
)
from gemtune.evaluation.judging.judgement import (
    JudgedRow,
    JudgeFinding,
    Judgement,
    RowOutcome,
)

LABELS = ("card_arrival", "lost_or_stolen_card", "top_up_failed", "exchange_rate", "refund")
WORDS = ("please", "the", "card", "is", "lost", "and", "my", "money", "has", "not", "come", "back")


@dataclass(frozen=True, slots=True)
class MadeRow:
    """A row of the test set with both answers and their scores by rougeL."""

    id: str
    input: str
    output: str
    base: str
    tuned: str
    base_score: float
    tuned_score: float


def made_rows(n_rows: int, seed: int = 0) -> list[MadeRow]:
    """Questions and labels; the tuned model is right more often."""
    chance = random.Random(seed)
    rows = []
    for number in range(n_rows):
        wanted, mistaken = chance.sample(LABELS, 2)
        base = wanted if chance.random() < 0.3 else " ".join(chance.sample(WORDS, 8))
        tuned = wanted if chance.random() < 0.8 else mistaken
        rows.append(
            MadeRow(
                id=f"row-{number}",
                input=f"Query {number}: {' '.join(chance.choices(WORDS, k=12))}",
                output=wanted,
                base=base,
                tuned=tuned,
                base_score=float(base == wanted),
                tuned_score=float(tuned == wanted),
            )
        )
    return rows


def made_metric(name: str = "rougeL", **changes: Any) -> MetricDifference:
    """A clear gain."""
    metric = MetricDifference(
        metric=name,
        higher_is_better=True,
        digits=3,
        is_primary=name == "rougeL",
        base=0.3,
        tuned=0.8,
        difference=0.5,
        low=0.44,
        high=0.56,
        test="approximate randomization",
        p=0.0001,
        p_holm=0.0001 if name == "rougeL" else None,
        smallest_visible=0.081,
        rows=Outcomes(110, 80, 10),
    )
    return replace(metric, **changes)


def made_slice(value: str, **changes: Any) -> SliceDifference:
    part = SliceDifference(
        by="label",
        value=value,
        n_rows=40,
        base=0.3,
        tuned=0.8,
        difference=0.5,
        low=0.3,
        high=0.7,
        p=0.0002,
        p_bh=0.001,
    )
    return replace(part, **changes)


def made_comparison(rows: Sequence[MadeRow], **changes: Any) -> Comparison:
    """Findings with every part filled in."""
    gains = sorted(rows, key=lambda row: row.tuned_score - row.base_score)
    counts = {"n_examples": len(rows), "n_empty": 1, "n_truncated": 3}
    comparison = Comparison(
        verdict="improved",
        is_gate_met=True,
        gate="improved",
        margin=0.02,
        task="label",
        primary_metrics=("rougeL",),
        metrics=(
            made_metric(),
            made_metric("bleu", digits=2, base=10.0, tuned=42.5, difference=32.5, low=28.1,
                        high=36.4, smallest_visible=6.2),
            made_metric("perplexity", higher_is_better=False, base=9.0, tuned=3.2,
                        difference=-5.8, low=-7.0, high=-4.9),
            made_metric("exact_match", low=-0.1, difference=0.05, high=0.2, p=0.34),
        ),
        base="smollm2-135m",
        tuned="data/model",
        n_examples=len(rows),
        n_groups=len(rows),
        confidence=0.95,
        bootstrap_samples=10_000,
        seed=42,
        base_metrics={"rougeL": 0.3, **counts},
        tuned_metrics={"rougeL": 0.8, **counts, "n_truncated": 0},
        slices=(
            *(made_slice(label, difference=0.1 * i) for i, label in enumerate(LABELS)),
            made_slice("seldom", n_rows=4, low=-0.4, high=1.0, p_bh=None),
            made_slice("first quarter", by="input length"),
            made_slice("last quarter", by="input length", low=-0.1, difference=0.05, high=0.2),
        ),
        length=LengthFinding(8.4, 1.2, 1.0, 0.47, 0.40, 0.55),
        contamination=Contamination("data/train.jsonl", 21, 20, 13, len(rows) - 30, made_metric()),
        seeds=SeedFinding(("data/model", "data/model-2"), (0.8, 0.78), 0.014),
        wins=tuple(row.id for row in gains[-5:][::-1]),
        regressions=tuple(row.id for row in gains[:5]),
        notes=("the interval is approximate: only 80 independent rows",),
    )  # fmt: skip
    return replace(comparison, **changes)


def made_judge(rows: Sequence[MadeRow], reason: str = "It names the card.") -> JudgeFinding:
    """A judge that liked the tuned answers, was unsure once, and failed once."""
    said = [Judgement(choice, reason, 100, 10) for choice in ("first", "second")]
    outcomes: list[RowOutcome] = ["win", "loss", "inconsistent", "tie", "failed", "equal"]
    judged = [
        JudgedRow(row.id, outcomes[number % len(outcomes)], *said)
        for number, row in enumerate(rows)
    ]
    return JudgeFinding(
        judge=f"gemini-9 ({reason})",
        seed=42,
        n_rows=len(rows),
        n_equal=1,
        n_failed=1,
        failures={reason: 1},
        outcomes=Outcomes(14, 3, 7),
        n_inconsistent=2,
        inconsistent_share=0.0833,
        n_prefers_first=2,
        n_prefers_second=0,
        win_share=2 / 3,
        low=0.45,
        high=0.83,
        confidence=0.95,
        p=0.19,
        longer_won_share=0.6,
        n_calls=48,
        n_input_tokens=4_800,
        n_output_tokens=480,
        rows=tuple(judged),
    )


def write_comparison(
    folder: Path, rows: Sequence[MadeRow], found: Comparison | None = None, **extra: Any
) -> Path:
    """Write comparison.json and the predictions of both sides; `extra` goes into the former."""
    found = found or made_comparison(rows)
    decode = {"strategy": "greedy", "dtype": "bf16", "data": {"separator": "\n"}}
    sample = (TextSpan("Query: where is my card?\nIntent:", False), TextSpan(" card_arrival", True))
    document = {
        "schema_version": 2,
        **asdict(found),
        "trained_sample": [asdict(span) for span in sample],
        "decode": {"base": decode, "tuned": decode},
        "signatures": {"rougeL": "rouge_score 0.1.2|stemmer|F"},
        "test_data": {"path": "data/test.jsonl", "sha256": "59ed6c", "n_examples": len(rows)},
        "environment": {"python": "3.11.7", "packages": {"torch": "2.13.0"}},
        "seconds": {"base": 36.7, "tuned": None},
        **extra,
    }
    for role in ("base", "tuned"):
        (folder / role).mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(answer(row, role)) for row in rows]
        (folder / role / "predictions.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "comparison.json").write_text(json.dumps(document), "utf-8")
    return folder


def answer(row: MadeRow, role: str) -> dict[str, Any]:
    """A line of predictions.jsonl."""
    return {
        "input": row.input,
        "output": row.output,
        "prediction": getattr(row, role),
        "id": row.id,
        "references": [row.output],
        "scores": {"rougeL": getattr(row, f"{role}_score")},
        "n_tokens": 7,
        "finish_reason": "length" if len(getattr(row, role)) > 60 else "stop",
        "prompt_truncated": 0,
    }


def write_run(folder: Path, n_steps: int = 60, **changes: Any) -> Path:
    """Write the record of a finished run."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "status": "done",
        "target": "local",
        "model": {"name": "smollm2-135m", "revision": None},
        "data": {"train": {"path": "data/train.jsonl", "sha256": "4764a7"}},
        "seed": 42,
        "train_seconds": 254.4,
        "result": {"n_steps": n_steps, "n_tokens": 45_947},
        "environment": {"python": "3.11.7"},
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    events: list[dict[str, Any]] = [{"kind": "eval", "step": 0, "eval/loss": 5.3}]
    for step in range(1, n_steps + 1):
        events.append({"kind": "train", "step": step, "train/loss": 4 / step + 0.3})
    events.append({"kind": "eval", "step": n_steps, "eval/loss": 0.41})
    lines = [json.dumps(event) + "\n" for event in events]
    (folder / "metrics.jsonl").write_text("".join(lines), "utf-8")
    return folder
