"""The page of a search for hyperparameters."""

from collections.abc import Callable

from gemtune.reporting import cost_chart, importance_chart, parallel_chart, rate_chart, rung_chart
from gemtune.reporting.savings import savings
from gemtune.reporting.study_facts import probe_tables, study_facts
from gemtune.reporting.study_files import Study
from gemtune.reporting.study_verdict import cost_words, decide, digits_of
from gemtune.reporting.study_words import GLYPHS, STATES, parameter, role, settings, share_of_tokens
from gemtune.reporting.template import render
from gemtune.reporting.trial_list import trial_table

_TALL_FROM = 25


def study_page(study: Study, name: str) -> str:
    """Build the page of a study.

    Args:
        study: From `read_study_file`.
        name: Its folder, in the words of the user.
    """
    probes, choice = probe_tables(study.packing) if study.packing else ([], [])
    values = {
        "study": study,
        "name": name,
        "decision": decide(study),
        "cost": cost_words(study),
        "costs": cost_chart.cost_charts(study),
        "curves": rung_chart.rung_chart(study),
        "parallel": parallel_chart.parallel_chart(study),
        "rates": rate_chart.rate_chart(study),
        "importance": importance_chart.importance_rows(study.importance)
        if study.importance
        else [],
        "doubt": importance_chart.doubt(study),
        "table": trial_table(study),
        "is_tall": len(study.trials) > _TALL_FROM,
        "saved": savings(study),
        "probes": probes,
        "fact_groups": [*choice, *study_facts(study)],
        "sections": _sections(study),
        "charts_of": (cost_chart, rung_chart, parallel_chart, rate_chart, importance_chart),
        **_words(),
    }
    return render("study.html.j2", values, parts=("report", "study"))


def _words() -> dict[str, Callable[..., object] | dict[str, str]]:
    return {
        "glyphs": GLYPHS,
        "states": STATES,
        "digits_of": digits_of,
        "parameter": parameter,
        "role": role,
        "settings": settings,
        "share_of_tokens": share_of_tokens,
    }


def _sections(study: Study) -> list[tuple[str, str]]:
    """Anchors and names of the sections that there are."""
    sections = {
        ("best", "What is kept, and how to train it"): study.best_params is not None,
        ("bias", "The winner, looked at again"): study.winner is not None,
        ("finalists", "Finalists"): bool(study.finalists),
        ("cost", "Best loss against cost"): True,
        ("saved", "What stopping early saved"): True,
        ("curves", "Learning curves"): True,
        ("rates", "Learning rate"): True,
        ("parallel", "All settings at once"): True,
        ("importance", "What mattered"): True,
        ("trials", "All trials"): True,
        ("packing", "Trials trained together"): bool(study.packing),
        ("manifest", "Manifest"): True,
    }
    return [section for section, is_there in sections.items() if is_there]
