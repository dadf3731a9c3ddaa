"""Metrics on 10,000 pairs: gemtune against the packages that others use, in one interleaved run.

CPU seconds (children included) of a process that has all packages imported; each figure is the
median of all rounds, that of lm-eval one round. The last column says whether the figures are those
of the package that is the standard: to the last bit, or how far off. The second system has a fifth
of its answers cut after the first sentence.

    python benchmarks/metric_speed.py [--pairs 10000] [--rounds 3] [--evaluate-rouge SCRIPT]

Peers are no dependencies of the project: `pip install evaluate==0.4.6 lm-eval==0.4.13` into a
virtual environment of their own beside `gemtune[fast]`. A row whose package is missing says so.
evaluate loads its metrics from the hub; without one, `--evaluate-rouge` takes the path of
`metrics/rouge/rouge.py` from its repository.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from gemtune.evaluation.comparing.statistics import bootstrap_scores, interval
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.bleu import bleu_family
from gemtune.evaluation.scoring.chrf import chrf_family
from gemtune.evaluation.scoring.family import Family
from gemtune.evaluation.scoring.rouge import (
    ROUGE_TYPES,
    RougeScorer,
    fast_scorer,
    reference_scorer,
    rouge_f,
)

E2E_TRAIN = Path(__file__).parents[1].parent / "shared" / "datasets" / "e2e" / "train.jsonl"
LM_EVAL_RESAMPLES = 100
"""What lm-eval takes for BLEU unless told otherwise."""


@dataclass(frozen=True)
class Pairs:
    """References, and the answers of two systems."""

    references: list[str]
    base: list[str]
    tuned: list[str]


@dataclass(frozen=True)
class Contestant:
    """Who computes what."""

    what: str
    name: str
    compute: Callable[[Pairs], Any]
    package: str = "sacrebleu"
    is_slow: bool = False
    """Minutes on 10,000 pairs: measured in the first round only."""


def main() -> None:
    """Run all contestants in turn, several times, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name or measure holds this")
    parser.add_argument("--evaluate-rouge", default="rouge", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not E2E_TRAIN.exists():
        sys.exit(f"skipped: {E2E_TRAIN} is not there")
    pairs = read_pairs(options.pairs)
    chosen = [
        each
        for each in contestants(options.evaluate_rouge)
        if options.only in f"{each.what} {each.name}"
    ]
    seconds: dict[str, list[float]] = {each.name: [] for each in chosen}
    found: dict[str, list[Any]] = {each.name: [] for each in chosen}
    for number in range(options.rounds):
        for each in chosen:
            if each.is_slow and number > 0:
                continue
            run(each, pairs, seconds[each.name], found[each.name])
    print_table(chosen, seconds, found)
    print(f"\n{options.pairs:,} pairs of E2E, median of {options.rounds} rounds. {machine()}")


def read_pairs(n_pairs: int) -> Pairs:
    """Pair references of the same input, and exchange a few answers for a second system."""
    by_input: dict[str, list[str]] = {}
    for line in E2E_TRAIN.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_input.setdefault(row["input_text"], []).append(row["output_text"])
    pairs = [(one, other) for texts in by_input.values() for one, other in pairwise(texts)]
    draw = random.Random(0)
    draw.shuffle(pairs)
    references, answers = (list(side) for side in zip(*pairs[:n_pairs], strict=True))
    worse = [answer if draw.random() < 0.8 else answer.split(".")[0] for answer in answers]
    return Pairs(references, worse, answers)


def run(each: Contestant, pairs: Pairs, seconds: list[float], found: list[Any]) -> None:
    """Time one contestant; one that is not installed leaves no time."""
    # Nobody gains from words that another one has cut.
    Tokenizer13a.__call__.cache_clear()
    try:
        version(each.package)
        started = cpu_seconds()
        found.append(each.compute(pairs))
        seconds.append(cpu_seconds() - started)
    except (PackageNotFoundError, ImportError, FileNotFoundError, ConnectionError) as error:
        found.append(f"not measured: {type(error).__name__}: {error}".splitlines()[0])


def cpu_seconds() -> float:
    """User and system time of this process and the children that it has waited for."""
    return sum(os.times()[:4])


def rouge_rows(pairs: Pairs, scorer: RougeScorer) -> list[list[float]]:
    """F of every row, as gemtune asks a package for it."""
    rows = zip(pairs.tuned, pairs.references, strict=True)
    return [rouge_f(scorer, Prediction("", answer), [text]) for answer, text in rows]


def rouge_by_rouge_score(pairs: Pairs) -> list[list[float]]:
    """F of every row by the package alone."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer = RougeScorer(list(ROUGE_TYPES), tokenizer=DefaultTokenizer(use_stemmer=True))
    rows = zip(pairs.references, pairs.tuned, strict=True)
    scores = [scorer.score(text, answer) for text, answer in rows]
    return [[score[name].fmeasure for name in ROUGE_TYPES] for score in scores]


def rouge_by_evaluate(pairs: Pairs, script: str) -> list[float]:
    """Means by evaluate's defaults with a stemmer, which are medians of a bootstrap."""
    scores = load_evaluate_rouge(script).compute(
        predictions=pairs.tuned,
        references=pairs.references,
        rouge_types=list(ROUGE_TYPES),
        use_stemmer=True,
    )
    return [float(scores[name]) for name in ROUGE_TYPES]


@cache
def load_evaluate_rouge(script: str) -> Any:
    """The metric as evaluate hands it out, loaded once."""
    return import_module("evaluate").load(script)


def corpus_score(family: Family, pairs: Pairs) -> float:
    """One of gemtune's corpus metrics of the second system."""
    references = [[text] for text in pairs.references]
    statistics_of_rows = family.statistics(answers(pairs.tuned), references)
    return float(family.corpus(statistics_of_rows.sum(axis=0))[0])


def answers(texts: list[str]) -> list[Prediction]:
    """Texts in the shape that families take."""
    return [Prediction("", text) for text in texts]


def interval_by_gemtune(pairs: Pairs) -> tuple[float, float]:
    """Interval of the difference in BLEU, counting of n-grams included."""
    family = bleu_family()
    references = [[text] for text in pairs.references]
    base, tuned = (
        family.statistics(answers(texts), references) for texts in (pairs.base, pairs.tuned)
    )
    of_base, of_tuned = bootstrap_scores((base, tuned), family.corpus, n_resamples=10_000, seed=0)
    low, high = interval(of_tuned - of_base, 0.95)
    return float(low[0]), float(high[0])


def paired_test_by_sacrebleu(pairs: Pairs, kind: str, n_samples: int) -> str:
    """Scores, intervals of each system, and p."""
    systems: list[tuple[str, Sequence[str]]] = [("base", pairs.base), ("tuned", pairs.tuned)]
    test = PairedTest(
        systems, {"BLEU": BLEU()}, [pairs.references], test_type=kind, n_samples=n_samples
    )
    tuned: Any = test()[1]["BLEU"][1]
    half_width = f", ci half-width {tuned.ci:.3f}" if tuned.ci else ""
    return f"{tuned.score:.3f}, p {tuned.p_value:.4f}{half_width}"


def stderr_by_lm_eval(pairs: Pairs) -> float:
    """Standard error of one system's BLEU."""
    metrics = import_module("lm_eval.api.metrics")
    items = list(zip(pairs.references, pairs.tuned, strict=True))
    estimate = metrics.stderr_for_metric(metric=metrics.bleu, bootstrap_iters=LM_EVAL_RESAMPLES)
    return float(estimate(items))


ROUGE, CORPUS_BLEU, CORPUS_CHRF = "ROUGE-1, 2 and L", "corpus BLEU", "corpus chrF"
SURE = "how sure BLEU is"


def contestants(script: str) -> list[Contestant]:
    """All rows of the table; the first of each measure is the standard, except for intervals."""
    return [
        Contestant(ROUGE, "rouge_score", rouge_by_rouge_score, "rouge-score"),
        Contestant(
            ROUGE, "HF evaluate", lambda pairs: rouge_by_evaluate(pairs, script), "evaluate"
        ),
        Contestant(
            ROUGE, "gemtune without `fast`", lambda pairs: rouge_rows(pairs, reference_scorer())
        ),
        Contestant(
            ROUGE, "gemtune", lambda pairs: rouge_rows(pairs, fast_scorer()), "rouge-score-rs"
        ),
        Contestant(
            CORPUS_BLEU,
            "sacrebleu BLEU",
            lambda pairs: BLEU().corpus_score(pairs.tuned, [pairs.references]).score,
        ),
        Contestant(CORPUS_BLEU, "gemtune BLEU", lambda pairs: corpus_score(bleu_family(), pairs)),
        Contestant(
            CORPUS_CHRF,
            "sacrebleu chrF",
            lambda pairs: CHRF().corpus_score(pairs.tuned, [pairs.references]).score,
        ),
        Contestant(CORPUS_CHRF, "gemtune chrF", lambda pairs: corpus_score(chrf_family(), pairs)),
        Contestant(
            SURE,
            f"lm-eval, {LM_EVAL_RESAMPLES} resamples of one system: standard error",
            stderr_by_lm_eval,
            "lm-eval",
            is_slow=True,
        ),
        Contestant(
            SURE,
            "sacrebleu paired-bs, 1,000: an interval for each system, p",
            lambda pairs: paired_test_by_sacrebleu(pairs, "bs", 1_000),
        ),
        Contestant(
            SURE,
            "sacrebleu paired-ar, 10,000: p",
            lambda pairs: paired_test_by_sacrebleu(pairs, "ar", 10_000),
        ),
        Contestant(SURE, "gemtune, 10,000: interval of the difference", interval_by_gemtune),
    ]


def print_table(
    chosen: list[Contestant], seconds: dict[str, list[float]], found: dict[str, list[Any]]
) -> None:
    """Print a row for each contestant, with the ratio to gemtune's own time."""
    ours = {
        each.what: statistics.median(seconds[each.name])
        for each in chosen
        if each.name.startswith("gemtune") and seconds[each.name]
    }
    print("| what | who | CPU s | x gemtune | figures |")
    print("|---|---|---|---|---|")
    for each in chosen:
        if not seconds[each.name]:
            print(f"| {each.what} | {each.name} | - | - | {found[each.name][0]} |")
            continue
        median = statistics.median(seconds[each.name])
        ratio = median / ours[each.what] if each.what in ours else float("nan")
        standard = next(other for other in chosen if other.what == each.what)
        verdict = judge(each.what, found[each.name], found[standard.name][0])
        print(f"| {each.what} | {each.name} | {median:.2f} | {ratio:.1f} | {verdict} |")


def judge(what: str, results: list[Any], standard: Any) -> str:
    """Compare with the standard, and the rounds with each other."""
    if any(result != results[0] for result in results):
        return f"another one each run: {', '.join(map(shorten, results))}"
    if what == SURE:
        return shorten(results[0])
    if what == ROUGE and not isinstance(results[0][0], list):
        means = [statistics.fmean(column) for column in zip(*standard, strict=True)]
        return f"no rows; {shorten(results[0])} where the means are {shorten(means)}"
    if results[0] == standard:
        return "bitwise equal"
    if isinstance(standard, float):
        return f"{abs(results[0] - standard):.0e} off"
    n_equal = sum(row == other for row, other in zip(results[0], standard, strict=True))
    return f"bitwise equal on {n_equal:,} of {len(standard):,} rows"


def shorten(result: Any) -> str:
    """Five digits of each number."""
    if isinstance(result, list | tuple):
        return "[" + ", ".join(map(shorten, result)) + "]"
    return f"{result:.5f}" if isinstance(result, float) else str(result)


def machine() -> str:
    """What the figures depend on."""
    names = ("rouge-score", "rouge-score-rs", "sacrebleu", "evaluate", "lm-eval", "numpy")
    found = [f"{name} {version(name)}" for name in names if is_installed(name)]
    return (
        f"{platform.machine()}, one thread, Python {platform.python_version()}, {', '.join(found)}"
    )


def is_installed(name: str) -> bool:
    """The package is there."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
