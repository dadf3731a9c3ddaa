"""Writing the report of a study: a page for people, Markdown for pull requests."""

from pathlib import Path

from gemtune.reporting.study_files import read_study_file
from gemtune.reporting.study_markdown import study_markdown
from gemtune.reporting.study_page import study_page
from gemtune.runs.files import write_text

REPORT_FILE = "study_report.html"
MARKDOWN_FILE = "study_report.md"


def write_study_report(study_dir: Path) -> Path:
    """Write study_report.html and study_report.md beside study.json.

    A study that goes on, was broken off or found nothing has a report too; it says so.

    Args:
        study_dir: Output folder of `gemtune optimize`.

    Returns:
        The path of study_report.html.

    Raises:
        ArtefactError: study.json is missing, is damaged or is of another version.
    """
    study, name = read_study_file(study_dir), str(study_dir)
    write_text(study_dir / MARKDOWN_FILE, study_markdown(study, name))
    write_text(study_dir / REPORT_FILE, study_page(study, name))
    return study_dir / REPORT_FILE
