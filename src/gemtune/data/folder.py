"""A report on a data folder: each split by itself, and what the splits share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gemtune.data.check import FileReport, check_file
from gemtune.data.examples import Example
from gemtune.data.files import find_data_files
from gemtune.data.overlap import Overlap, SplitIndex
from gemtune.data.problems import Problem, ProblemLog


@dataclass(frozen=True, slots=True)
class FolderReport:
    """The reports on the splits, and on the overlap of each held-out split with the training."""

    splits: Mapping[str, FileReport]
    overlaps: Mapping[str, Overlap]
    problems: tuple[Problem, ...]
    n_errors: int
    n_leaks: int


def check_folder(data_dir: Path) -> FolderReport:
    """Check every split of a folder, each file in one pass.

    Raises:
        DataError: The folder has no training data (what is wrong inside a file is in the report).
    """
    files = find_data_files(data_dir).splits()
    train = files.pop("train")
    indexes = {name: SplitIndex(path) for name, path in files.items()}
    held_out = {name: check_file(path, indexes[name].add) for name, path in files.items()}

    def meet_held_out(example: Example) -> None:
        for index in indexes.values():
            index.meet(example)

    splits = {"train": check_file(train, meet_held_out), **held_out}
    log = ProblemLog()
    overlaps = {
        name: index.report(log, train, is_test=name == "test") for name, index in indexes.items()
    }
    return FolderReport(
        splits=splits,
        overlaps=overlaps,
        problems=log.problems(),
        n_errors=sum(report.n_errors for report in splits.values()),
        n_leaks=log.n_of("strict"),
    )
