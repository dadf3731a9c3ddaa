"""Writing the report: report.html for people, report.md for pull requests."""

from pathlib import Path

from gemtune.errors import UsageError
from gemtune.reporting.comparison_files import read_comparison
from gemtune.reporting.markdown import comparison_markdown, training_markdown
from gemtune.reporting.page import comparison_page, training_page
from gemtune.reporting.run_files import read_run_folder
from gemtune.reporting.study_files import STUDY_FILE
from gemtune.reporting.study_write import write_study_report
from gemtune.runs.files import write_text
from gemtune.runs.run import (
    COMPARISON_DIR,
    COMPARISON_FILE,
    MARKDOWN_FILE,
    REPORT_FILE,
    RUN_FILE,
)


def write_report(comparison_dir: Path, run_dir: Path | None = None) -> Path:
    """Write report.html and report.md into the folder of a comparison.

    Args:
        comparison_dir: Holds comparison.json, base/predictions.jsonl and tuned/predictions.jsonl.
        run_dir: The training run of the tuned model; without it, the folder of the
            comparison, the one around it or the tuned model as the comparison names it, whichever
            is a run.

    Returns:
        The path of report.html.

    Raises:
        ArtefactError: A file is missing or damaged; the message names it.
    """
    files = read_comparison(comparison_dir)
    run_dir = run_dir or _find_run(comparison_dir, files.found.tuned)
    run = read_run_folder(run_dir) if run_dir else None
    if run_dir:
        # A page of the training alone would still say that nothing is proven.
        for name in (REPORT_FILE, MARKDOWN_FILE):
            (run_dir / name).unlink(missing_ok=True)
    return _write(comparison_dir, comparison_page(files, run), comparison_markdown(files, run))


def write_training_report(run_dir: Path) -> Path:
    """Write report.html and report.md of a run that was not compared into its folder.

    Raises:
        ArtefactError: A file of the run is missing or damaged; the message names it.
    """
    run, name = read_run_folder(run_dir), str(run_dir)
    return _write(run_dir, training_page(run, name), training_markdown(run, name))


def write_report_of(folder: Path) -> Path:
    """Write the report of a comparison, of a run with a comparison in it or without, or of a study.

    Raises:
        UsageError: The folder is none of these.
        ArtefactError: A file of it is missing or damaged; the message names it.
    """
    if (folder / COMPARISON_FILE).exists():
        return write_report(folder)
    if (folder / STUDY_FILE).exists():
        return write_study_report(folder)
    is_run = (folder / RUN_FILE).exists()
    if (folder / COMPARISON_DIR / COMPARISON_FILE).exists():
        return write_report(folder / COMPARISON_DIR, folder if is_run else None)
    if is_run:
        return write_training_report(folder)
    what = "is neither a run nor a comparison nor a study" if folder.is_dir() else "is no folder"
    raise UsageError(
        f"{folder} {what}",
        fix="name the output folder of `gemtune finetune`, `gemtune compare` or `gemtune optimize`",
    )


def _find_run(comparison_dir: Path, tuned: str) -> Path | None:
    places = (comparison_dir, comparison_dir.absolute().parent, Path(tuned))
    return next((path for path in places if (path / RUN_FILE).is_file()), None)


def _write(folder: Path, page: str, markdown: str) -> Path:
    write_text(folder / MARKDOWN_FILE, markdown)
    write_text(folder / REPORT_FILE, page)
    return folder / REPORT_FILE
