"""A study so small that it ends in seconds: three colours, a tiny model, four trials."""

import json
from pathlib import Path

COLOURS = ("red", "green", "blue")
N_TRAIN, N_VAL, N_TEST = 48, 12, 24


def write_study_data(folder: Path, *, has_test: bool = True) -> Path:
    """Which colour belongs to a number; rows of the splits differ."""
    folder.mkdir(parents=True)
    numbers = iter(range(1000))
    sizes = {"train": N_TRAIN, "val": N_VAL, "test": N_TEST}
    for split, size in sizes.items():
        lines = []
        for _ in range(size):
            i = next(numbers)
            row = {"input_text": f"colour {i} of {i % 3}?", "output_text": COLOURS[i % 3]}
            lines.append(json.dumps(row) + "\n")
        if split != "test" or has_test:
            (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def study_settings(model_dir: Path, *more: str) -> list[str]:
    """Overrides with which a study of the colours ends in seconds."""
    return [
        f"fine_tuning.model={model_dir}",
        "fine_tuning.lora.r=4",
        "fine_tuning.training.precision=fp32",
        "fine_tuning.training.epochs=2",
        "fine_tuning.training.learning_rate=1e-3",
        "evaluation.precision=fp32",
        "evaluation.max_new_tokens=8",
        "evaluation.bootstrap_samples=200",
        "hyperparameter.n_trials=4",
        "hyperparameter.n_finalists=2",
        "hyperparameter.n_refits=2",
        *more,
    ]
