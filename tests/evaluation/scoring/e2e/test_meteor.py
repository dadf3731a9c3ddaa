"""METEOR: sums of the counts of its Java program, and what is said where that is missing."""

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from gemtune.errors import MissingExtraError, PrerequisiteError
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.e2e.meteor import meteor_family, meteor_from_statistics

# What the jar prints for a SCORE line, and the figures that it makes of them on EVAL.
ANSWERED = "6 7 2 3 1 1 2 2 1 1 0 0 0 0 0 0 0 0 0 0 3 4 4"
SILENT = "0 3 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
LONGER = "6 3 3 1 2 2 1 1 0 0 0 0 0 0 0 0 0 0 0 0 1 3 3"


def counts(*lines: str) -> np.ndarray:
    return np.array([line.split() for line in lines], dtype=float)


def has_meteor() -> bool:
    try:
        version("pycocoevalcap")
    except PackageNotFoundError:
        return False
    return shutil.which("java") is not None


def test_scores_are_those_of_the_program_for_rows_and_for_their_sum() -> None:
    found = counts(ANSWERED, SILENT, LONGER)

    expected = [0.19852679824355557, 0.0, 0.46819166975574594]
    np.testing.assert_allclose(meteor_from_statistics(found), expected, atol=1e-12)
    together = meteor_from_statistics(found.sum(axis=0))
    assert together == pytest.approx(0.22405410457975186, abs=1e-12)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    with pytest.raises(MissingExtraError) as caught:
        meteor_family()

    assert caught.value.fix == "pip install 'gemtune[e2e]'"


def install_stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, java: str | None) -> None:
    """A package with an empty jar, and a `java` that is this shell script."""
    (folder / "pycocoevalcap-1.2.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: pycocoevalcap\nVersion: 1.2\n"
    (folder / "pycocoevalcap-1.2.dist-info" / "METADATA").write_text(metadata, encoding="utf-8")
    (folder / "pycocoevalcap" / "meteor").mkdir(parents=True)
    monkeypatch.setattr("sys.path", [str(folder)])
    if java is not None:
        (folder / "java").write_text(f"#!/bin/sh\n{java}\n", encoding="utf-8")
        (folder / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin" if java is not None else str(folder))


def test_missing_java_is_said_before_anything_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(tmp_path, monkeypatch, java=None)

    with pytest.raises(PrerequisiteError, match="no `java` on the PATH") as caught:
        meteor_family()

    assert caught.value.exit_code == 9


def test_a_java_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stand_in(tmp_path, monkeypatch, java="echo 'no room for 2G' >&2; exit 1")
    family = meteor_family()

    with pytest.raises(PrerequisiteError, match="0 results for 1 rows: no room for 2G"):
        family.statistics([Prediction("1", "a")], [["a"]])


@pytest.mark.skipif(not has_meteor(), reason="needs Java and the extra `e2e` (pycocoevalcap)")
def test_a_perfect_row_adds_no_chunk_to_the_sum() -> None:
    family = meteor_family()
    predictions = [
        Prediction("1", "The cat sat down on it."),
        Prediction("2", "the cat down sat on it"),
    ]

    statistics = family.statistics(predictions, [["the cat sat down on it"], ["the cat sat"]])

    np.testing.assert_allclose(family.rows(statistics)[:, 0], [1.0, 0.4035028092615153], atol=1e-9)
    assert family.corpus(statistics.sum(axis=0))[0] == pytest.approx(0.5347623527743243, abs=1e-9)
