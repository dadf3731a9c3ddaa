"""`evaluate_model` from files to files, on a small random model."""

import hashlib
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from gemtune.config.schema import Config
from gemtune.errors import ArtefactError, DataError, MissingExtraError, ResourceError
from gemtune.evaluation.metrics import evaluate_model

MakeModel = Callable[[int], Path]
WriteRows = Callable[..., Path]

ROWS = [
    {"id": f"row-{i}", "input_text": f"ask {'very ' * (i % 5)}much {i}", "output_text": f"say {i}"}
    for i in range(12)
]


def config(**evaluation: object) -> Config:
    return Config.model_validate(
        {"evaluation": {"precision": "fp32", **evaluation}, "data": {"template": "plain"}}
    )


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text("utf-8"))


def test_metrics_are_the_plans_four_floats_first_and_then_the_rest(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data = write_rows("test.jsonl", ROWS)

    metrics = evaluate_model(make_model(0), test_data, tmp_path / "out", config=config())

    first = ["rouge1", "rouge2", "rougeL", "bleu"]
    assert list(metrics)[:4] == first
    written = read_json(tmp_path / "out" / "metrics.json")
    assert list(written)[:4] == first
    assert all(type(written[name]) is float for name in first)
    assert {name: written[name] for name in metrics} == metrics
    assert metrics["n_examples"] == 12


def test_metrics_json_says_what_the_figures_depend_on(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data = write_rows("test.jsonl", ROWS)

    evaluate_model(make_model(0), test_data, tmp_path / "out", config=config(batch_tokens=200))

    written = read_json(tmp_path / "out" / "metrics.json")
    assert written["decode"]["strategy"] == "greedy"
    assert written["decode"]["batch_tokens"] == 200
    assert written["decode"]["dtype"] == "fp32"
    assert written["test_data"]["sha256"] == hashlib.sha256(test_data.read_bytes()).hexdigest()
    assert written["signatures"]["bleu"].startswith("sacrebleu corpus|nrefs:1|case:mixed")
    assert written["environment"]["packages"]["torch"]


def test_predictions_json_has_the_plans_shape_in_the_order_of_the_test_data(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data = write_rows("test.jsonl", ROWS)

    evaluate_model(make_model(0), test_data, tmp_path / "out", config=config(batch_tokens=150))

    predictions = read_rows(tmp_path / "out" / "predictions.json")
    assert [list(row)[:3] for row in predictions] == [["input", "output", "prediction"]] * 12
    assert [row["input"] for row in predictions] == [row["input_text"] for row in ROWS]
    assert [row["output"] for row in predictions] == [row["output_text"] for row in ROWS]
    lines = (tmp_path / "out" / "predictions.jsonl").read_text("utf-8").splitlines()
    by_id = {row["id"]: row for row in map(json.loads, lines)}
    assert [by_id[row["id"]] for row in predictions] == predictions


def test_a_model_that_says_the_references_scores_full_marks(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    model = make_model(0)
    evaluate_model(model, write_rows("test.jsonl", ROWS), tmp_path / "out", config=config())
    said = {row["id"]: row["prediction"] for row in read_rows(tmp_path / "out/predictions.json")}
    decode = read_json(tmp_path / "out/metrics.json")["decode"]
    rows = [{**row, "references": [said[row["id"]]]} for row in ROWS if said[row["id"]]]

    metrics = evaluate_model(
        model,
        write_rows("own.jsonl", rows),
        config=config(max_new_tokens=decode["max_new_tokens"]),
    )

    assert len(rows) >= 6
    assert metrics["exact_match"] == 1.0


def test_the_batch_size_does_not_change_the_predictions(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    model, test_data = make_model(0), write_rows("test.jsonl", ROWS)

    for batch_tokens in (1, 250, 4096):
        evaluate_model(
            model, test_data, tmp_path / str(batch_tokens), config=config(batch_tokens=batch_tokens)
        )

    one_by_one, *batched = (
        read_rows(tmp_path / name / "predictions.json") for name in ("1", "250", "4096")
    )
    for rows in batched:
        assert [row["prediction"] for row in rows] == [row["prediction"] for row in one_by_one]
        assert [row["reference_loss"] for row in rows] == pytest.approx(
            [row["reference_loss"] for row in one_by_one], rel=1e-5
        )


def test_answers_may_be_a_fifth_longer_than_the_longest_reference(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    rows = [*ROWS, {"id": "long", "input_text": "ask", "output_text": "x" * 40}]

    evaluate_model(make_model(0), write_rows("t.jsonl", rows), tmp_path / "a", config=config())
    evaluate_model(make_model(0), write_rows("s.jsonl", ROWS), tmp_path / "b", config=config())

    # The tokenizer of the test knows bytes, so 40 letters are 40 tokens.
    assert read_json(tmp_path / "a/metrics.json")["decode"]["max_new_tokens"] == 48
    assert read_json(tmp_path / "b/metrics.json")["decode"]["max_new_tokens"] == 8


def test_a_reference_longer_than_the_context_leaves_half_of_it_for_prompts(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*ROWS, {"id": "long", "input_text": "ask", "output_text": "x" * 300}]

    evaluate_model(make_model(0), write_rows("t.jsonl", rows), tmp_path / "a", config=config())

    metrics = read_json(tmp_path / "a/metrics.json")
    assert (metrics["decode"]["max_new_tokens"], metrics["n_prompts_truncated"]) == (64, 0)
    assert "360 tokens with the margin" in caplog.text


def test_broken_test_data_stops_before_a_model_is_loaded(tmp_path: Path) -> None:
    test_data = tmp_path / "test.jsonl"
    test_data.write_text('{"input_text": "ask", "output_text": "say"}\n{broken\n')

    with pytest.raises(DataError, match=r"test\.jsonl:2"):
        evaluate_model(tmp_path / "no-such-model", test_data, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_loaded_leaves_no_files(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ArtefactError):
        evaluate_model(tmp_path / "empty", write_rows("test.jsonl", ROWS), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_run_that_is_cut_off_keeps_its_predictions_and_no_old_metrics(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    model, test_data, out = make_model(0), write_rows("test.jsonl", ROWS), tmp_path / "out"
    evaluate_model(model, test_data, out, config=config())
    many_batches = config(batch_tokens=100)

    def cut_off(n_done: int, n_all: int) -> None:
        if n_done >= n_all / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_model(
            model, test_data, out, config=many_batches, overwrite=True, on_progress=cut_off
        )

    left = {path.name for path in out.iterdir()}
    assert left == {"evaluation.json", "evaluation.lock", "predictions.jsonl", "speed.json"}
    assert 6 <= len((out / "predictions.jsonl").read_text("utf-8").splitlines()) < 12


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_names_what_to_lower(
    error: Exception, make_model: MakeModel, write_rows: WriteRows
) -> None:
    def fail(n_done: int, n_all: int) -> None:
        raise error

    with pytest.raises(ResourceError, match="batches of 99 tokens") as caught:
        evaluate_model(
            make_model(0),
            write_rows("test.jsonl", ROWS),
            config=config(batch_tokens=99),
            on_progress=fail,
        )

    assert "lower evaluation.batch_tokens" in caught.value.fix


def test_any_other_fault_of_torch_stays_what_it_is(
    make_model: MakeModel, write_rows: WriteRows
) -> None:
    def fail(n_done: int, n_all: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        evaluate_model(
            make_model(0), write_rows("test.jsonl", ROWS), config=config(), on_progress=fail
        )


def test_without_an_output_folder_nothing_is_written(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    model, test_data = make_model(0), write_rows("test.jsonl", ROWS)
    before = sorted(tmp_path.rglob("*"))

    evaluate_model(model, test_data, config=config())

    assert sorted(tmp_path.rglob("*")) == before


def test_no_answer_holds_its_prompt_whatever_side_the_tokenizer_pads(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    model, test_data = make_model(0), write_rows("test.jsonl", ROWS)
    settings = read_json(model / "tokenizer_config.json")
    said = {}

    for side in ("left", "right"):
        (model / "tokenizer_config.json").write_text(json.dumps({**settings, "padding_side": side}))
        evaluate_model(model, test_data, tmp_path / side, config=config())
        said[side] = [row["prediction"] for row in read_rows(tmp_path / side / "predictions.json")]

    assert said["left"] == said["right"]
    asked = [str(row["input_text"]) for row in ROWS]
    assert not any(text in answer for text, answer in zip(asked, said["left"], strict=True))


def test_an_engine_that_is_not_installed_is_named_with_the_pip_line(
    make_model: MakeModel, write_rows: WriteRows
) -> None:
    if find_spec("vllm"):
        pytest.skip("vllm is installed here")

    with pytest.raises(MissingExtraError, match="'vllm' is not installed") as caught:
        evaluate_model(make_model(0), write_rows("test.jsonl", ROWS), config=config(engine="vllm"))

    assert "pip install vllm" in caught.value.fix
