"""What the pages show: of a comparison, or of a training that nothing is proven about yet."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from gemtune.evaluation.findings import Comparison, MetricDifference, SliceDifference
from gemtune.evaluation.scoring.label import OTHER
from gemtune.reporting import facts, histogram, interval_chart, loss_chart, verdict
from gemtune.reporting.comparison_files import ComparisonFiles
from gemtune.reporting.confusion import top_confusions
from gemtune.reporting.effort import answering_efforts, cost_sentence, training_effort
from gemtune.reporting.examples import show_rows
from gemtune.reporting.interval_chart import metric_marks, slice_marks
from gemtune.reporting.judge_opinion import judge_lines, judged_rows
from gemtune.reporting.metric_words import count_words, metric_words
from gemtune.reporting.row_gains import score_rows, worst_rows
from gemtune.reporting.rows_table import PAGE_ROWS, as_script_data, table_rows
from gemtune.reporting.run_files import TrainingRun
from gemtune.reporting.template import render
from gemtune.reporting.verdict import primary_first

_SliceGroup = tuple[str, list[tuple[SliceDifference, interval_chart.IntervalMarks | None]]]

_LOSSES = ("losses", "Loss curves")
_LAST_SECTIONS = (("effort", "Time and cost"), ("manifest", "Manifest"))
_N_EXAMPLES = 10
_N_WORST = 10
_N_CONFUSIONS = 15


def comparison_page(files: ComparisonFiles, run: TrainingRun | None) -> str:
    """Build the page of a comparison."""
    found = files.found
    scored = score_rows(files.rows, found.primary)
    by_id, scored_by_id = {row.id: row for row in files.rows}, {s.row.id: s for s in scored}
    worst = [found_row.row.id for found_row in worst_rows(scored, found.primary, _N_WORST)]
    listed = table_rows(scored)
    return render(
        "comparison.html.j2",
        {
            "found": found,
            "primary": found.primary,
            "verdict": verdict,
            "surroundings": files.surroundings,
            "metrics": [(metric, _marks(metric, found.margin)) for metric in primary_first(found)],
            "metric_words": metric_words,
            "count_words": count_words,
            "other_label": OTHER,
            "slices": _grouped_slices([part for part in found.slices if part.p_bh is not None]),
            "small_slices": _grouped_slices([part for part in found.slices if part.p_bh is None]),
            "level": 1 - found.confidence,
            "with_holm": len(found.primary_metrics) > 1,
            "histogram": histogram.histogram([s.gain for s in scored], found.primary.digits),
            "confusions": top_confusions(files.rows, _N_CONFUSIONS)
            if found.task == "label"
            else [],
            "wins": show_rows(found.wins[:_N_EXAMPLES], by_id, scored_by_id),
            "regressions": show_rows(found.regressions[:_N_EXAMPLES], by_id, scored_by_id),
            "worst": show_rows(worst, by_id, scored_by_id),
            "judge_lines": judge_lines(found.judge),
            "judged": judged_rows(found.judge, by_id),
            "listed": listed[:PAGE_ROWS],
            "n_listed": len(listed),
            "rows_data": Markup(as_script_data(listed)),
            "efforts": [*([training_effort(run)] if run else []), *answering_efforts(files)],
            "fact_groups": [
                *facts.comparison_facts(files),
                *(facts.training_facts(run) if run else []),
            ],
            "sections": _sections(found, files, run),
            **_shared(run),
        },
    )


def training_page(run: TrainingRun, name: str) -> str:
    """Build the page of a run that was not compared with its base.

    Args:
        run: The run.
        name: Its folder, in the words of the user.
    """
    return render(
        "training.html.j2",
        {
            "name": name,
            "efforts": [training_effort(run)],
            "fact_groups": facts.training_facts(run),
            "sections": [_LOSSES, *_LAST_SECTIONS],
            **_shared(run),
        },
    )


def _sections(
    found: Comparison, files: ComparisonFiles, run: TrainingRun | None
) -> list[tuple[str, str]]:
    """Anchors and names of the sections that there are."""
    sections = {
        ("metrics", "All metrics"): True,
        _LOSSES: run is not None,
        ("spread", "What single rows gained"): True,
        ("slices", "Slices"): bool(found.slices),
        ("length", "Length of answers"): True,
        ("contamination", "Rows that training has seen"): True,
        ("seeds", "Seeds of training"): True,
        ("judge", "A judge's opinion"): found.judge is not None,
        ("confusions", "Labels taken for others"): found.task == "label",
        ("regressions", "Biggest losses"): True,
        ("wins", "Biggest wins"): True,
        ("worst", "Worst answers of the tuned model"): True,
        ("rows", "All rows"): True,
        ("sample", "What was masked and what was trained"): bool(files.surroundings.trained_sample),
    }
    return [*(section for section, is_there in sections.items() if is_there), *_LAST_SECTIONS]


def _shared(run: TrainingRun | None) -> dict[str, object]:
    return {
        "run": run,
        "losses": loss_chart.loss_chart(run) if run else None,
        "loss_size": (loss_chart.WIDTH, loss_chart.HEIGHT),
        "histogram_size": (histogram.WIDTH, histogram.HEIGHT),
        "marks_size": (interval_chart.WIDTH, interval_chart.HEIGHT),
        "cost": cost_sentence(run),
    }


def _marks(metric: MetricDifference, margin: float) -> interval_chart.IntervalMarks | None:
    return metric_marks(metric, margin if metric.is_primary else 0.0)


def _grouped_slices(slices: Sequence[SliceDifference]) -> list[_SliceGroup]:
    """Slices by what their rows have in common; all on one scale."""
    drawn = list(zip(slices, slice_marks(slices), strict=True))
    return [(by, list(group)) for by, group in groupby(drawn, key=lambda pair: pair[0].by)]
