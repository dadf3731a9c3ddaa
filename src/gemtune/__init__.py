"""Fine-tune language models with LoRA and prove that they got better."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemtune.config.load import load_config
    from gemtune.config.schema import Config
    from gemtune.errors import GemtuneError
    from gemtune.evaluation.comparison import compare_models
    from gemtune.evaluation.metrics import evaluate_model
    from gemtune.fine_tuning.setup import setup_peft_model
    from gemtune.fine_tuning.train import finetune_model
    from gemtune.hyperparameter.optimize import finetune_with_best_params, optimize_hyperparameters

__version__ = "0.1.0"

__all__ = [
    "Config",
    "GemtuneError",
    "compare_models",
    "evaluate_model",
    "finetune_model",
    "finetune_with_best_params",
    "load_config",
    "optimize_hyperparameters",
    "setup_peft_model",
]

_HOMES = {
    "Config": "gemtune.config.schema",
    "GemtuneError": "gemtune.errors",
    "compare_models": "gemtune.evaluation.comparison",
    "evaluate_model": "gemtune.evaluation.metrics",
    "finetune_model": "gemtune.fine_tuning.train",
    "finetune_with_best_params": "gemtune.hyperparameter.optimize",
    "load_config": "gemtune.config.load",
    "optimize_hyperparameters": "gemtune.hyperparameter.optimize",
    "setup_peft_model": "gemtune.fine_tuning.setup",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import gemtune` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Show the lazy names to editors and `dir`."""
    return sorted([*globals(), *__all__])
