"""How much each hyperparameter mattered, drawn beside its figures."""

from dataclasses import dataclass

from gemtune.reporting.chart_axis import Axis
from gemtune.reporting.numbers import percent
from gemtune.reporting.study_files import Importance, Study

WIDTH, HEIGHT = 180, 18
_ENOUGH_TRIALS = 15
_EDGE = 4


@dataclass(frozen=True, slots=True)
class ImportanceRow:
    """A bar from 0 to the share, and the interval over it."""

    name: str
    share: str
    interval: str
    zero: float
    bar: float
    low: float
    high: float


def importance_rows(found: Importance) -> list[ImportanceRow]:
    """The largest share first, all on the scale from 0 to 1."""
    axis = Axis(0.0, 1.0, _EDGE, WIDTH - _EDGE)
    ranked = sorted(found.params.items(), key=lambda pair: -pair[1].importance)
    return [
        ImportanceRow(
            name=name,
            share=_whole(share.importance),
            interval=f"{_whole(share.low)} to {_whole(share.high)}",
            zero=axis.place(0.0),
            bar=axis.place(share.importance),
            low=axis.place(share.low),
            high=axis.place(share.high),
        )
        for name, share in ranked
    ]


def doubt(study: Study) -> str | None:
    """What to know before trusting the shares; None for a search that is large enough."""
    n_complete = study.n_in_state("complete")
    measured = study.importance.n_trials if study.importance else 0
    if measured >= _ENOUGH_TRIALS and n_complete >= _ENOUGH_TRIALS:
        return None
    told = f"{n_complete} trials came to the end and {measured} were measured at all. "
    if measured < _ENOUGH_TRIALS:
        return told + (
            f"With fewer than {_ENOUGH_TRIALS} trials such shares are mostly chance: trust the "
            "intervals, not the order."
        )
    return told + (
        f"With fewer than {_ENOUGH_TRIALS} complete trials the shares tell what matters early in "
        "training, not what matters at its end."
    )


def _whole(share: float) -> str:
    return percent(round(share, 2))
