"""Rules about several keys at once, or about a key and the world outside the config."""

import logging
from collections.abc import Iterator

from gemtune.config.origins import KeyPath, dotted
from gemtune.config.schema import Config, TrainingConfig
from gemtune.config.search_ranges import broken_ranges
from gemtune.redaction import redact_forms

logger = logging.getLogger(__name__)

_TRAINING = ("fine_tuning", "training")
_FULL_FINE_TUNING_RATE = 5e-5


def broken_rules(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """The key to point at and what is wrong, for every rule that the config breaks."""
    training = config.fine_tuning.training
    if training.fp16 is not None and _contradicts_fp16(training):
        yield (
            (*_TRAINING, "fp16"),
            f"'fine_tuning.training.fp16' is {str(training.fp16).lower()} but "
            f"'fine_tuning.training.precision' is {training.precision}; keep one of them",
        )
    if config.target == "local" and config.fine_tuning.model.lower().startswith("gemini-"):
        yield (
            ("fine_tuning", "model"),
            f"the weights of {config.fine_tuning.model!r} are not available for local training; "
            "choose an open model such as 'smollm2-135m', 'gpt2' or 'google/gemma-3-270m'",
        )
    yield from broken_ranges(config.hyperparameter)
    for path, value in _texts(config.model_dump(mode="json"), ()):
        if redact_forms(value) != value:
            yield (
                path,
                f"{dotted(path)!r} looks like a secret, and configs are kept with every run; give "
                "it in the environment, as in HF_TOKEN",
            )


def _texts(values: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text of a config, with the key that it stands under."""
    match values:
        case str():
            yield path, values
        case dict():
            for name, value in values.items():
                yield from _texts(value, (*path, name))
        case list():
            for value in values:
                yield from _texts(value, path)


def warn_about_doubtful_values(config: Config) -> None:
    """Log values that are allowed but seldom what the user wants."""
    rate = config.fine_tuning.training.learning_rate
    if rate <= _FULL_FINE_TUNING_RATE:
        logger.warning(
            "fine_tuning.training.learning_rate=%g is in the range of full fine-tuning, about a "
            "tenth of what LoRA needs; the default is fine_tuning.training.learning_rate=%g",
            rate,
            TrainingConfig().learning_rate,
        )


def _contradicts_fp16(training: TrainingConfig) -> bool:
    if training.fp16:
        return training.precision not in ("auto", "fp16")
    return training.precision == "fp16"
