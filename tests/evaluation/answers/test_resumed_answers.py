"""Answers that were cut off are gone on with, and end as if nothing had happened."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gemtune.config.schema import Config
from gemtune.errors import ArtefactError, RunLockedError, UsageError
from gemtune.evaluation.metrics import evaluate_model
from gemtune.runs.lock import exclusive_lock

MakeModel = Callable[[int], Path]
WriteRows = Callable[..., Path]

ROWS = [
    {"id": f"row-{i}", "input_text": f"ask {'very ' * (i % 5)}{i}", "output_text": f"say {i}"}
    for i in range(24)
]
CLOCKS = ("speed.json", "evaluation.lock")


def config(**evaluation: object) -> Config:
    small = {"precision": "fp32", "batch_tokens": 80, "max_new_tokens": 8, **evaluation}
    return Config.model_validate({"evaluation": small, "data": {"template": "plain"}})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in CLOCKS}


def cut_after(n_rows: int) -> Callable[[int, int], None]:
    def cut(n_done: int, n_all: int) -> None:
        if n_done >= n_rows:
            raise KeyboardInterrupt

    return cut


@pytest.fixture
def task(make_model: MakeModel, write_rows: WriteRows) -> tuple[Path, Path]:
    return make_model(0), write_rows("test.jsonl", ROWS)


@pytest.mark.parametrize("torn", [b"", b'{"input": "ask 3", "outp', b"\0" * 500, b"[]\n{}\n"])
@pytest.mark.parametrize("n_rows", [1, 12])
def test_answers_that_were_cut_off_end_with_the_same_bytes(
    task: tuple[Path, Path], tmp_path: Path, n_rows: int, torn: bytes
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    evaluate_model(*task, whole, config=config())
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(*task, out, config=config(), on_progress=cut_after(n_rows))
    with (out / "predictions.jsonl").open("ab") as log:
        log.write(torn)
    seen: list[int] = []

    evaluate_model(*task, out, config=config(), on_progress=lambda n, _: seen.append(n))

    assert contents(out) == contents(whole)
    # What was there is told first, and is not answered again.
    assert n_rows <= seen[0] < 24
    assert seen[-1] == 24


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        (b'"finish_reason": "', b'"finish_reason": "\\ud800'),
        (b'"finish_reason": "', b'"finish_reason": "\xff'),
        (b'"reference_loss": ', b'"reference_loss": 1' + b"0" * 400),
        (b'"id": "row-', b'"id": "no-row-'),
    ],
)
def test_a_row_that_was_damaged_between_two_runs_is_answered_again(
    task: tuple[Path, Path], tmp_path: Path, sound: bytes, damaged: bytes
) -> None:
    out = tmp_path / "out"
    evaluate_model(*task, out, config=config())
    whole, log = contents(out), out / "predictions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert sound in lines[20]
    log.write_bytes(b"".join([*lines[:20], lines[20].replace(sound, damaged), *lines[21:]]))

    evaluate_model(*task, out, config=config())

    assert contents(out) == whole


def test_the_rows_of_a_block_that_is_not_whole_are_answered_again(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    evaluate_model(*task, whole, config=config(batch_tokens=200))
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(*task, out, config=config(batch_tokens=200), on_progress=cut_after(1))
    log = out / "predictions.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))

    evaluate_model(*task, out, config=config(batch_tokens=200))

    assert len(lines) > 1
    assert contents(out) == contents(whole)


def test_no_file_but_the_one_of_speed_holds_a_clock(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        evaluate_model(*task, tmp_path / name, config=config())

    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    speed = json.loads((tmp_path / "first" / "speed.json").read_bytes())
    assert speed["answer_seconds"] > 0
    assert speed["n_answers"] == 24


def test_finished_answers_are_scored_again_without_torch(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    metrics = evaluate_model(*task, out, config=config())
    before = contents(out)
    (out / "metrics.json").write_text("{}")
    program = (
        "import sys, json; sys.modules['torch'] = None;"
        "from gemtune.config.schema import Config;"
        "from gemtune.evaluation.metrics import evaluate_model;"
        "config = Config.model_validate_json(sys.argv[4]);"
        "print(json.dumps(evaluate_model(*sys.argv[1:4], config=config)))"
    )
    words = [*map(str, task), str(out), config().model_dump_json()]

    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == metrics
    assert contents(out) == before


def test_finished_answers_are_said_to_be_there(
    task: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluate_model(*task, tmp_path / "out", config=config())

    with caplog.at_level(logging.INFO, "gemtune"):
        evaluate_model(*task, tmp_path / "out", config=config())

    assert "nothing to do: all 24 answers are there" in caplog.text


def test_other_metrics_of_the_same_answers_need_no_new_answers(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    evaluate_model(*task, out, config=config())

    metrics = evaluate_model(*task, out, config=config(metrics=["exact_match"]))

    [row, *_] = json.loads((out / "predictions.json").read_bytes())
    assert set(row["scores"]) == {name for name in metrics if not name.startswith("n_")}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"max_new_tokens": 9}, "evaluation.max_new_tokens: 8 -> 9"),
        ({"batch_tokens": 90}, "evaluation.batch_tokens: 80 -> 90"),
        ({"precision": "bf16"}, "evaluation.precision: fp32 -> bf16"),
    ],
)
def test_answers_of_other_settings_are_refused_and_stay(
    task: tuple[Path, Path], tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    out = tmp_path / "out"
    evaluate_model(*task, out, config=config())
    before = contents(out)

    with pytest.raises(ArtefactError, match=told) as caught:
        evaluate_model(*task, out, config=config(**changed))

    assert "--overwrite" in caught.value.fix
    assert contents(out) == before


def test_answers_of_another_model_or_other_data_are_refused_and_can_be_replaced(
    task: tuple[Path, Path], make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    (model, test_data), out = task, tmp_path / "out"
    evaluate_model(model, test_data, out, config=config())
    other_data = write_rows("other.jsonl", ROWS[:20])

    with pytest.raises(ArtefactError, match=r"model\.base\.model\.safetensors: \w{12}\.\.\. -> "):
        evaluate_model(make_model(1), test_data, out, config=config())
    with pytest.raises(ArtefactError, match=r"test_data: \w{12}\.\.\. -> "):
        evaluate_model(model, other_data, out, config=config())

    assert evaluate_model(model, other_data, out, config=config(), overwrite=True)["n_examples"]
    assert len((out / "predictions.jsonl").read_bytes().splitlines()) == 20


def test_predictions_of_somebody_else_are_not_written_over(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    mine = tmp_path / "out" / "predictions.jsonl"
    mine.parent.mkdir()
    mine.write_text("my only copy")

    with pytest.raises(UsageError, match=r"holds predictions\.jsonl and no evaluation\.json"):
        evaluate_model(*task, mine.parent, config=config())

    assert mine.read_text() == "my only copy"


def test_a_damaged_record_is_told_with_the_ways_out(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    evaluate_model(*task, tmp_path / "out", config=config())
    (tmp_path / "out" / "evaluation.json").write_text('{"identity": 3}')

    with pytest.raises(ArtefactError, match=r"evaluation\.json is damaged") as caught:
        evaluate_model(*task, tmp_path / "out", config=config())

    assert "--overwrite" in caught.value.fix


def test_two_processes_do_not_answer_into_one_folder(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()

    with (
        exclusive_lock(out / "evaluation.lock"),
        pytest.raises(RunLockedError, match="works here since"),
    ):
        evaluate_model(*task, out, config=config())


def test_other_versions_or_threads_are_told_when_answers_are_gone_on_with(
    task: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(*task, out, config=config(), on_progress=cut_after(1))
    record = json.loads((out / "evaluation.json").read_bytes())
    record["surroundings"] |= {"torch": "2.0.0", "threads": 99}
    (out / "evaluation.json").write_text(json.dumps(record))

    evaluate_model(*task, out, config=config())

    assert "threads: 99 -> 1 since the first answers: the last digits may differ" in caplog.text
    assert "torch: 2.0.0 -> " in caplog.text


def test_another_number_format_on_this_machine_is_refused(
    task: tuple[Path, Path], tmp_path: Path
) -> None:
    """`auto` may mean bf16 on one machine and fp32 on the next."""
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(*task, out, config=config(), on_progress=cut_after(1))
    record = json.loads((out / "evaluation.json").read_bytes())
    record["decode"]["dtype"] = "bf16"
    (out / "evaluation.json").write_text(json.dumps(record))

    with pytest.raises(ArtefactError, match="dtype: bf16 -> fp32"):
        evaluate_model(*task, out, config=config())
