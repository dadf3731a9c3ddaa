"""The task is told from the references."""

import json
from pathlib import Path

import pytest

from gemtune.errors import ConfigError
from gemtune.evaluation.scoring.family import References
from gemtune.evaluation.scoring.task import Task, detect_task, require_task_fits

DATASETS = Path(__file__).parents[4] / "shared" / "datasets"


@pytest.mark.parametrize(
    ("references", "task"),
    [
        ([['{"a": 1}'], ["[1, 2]"]], "json"),
        ([['{"a": 1}'], ["true"]], "text"),
        ([['{"a": 1}'], ['{"a": }']], "text"),
        ([["5"], ["$1,000.50"], ["-3 "]], "number"),
        ([["2 + 3 = 5\n#### 5"], ["So\n#### -1,200"]], "number"),
        ([["2 + 3 = 5\n#### 5"], ["So it is five"]], "text"),
        ([["yes"], ["Yes "], ["no"], ["no"]], "label"),
        ([["card not working"], ["card not working"], ["lost card"], ["lost card"]], "label"),
        ([["yes", "yes"], ["yes", "yes"]], "label"),
        ([["yes"], ["no"], ["maybe"]], "text"),
        ([["yes", "sure"], ["yes"], ["no"], ["no"]], "text"),
        ([["yes\nno"], ["yes\nno"]], "text"),
        ([["one two three four five six seven"]] * 4, "text"),
    ],
)
def test_the_task_follows_from_all_references(references: References, task: Task) -> None:
    assert detect_task(references) == task


@pytest.mark.parametrize(
    ("folder", "task"),
    [
        ("banking77", "label"),
        ("snips", "json"),
        ("gsm8k", "number"),
        ("e2e", "text"),
        ("mts_dialog", "text"),
    ],
)
def test_real_test_sets_are_recognized(folder: str, task: Task) -> None:
    path = DATASETS / folder / "test.jsonl"
    if not path.exists():
        pytest.skip(f"needs ../shared/datasets/{folder}")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    assert detect_task([row.get("references") or [row["output_text"]] for row in rows]) == task


@pytest.mark.parametrize(("task", "wanted"), [("json", "JSON"), ("number", "number")])
def test_a_task_that_a_reference_does_not_fit_names_the_row(task: Task, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"{task!r}.*'b' is no .*{wanted}"):
        require_task_fits(task, ["a", "b"], [['{"n": 1}'], ["words"]])


@pytest.mark.parametrize("task", ["text", "label"])
def test_text_and_labels_fit_any_reference(task: Task) -> None:
    require_task_fits(task, ["a"], [["words"]])
