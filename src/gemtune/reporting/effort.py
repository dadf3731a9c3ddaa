"""What it took: time, tokens and money, as far as somebody measured them."""

from dataclasses import dataclass

from gemtune.monitoring.durations import in_words
from gemtune.reporting.comparison_files import Answer, ComparisonFiles
from gemtune.reporting.numbers import count
from gemtune.reporting.run_files import TrainingRun

_UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Effort:
    """One piece of work."""

    work: str
    time: str
    tokens: str
    speed: str


def answering_efforts(files: ComparisonFiles) -> list[Effort]:
    """What the answers of both sides took."""
    return [
        _effort(
            f"{count(len(files.rows))} answers of the {role} model",
            files.surroundings.seconds.get(role),
            _total_tokens([getattr(row, role) for row in files.rows]),
        )
        for role in ("base", "tuned")
    ]


def training_effort(run: TrainingRun) -> Effort:
    """What the training took."""
    steps = run.number("result", "n_steps")
    work = "Training" if steps is None else f"Training, {count(steps)} steps"
    return _effort(work, run.number("train_seconds"), run.number("result", "n_tokens"))


def cost_sentence(run: TrainingRun | None) -> str:
    """What there is to say of money without inventing any."""
    if run is None:
        return "The record of the training is not at hand, so nothing is said of its cost."
    if run.told("target") == "local":
        return (
            "Training ran on a machine of your own: no cloud was paid. Electricity and the machine "
            "itself are not counted."
        )
    return "The price of the machine was not recorded."


def _effort(work: str, seconds: float | None, n_tokens: float | None) -> Effort:
    return Effort(
        work=work,
        time=in_words(seconds) if seconds is not None else _UNKNOWN,
        tokens=count(n_tokens) if n_tokens is not None else _UNKNOWN,
        speed=f"{count(n_tokens / seconds)} tokens/s" if n_tokens and seconds else "\u2013",
    )


def _total_tokens(answers: list[Answer]) -> int | None:
    counts = [answer.n_tokens for answer in answers if answer.n_tokens is not None]
    return sum(counts) if len(counts) == len(answers) else None
