"""Which files make a report, and what happens when they are damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from reporting.made_comparisons import made_rows, write_comparison, write_run

from gemtune.errors import ArtefactError, UsageError
from gemtune.reporting.write import write_report, write_report_of, write_training_report


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    return write_comparison(tmp_path / "comparison", made_rows(20))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_report_is_a_page_and_its_markdown_twin(comparison: Path) -> None:
    before = names(comparison)
    assert write_report(comparison) == comparison / "report.html"
    assert names(comparison) - before == {"report.html", "report.md"}


def test_the_same_files_give_the_same_report(comparison: Path) -> None:
    first = write_report(comparison).read_bytes()
    assert write_report(comparison).read_bytes() == first


def test_a_run_around_the_comparison_is_found(comparison: Path) -> None:
    assert "Loss curves" not in write_report(comparison).read_text("utf-8")
    write_run(comparison.parent)
    assert "Loss curves" in write_report(comparison).read_text("utf-8")


def test_the_run_that_the_comparison_names_is_found(
    comparison: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "data" / "model")
    monkeypatch.chdir(tmp_path)
    assert "Loss curves" in write_report(comparison).read_text("utf-8")


def test_a_run_alone_is_a_page_that_nothing_is_proven(tmp_path: Path) -> None:
    page = write_report_of(write_run(tmp_path / "run")).read_text("utf-8")

    assert "Nothing is proven yet" in page
    assert f"gemtune compare smollm2-135m {tmp_path / 'run'} TEST.jsonl" in page
    assert "polyline" in page


def test_a_comparison_takes_the_page_away_that_nothing_is_proven(comparison: Path) -> None:
    run = write_run(comparison.parent)
    write_training_report(run)

    assert write_report_of(run) == comparison / "report.html"
    assert not {"report.html", "report.md"} & names(run)


def test_a_run_that_goes_on_has_a_report(tmp_path: Path) -> None:
    run = write_run(tmp_path, status="running", result=None, train_seconds=None)
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "train", "st')

    assert "this run is running" in write_report_of(run).read_text("utf-8")


def test_what_happened_to_a_run_and_its_files_stand_in_the_manifest(tmp_path: Path) -> None:
    run = write_run(tmp_path, events=[{"event": "resumed", "step": 7}])
    entry = {"bytes": 1, "sha256": "0123abcd"}
    (run / "manifest.json").write_text(json.dumps({"files": {"adapter.safetensors": entry}}))

    page = write_training_report(run).read_text("utf-8")

    assert '<dt>adapter.safetensors</dt><dd dir="auto">0123abcd</dd>' in page
    assert '<dt>events 1 event</dt><dd dir="auto">resumed</dd>' in page
    assert '<dt>events 1 step</dt><dd dir="auto">7</dd>' in page


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is neither a run nor a comparison nor a study"):
        write_report_of(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        write_report_of(tmp_path / "missing")


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(change(path.read_text("utf-8")), "utf-8")

    return damage


def set_key(key: str, value: object) -> Callable[[Path], None]:
    return edit("comparison.json", lambda text: json.dumps(json.loads(text) | {key: value}))


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


DAMAGE = {
    "half a comparison.json": (edit("comparison.json", lambda t: t[:99]), "comparison.json: not"),
    "a list": (edit("comparison.json", lambda t: "[]"), "comparison.json: Input should be"),
    "another version": (set_key("schema_version", 1), "comparison.json: version 1 instead of 2"),
    "no verdict": (set_key("verdict", "good"), "comparison.json: verdict: Input should be"),
    "metrics of another shape": (set_key("metrics", [1]), r"comparison.json: metrics.0: "),
    "no metrics": (set_key("metrics", []), "comparison.json: no metric is primary"),
    "nan": (set_key("margin", float("nan")), "comparison.json: a number that is not finite"),
    "too deep": (edit("comparison.json", lambda t: "[" * 9_000 + "]" * 9_000), "comparison.json: "),
    "rows of another": (set_key("n_examples", 7), "about 7 rows, but 20 have answers"),
    "no predictions": (remove("base/predictions.jsonl"), "base/predictions.jsonl: missing"),
    "half a row": (
        edit("tuned/predictions.jsonl", lambda t: t[:-9]), "tuned/predictions.jsonl:20: not JSON"),
    "a row without a text": (
        edit("tuned/predictions.jsonl", lambda t: t.replace('"prediction": "', '"x": "', 1)),
        "tuned/predictions.jsonl:1: prediction: Field required"),
    "another row": (
        edit("tuned/predictions.jsonl", lambda t: t.replace("row-3", "row-99")),
        "only one side has an answer to row 'row-3'"),
    "half a run.json": (edit("../run.json", lambda t: t[:20]), "run.json: not JSON"),
    "a broken line of the log": (
        edit("../metrics.jsonl", lambda t: t.replace('"step": 3,', "", 1)),
        "metrics.jsonl:4: step: Field required"),
    "a number beyond floats": (
        edit("../metrics.jsonl", lambda t: t.replace("5.3", str(10**400), 1)),
        "metrics.jsonl:1: "),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named_and_no_report_is_written(
    comparison: Path, damage: Callable[[Path], None], message: str
) -> None:
    write_run(comparison.parent)
    damage(comparison)

    with pytest.raises(ArtefactError, match=message) as caught:
        write_report(comparison)

    assert caught.value.fix
    assert caught.value.exit_code == 4
    assert not {"report.html", "report.md"} & names(comparison)


def test_figures_that_were_not_finite_are_shown_as_such(comparison: Path) -> None:
    edit("comparison.json", lambda text: text.replace('"base": 9.0', '"base": null'))(comparison)
    page = write_report(comparison).read_text("utf-8")
    assert "<td>n/a</td>" in page
