"""The page of the docs about search spaces, made from the presets themselves.

`python -m gemtune.hyperparameter.space_page > docs/reference/search_space.md`
"""

import sys
from collections.abc import Iterator

from gemtune.config.params import PATHS
from gemtune.config.schema import Config, HyperparameterConfig
from gemtune.hyperparameter.edges import NEAR
from gemtune.hyperparameter.presets import (
    N_TRIALS_FOR_RANK,
    N_TRIALS_FOR_TARGETS,
    PLAN_EXAMPLE,
    central_rate,
    search_space,
)
from gemtune.hyperparameter.rungs import MIN_STEPS, group_size, rung_fractions
from gemtune.hyperparameter.space import Choices, Range

_MODELS = (
    ("SmolLM2-135M", 576, "llama"),
    ("gpt2", 768, "gpt2"),
    ("Gemma 3 270M", 640, "gemma3_text"),
    ("Qwen3-0.6B", 1024, "qwen3"),
    ("Llama 3.1 8B", 4096, "llama"),
)
_FEW, _SOME, _MANY = 12, 20, 30
_LONG = 10_000


def space_page() -> str:
    """The Markdown page `docs/reference/search_space.md`, without its last newline."""
    return "\n".join([*_head(), *_ranges(), *_centres(), *_first(), *_rungs()])


def _head() -> Iterator[str]:
    yield "# Search spaces"
    yield ""
    yield "Made by `python -m gemtune.hyperparameter.space_page > docs/reference/search_space.md`;"
    yield "do not edit it by hand. [Why it is so](../design/search.md)."
    yield ""
    yield "`hyperparameter.space` chooses the space. What is not searched stays as the config says."
    yield "A `custom` space takes `hyperparameter.ranges` with these names:"
    yield ""
    yield "| name | key of the config |"
    yield "|---|---|"
    yield from (f"| `{name}` | `{'.'.join(path)}` |" for name, path in PATHS.items())


def _ranges() -> Iterator[str]:
    seed = search_space(Config(hyperparameter=HyperparameterConfig(space="seed")), _SOME, 576)
    counts = (_FEW, _SOME, _MANY)
    recommended = [search_space(Config(), n, 576, "llama").ranges for n in counts]
    yield "\n## Ranges\n"
    yield "`recommended` is shown for SmolLM2-135M and the default config, by number of trials.\n"
    yield "| name | `seed` | " + " | ".join(f"`recommended`, {n}" for n in counts) + " |"
    yield "|---|---|---|---|---|"
    for name in PATHS:
        cells = [_words(each.get(name)) for each in (seed.ranges, *recommended)]
        if any(cells):
            yield f"| `{name}` | {' | '.join(cells)} |"
    yield ""
    yield f"The rank is searched from {N_TRIALS_FOR_RANK} trials on, the layers and larger batches"
    yield f"from {N_TRIALS_FOR_TARGETS} on; dropout, if rows are seen more than once. Batch sizes"
    yield "are divided by `gradient_accumulation_steps`, so that a step has the same rows. The"
    yield "learning rate of `recommended` is meant for 8 rows a step, is multiplied by the root of"
    yield "the ratio for other batch sizes, and has a range that holds the rate of the config."
    yield ""
    yield f"If the best trial lies in the outer {NEAR:.0%} of a range in logarithms, that end is"
    yield "moved outwards by half of the range, once (`hyperparameter.auto_extend`)."


def _centres() -> Iterator[str]:
    yield "\n## Central learning rate\n"
    yield "`recommended` searches from a twentieth to six times the central rate: 5e-4 x (2000 /"
    yield "width)^p with p = 0.781 for Llama and 0.0775 for Qwen (tinker-cookbook,"
    yield "hyperparam_utils.py at 9dfcc3a); else 5e-4, and 1e-3 for models narrower than 1024.\n"
    yield "| model | width | central rate |"
    yield "|---|---|---|"
    for name, width, family in _MODELS:
        yield f"| {name} | {width} | {central_rate(width, family):.2g} |"


def _first() -> Iterator[str]:
    told = ", ".join(f"`{name}` {value}" for name, value in PLAN_EXAMPLE.items())
    yield "\n## What is always tried first\n"
    yield "1. `config`: the settings of the config."
    yield f"2. `plan`: {told}."
    yield "3. `evidence`: the central rate, 8 rows a step, and gemtune's defaults for the rest."


def _rungs() -> Iterator[str]:
    rungs = ", ".join(f"{fraction:.3g}" for fraction in rung_fractions(3, _LONG, 0))
    yield "\n## Rungs\n"
    yield f"With `hyperparameter.eta` 3 trials come in groups of {group_size(3)} and are compared"
    yield f"after {rungs} of their tokens. The first rung is at least {MIN_STEPS} steps, and twice"
    yield "the warm-up, but not later than a third; the second then lies at its root."


def _words(found: Range | None) -> str:
    if found is None:
        return ""
    if isinstance(found, Choices):
        return ", ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in found.values)
    return f"{found.low:g} to {found.high:g}{', log' if found.is_log else ''}"


if __name__ == "__main__":
    sys.stdout.write(space_page() + "\n")
