"""METEOR 1.5 by its own Java program, which comes inside the package pycocoevalcap.

The program counts matches; the score is computed here from sums of its counts, so that resampled
test sets need no further run.
Source: Denkowski and Lavie 2014, "Meteor Universal", with the weights for English ("rank" task).
"""

import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from gemtune.errors import MissingExtraError, PrerequisiteError
from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.e2e.ptb_tokens import ptb_words
from gemtune.evaluation.scoring.family import Family, Metric, References

N_METEOR_STATISTICS = 23

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_MATCH_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of equal words, equal stems, synonyms and paraphrases."""


def meteor_family() -> Family:
    """Corpus METEOR, 0 to 1.

    Raises:
        MissingExtraError: pycocoevalcap is not installed.
        PrerequisiteError: There is no Java to run it.
    """
    jar = _find_jar()
    if shutil.which("java") is None:
        raise PrerequisiteError(
            "the metric 'meteor' runs a Java program, and there is no `java` on the PATH",
            fix="install a Java runtime (Debian: apt-get install default-jre-headless), or take "
            "meteor out of evaluation.metrics",
        )
    return Family(
        "meteor",
        (Metric("meteor"),),
        n_statistics=N_METEOR_STATISTICS,
        statistics=lambda predictions, references: _statistics(jar, predictions, references),
        corpus=lambda totals: meteor_from_statistics(totals)[..., None],
        rows=lambda rows: meteor_from_statistics(rows)[..., None],
        signature=lambda references: (
            "METEOR 1.5|en|norm|PTB words, lowercase, no punctuation|best reference|0..1"
        ),
    )


def meteor_from_statistics(totals: Floats) -> Floats:
    """Turn summed counts of METEOR's program, shape (..., 23), into scores, shape (...)."""
    lengths, function_words = totals[..., 0:2], totals[..., 2:4]
    matched = totals[..., 4:20].reshape(*totals.shape[:-1], 4, 2, 2)
    # Axes: kind of match, content or function word, answer or reference.
    by_word = np.einsum("...kcs,k->...cs", matched, _MATCH_WEIGHTS)
    weighted = _DELTA * by_word[..., 0, :] + (1 - _DELTA) * by_word[..., 1, :]
    possible = _DELTA * (lengths - function_words) + (1 - _DELTA) * function_words
    shares = weighted / np.where(possible > 0, possible, 1.0)
    precision, recall = shares[..., 0], shares[..., 1]
    balance = _ALPHA * precision + (1 - _ALPHA) * recall
    f_mean = precision * recall / np.where(balance > 0, balance, 1.0)
    n_chunks, n_matched = totals[..., 20], totals[..., 21:23].mean(axis=-1)
    fragmentation = n_chunks / np.where(n_matched > 0, n_matched, 1.0)
    return f_mean * (1 - _GAMMA * fragmentation**_BETA)


def _find_jar() -> Path:
    try:
        found = distribution("pycocoevalcap")
    except PackageNotFoundError as error:
        raise MissingExtraError(
            "the metric 'meteor' needs the package pycocoevalcap",
            fix="pip install 'gemtune[e2e]'",
        ) from error
    return Path(str(found.locate_file("pycocoevalcap/meteor/meteor-1.5.jar")))


def _statistics(jar: Path, predictions: Sequence[Prediction], references: References) -> Floats:
    lines = [
        " ||| ".join(["SCORE", *map(ptb_words, accepted), ptb_words(prediction.text)])
        for prediction, accepted in zip(predictions, references, strict=True)
    ]
    java = ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", jar.name]
    done = subprocess.run(
        [*java, "-", "-", "-stdio", "-l", "en", "-norm"],
        cwd=jar.parent,
        input="\n".join([*lines, ""]),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    if done.returncode or len(rows) != len(lines):
        raise PrerequisiteError(
            f"METEOR's Java program gave {len(rows)} results for {len(lines)} rows: "
            f"{done.stderr.strip()[-300:]}",
            fix="try Java 8 to 17 with 2 GB of free memory, or take meteor out of "
            "evaluation.metrics",
        )
    found = np.array(rows, dtype=np.float64).reshape(len(lines), N_METEOR_STATISTICS)
    # The program adds no chunk for an answer that is its reference from end to end.
    is_whole = (found[:, 20] == 1) & (found[:, 21:23] == found[:, 0:2]).all(axis=1)
    found[is_whole, 20] = 0
    return found
