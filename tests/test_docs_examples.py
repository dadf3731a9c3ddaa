"""Code and data that the documentation shows works, and its tables name what a run writes."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doc_pages import ROOT, Passage, blocks, table_rows

from gemtune.config.load import load_config
from gemtune.data.check import check_file
from gemtune.errors import ConfigError
from gemtune.evaluation.scoring.registry import FAMILY_OF

REFERENCE = ROOT / "docs" / "reference"
GUIDES = ROOT / "docs" / "guides"
N_ROWS = 8
README = [block for block in blocks("python") if block.place.startswith("README.md")]
PYTHON = [block for block in blocks("python") if block not in README]
JSON = blocks("json")
FORMATS = [row for row in table_rows(GUIDES / "data.md") if row[1].startswith("`{")]
MISTAKES = """\
fine_tuning:
  lora:
    dropuot: 0.1
  training:
    num_train_epochs: 3
    fp16: yes
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_llama_dir: Path) -> Iterator[Path]:
    """A folder with a few rows, the shipped config and a tiny model where the real one would be."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(tiny_llama_dir, folder / "tiny")
    (folder / "data" / "training_data").mkdir(parents=True)
    for path in (ROOT / "data" / "training_data").glob("*.jsonl"):
        rows = path.read_text(encoding="utf-8").splitlines(keepends=True)[:N_ROWS]
        (folder / path.relative_to(ROOT)).write_text("".join(rows), encoding="utf-8")
    config = (ROOT / "config" / "modified_config.yaml").read_text(encoding="utf-8")
    (folder / "config").mkdir()
    (folder / "config" / "modified_config.yaml").write_text(
        with_tiny_model(config) + "\ndata:\n  max_length: 256\n", encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def trained(workspace: Path) -> dict[str, Any]:
    """The names that the example of the README leaves, and what it left in the workspace."""
    (example,) = README
    return execute(example)


def with_tiny_model(text: str) -> str:
    return text.replace("smollm2-135m", "tiny")


def execute(block: Passage) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(with_tiny_model(block.text), block.place, "exec"), names)
    return names


def test_the_python_of_the_readme_trains_and_compares(trained: dict[str, Any]) -> None:
    assert trained["comparison"].n_examples == N_ROWS


# peft still asks transformers by the old name.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
@pytest.mark.usefixtures("trained")
def test_the_python_shown_elsewhere_runs_after_that(block: Passage) -> None:
    execute(block)


@pytest.mark.usefixtures("trained")
def test_the_tables_of_metrics_jsonl_name_what_a_run_writes(workspace: Path) -> None:
    written: dict[str, set[str]] = {}
    for name, common in (
        ("metrics.jsonl", {"kind", "step"}),
        ("speed.jsonl", {"kind", "step", "time"}),
    ):
        for line in (workspace / "data/model" / name).read_text("utf-8").splitlines():
            record = json.loads(line)
            assert record.keys() >= common
            written.setdefault(record["kind"], set()).update(record.keys() - common)
    documented = documented_records(with_gpu=False)
    assert documented.pop("skipped") == {"skipped/number"}  # of runs with a bad row only
    assert written == documented


def documented_records(*, with_gpu: bool) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for key, *_ in table_rows(REFERENCE / "metrics_jsonl.md"):
        name = key.strip("`")
        prefix = "train" if name.startswith("system/") else name.partition("/")[0]
        if "/" in name and (with_gpu or "/gpu_" not in name):
            kinds.setdefault(prefix, set()).add(name)
    return kinds


def test_the_tables_of_metrics_name_what_a_comparison_holds(trained: dict[str, Any]) -> None:
    rows = [row[0] for row in table_rows(REFERENCE / "metrics.md")]
    named = {name for cell in rows for name in re.findall("`(.+?)`", cell)}
    assert named == {*FAMILY_OF, *trained["comparison"].tuned_metrics}


@pytest.mark.usefixtures("trained")
def test_the_guide_names_what_a_prediction_holds(workspace: Path) -> None:
    (example,) = (block for block in PYTHON if "evaluate_model(" in block.text)
    execute(example)
    (found,) = (
        row for row in table_rows(GUIDES / "evaluation.md") if row[0] == "`predictions.json`"
    )
    (path,) = workspace.glob("data/*/predictions.json")
    assert re.findall("`(.+?)`", found[1]) == list(json.loads(path.read_text("utf-8"))[0])


@pytest.mark.parametrize("block", JSON, ids=lambda block: block.place)
def test_the_json_shown_is_a_good_row_or_a_record_of_a_run(block: Passage, tmp_path: Path) -> None:
    record = json.loads(block.text)
    if "kind" in record:
        known = documented_records(with_gpu=True)[record["kind"]]
        assert record.keys() - {"kind", "step", "time"} <= known
    else:
        assert format_of(block.text, tmp_path) == "input_output"


@pytest.mark.parametrize(("name", "cell"), [row[:2] for row in FORMATS], ids=lambda cell: cell[:12])
def test_the_row_shown_for_a_format_is_read_as_that_format(
    name: str, cell: str, tmp_path: Path
) -> None:
    assert format_of(cell.split("`")[1], tmp_path) == name.strip("`")


def format_of(row: str, folder: Path) -> str | None:
    path = folder / "shown.jsonl"
    path.write_text(row.strip() + "\n", encoding="utf-8")
    report = check_file(path)
    assert report.n_errors == 0, report.problems
    return report.format


def test_the_message_shown_for_mistakes_is_what_they_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(MISTAKES, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config([Path("mine.yaml")])
    (shown,) = (block.text for block in blocks("text") if "mine.yaml" in block.text)
    assert shown == f"error: {caught.value}\nfix: {caught.value.fix}\n"
