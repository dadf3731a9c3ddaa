"""The whole configuration as frozen data: names, types, ranges, defaults and one line of help each.

No logic lives here and no other module knows a default. `load.py` fills it from YAML and overrides.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen group of keys that refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


class ProjectConfig(Section):
    """Who this run belongs to."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = "gemtune"
    """Name shown in the run record."""


class DataConfig(Section):
    """How rows become text for the model."""

    template: Literal["auto", "chat", "plain"] = "auto"
    """`chat`: the tokenizer's; `plain`: prompt, separator, answer; `auto`: chat if there is one."""
    separator: str = "\n"
    """Between prompt and answer in the plain template; left out after white space."""
    max_length: Annotated[int, Field(ge=8)] = 1024
    """Longest row in tokens; what exceeds it is cut at the end."""


class LoraConfig(Section):
    """The adapter."""

    r: PositiveInt = 16
    """Rank of the low-rank matrices."""
    alpha: PositiveFloat = 32.0
    """Scaling: the update is multiplied by alpha / r (alpha / sqrt(r) with `use_rslora`)."""
    dropout: Fraction = 0.0
    """Dropout on the adapter's input."""
    target_modules: Literal["auto", "attention", "all-linear"] | list[str] | str = "auto"
    """Which layers: a preset (`auto` = `all-linear`), a list of names, or a regular expression."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which bias vectors are trained too."""
    use_rslora: bool = False
    """Rank-stabilised scaling (arXiv:2312.03732)."""
    use_dora: bool = False
    """Weight-decomposed adapters (arXiv:2402.09353)."""
    init: Literal["default", "gaussian", "orthogonal", "pissa"] = "default"
    """How the adapter starts; `pissa`: principal components of the base (arXiv:2404.02948)."""
    lora_plus_ratio: PositiveFloat = 1.0
    """LoRA+ (arXiv:2402.12354): learning rate of B divided by that of A; 1 switches it off."""


class TrainingConfig(Section):
    """The optimisation."""

    batch_size: PositiveInt = 8
    """Rows per accumulation step; `gradient_accumulation_steps` of these make an optimizer step."""
    gradient_accumulation_steps: PositiveInt = 1
    """How many times `batch_size` rows make one optimizer step."""
    micro_batch_tokens: PositiveInt = 1024
    """Tokens in the model at once; changes speed and memory, never the gradient."""
    learning_rate: PositiveFloat = 5e-4
    """Peak learning rate of AdamW."""
    lr_scheduler: Literal["linear", "cosine", "constant"] = "cosine"
    """Shape after the warm-up; linear and cosine end at zero."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Warm-up in optimizer steps; overrides `warmup_ratio`."""
    warmup_ratio: Fraction = 0.05
    """Warm-up as a share of all optimizer steps."""
    epochs: PositiveFloat = 3.0
    """Passes over the training data."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimizer steps, whatever `epochs` says."""
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.01
    """AdamW weight decay on the adapter matrices; never on biases or magnitudes."""
    max_grad_norm: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0
    """Clip the global gradient norm; 0 switches it off."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the base weights; `auto` takes bf16 where the hardware is good at it."""
    fp16: bool | None = None
    """Old spelling: `true` asks for `precision: fp16`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Decides the adapter's start, the data order and the dropout."""
    eval_every_steps: PositiveInt | None = None
    """Validate every N optimizer steps; without it, once an epoch."""
    early_stopping_patience: PositiveInt | None = None
    """Stop after this many validations without a better loss."""
    save_every_steps: PositiveInt | None = None
    """A checkpoint every N optimizer steps, besides those at validations."""
    save_every_minutes: PositiveFloat = 10.0
    """A checkpoint after the first step that ends this long after the checkpoint before it."""
    max_skipped_steps: Annotated[int, Field(ge=0)] = 0
    """Skip this many steps whose loss or gradient is not finite; one more ends the run."""


class FineTuningConfig(Section):
    """What is trained, and how."""

    model: Annotated[str, Field(min_length=1)] = "smollm2-135m"
    """Alias, hub id, folder or GGUF file of the base model."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    method: Literal["peft"] = "peft"
    """Parameter-efficient fine-tuning with LoRA."""
    lora: LoraConfig = LoraConfig()
    training: TrainingConfig = TrainingConfig()


class SearchRange(Section):
    """Where one hyperparameter is looked for: between two numbers, or among choices."""

    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value."""
    log: bool = False
    """Equal steps in the logarithm."""
    choices: list[float | str] | None = None
    """The only values; instead of `low` and `high`."""


class HyperparameterConfig(Section):
    """The search for better hyperparameters."""

    space: Literal["recommended", "seed", "custom"] = "recommended"
    """`recommended`: by evidence; `seed`: wide classic ranges; `custom`: what `ranges` says."""
    ranges: dict[str, SearchRange] = {}
    """Ranges of a custom space, by name: `learning_rate`, `batch_size`, `lora_r`..."""
    n_trials: PositiveInt = 20
    """Settings that are tried, those included that are always tried."""
    timeout_seconds: PositiveFloat | None = None
    """Wall clock for everything: search, refits and proof."""
    max_usd: PositiveFloat | None = None
    """Money for everything; needs `usd_per_hour`."""
    usd_per_hour: PositiveFloat | None = None
    """What an hour of one worker's machine costs."""
    reserve: Fraction = 0.35
    """Share of time or money that is kept for the refits and the proof."""
    eta: Annotated[int, Field(ge=2, le=10)] = 3
    """One of this many trials goes on at each rung."""
    validation_rows: PositiveInt = 200
    """Rows of the validation data that trials are ranked by; always the same ones."""
    n_finalists: PositiveInt = 3
    """Best trials that the rule of `select` chooses from."""
    select: Literal["metric", "loss"] = "metric"
    """Finalists are ranked by the task's metric on their answers, or by validation loss."""
    n_refits: PositiveInt = 3
    """Seeds with which the winner and the default are trained again for the proof."""
    auto_extend: bool = True
    """Widen a range once if the best value lies at its edge."""
    packing: Literal["auto", 1, 2, 4, 8] = "auto"
    """Trials trained in the same passes; `auto` measures what pays on a GPU, on a CPU it is 1."""
    storage: str | None = None
    """URL of the database of the study; without it, SQLite in the output folder."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of the search."""


class JudgeConfig(Section):
    """A model that says which of two answers is better; never part of the verdict."""

    model: str | None = None
    """Gemini model that judges, for instance `gemini-2.5-flash`; without it, nobody judges."""
    project_id: str | None = None
    """Google Cloud project that pays for it."""
    location: str = "global"
    """Where the judge runs."""
    max_rows: PositiveInt = 200
    """Rows that are judged, each twice (with the answers swapped)."""


class EvaluationConfig(Section):
    """How models are scored and compared."""

    task: Literal["auto", "text", "label", "json", "number"] = "auto"
    """What the answers are; decides the metrics. `auto` looks at the references."""
    metrics: list[str] | None = None
    """Metrics or sets of metrics instead of those of the task: `rouge`, `bleu`, `e2e`..."""
    primary_metric: str | list[str] | None = None
    """What the verdict is about: one metric or a few; without it, the one of the task."""
    margin: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """Loss of the primary metric, in its own unit, that still counts as not worse."""
    gate: Literal["improved", "not_worse"] = "improved"
    """The verdict that `compare` needs for exit code 0."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What decodes; `vllm` needs a GPU and that package."""
    max_new_tokens: PositiveInt | None = None
    """Longest answer in tokens; without it, the 99th percentile of the training answers + 20 %."""
    batch_tokens: PositiveInt = 16384
    """Padded tokens (prompt and answer) decoded at once; the same on both sides of a comparison."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format while decoding; base and tuned always use the same."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """Confidence of every interval."""
    bootstrap_samples: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """Resamples of the paired bootstrap and of the randomization test."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of the bootstrap."""
    judge: JudgeConfig = JudgeConfig()


class MonitoringConfig(Section):
    """What is written while a run goes on."""

    tensorboard: bool = True
    """Write TensorBoard events beside `metrics.jsonl`."""
    log_every_steps: PositiveInt = 1
    """A training record in `metrics.jsonl` every N optimizer steps."""
    progress_every_seconds: PositiveFloat = 30.0
    """Off a terminal: seconds between two progress lines."""


class Config(Section):
    """The whole configuration of a run."""

    project: ProjectConfig = ProjectConfig()
    target: Literal["local"] = "local"
    """Where the run happens."""
    data: DataConfig = DataConfig()
    fine_tuning: FineTuningConfig = FineTuningConfig()
    hyperparameter: HyperparameterConfig = HyperparameterConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
