"""`compare_models` on two small random models and on finished predictions."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from gemtune.config.schema import Config, DataConfig, FineTuningConfig
from gemtune.errors import ArtefactError, DataError, PrerequisiteError, UsageError
from gemtune.evaluation.comparison import compare_models
from gemtune.evaluation.judging.judgement import Judgement, TwoAnswers
from gemtune.evaluation.judging.sentence import judge_sentence
from gemtune.evaluation.metrics import evaluate_model
from gemtune.models.adapter_files import write_adapter_record

MakeModel = Callable[[int], Path]
WriteRows = Callable[..., Path]

CONFIG = Config.model_validate(
    {
        "evaluation": {"precision": "fp32", "bootstrap_samples": 200, "primary_metric": "rouge1"},
        "data": {"template": "plain"},
    }
)
ROWS = [
    {"id": f"row-{i}", "input_text": f"ask {i}", "output_text": f"say {i} again"} for i in range(20)
]


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def predictions(n_right: int) -> list[dict[str, object]]:
    return [
        {"id": row["id"], "prediction": row["output_text"] if i < n_right else "no idea"}
        for i, row in enumerate(ROWS)
    ]


def test_two_models_are_decoded_alike_and_all_files_are_written(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    found = compare_models(
        make_model(0), make_model(1), write_rows("test.jsonl", ROWS), out, config=CONFIG
    )

    written = read_json(out / "comparison.json")
    assert written["verdict"] == found.verdict
    assert written["decode"]["base"] == written["decode"]["tuned"]
    assert [row["metric"] for row in written["metrics"]][:4] == [
        "rouge1",
        "rouge2",
        "rougeL",
        "bleu",
    ]
    for role, model in (("base", "model-0"), ("tuned", "model-1")):
        assert len(read_json(out / role / "predictions.json")) == 20
        assert read_json(out / role / "metrics.json")["model"].endswith(model)


# peft still asks transformers by the old name.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_base_is_asked_with_the_template_that_the_adapter_was_trained_with(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    base, adapter, out = make_model(0), tmp_path / "adapter", tmp_path / "out"
    network = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(network, LoraConfig(target_modules=["q_proj"])).save_pretrained(str(adapter))
    template = DataConfig(template="plain", separator=" => ")
    write_adapter_record(adapter, FineTuningConfig(model=str(base)), template)

    found = compare_models(base, adapter, write_rows("test.jsonl", ROWS), out, config=CONFIG)

    decode = read_json(out / "comparison.json")["decode"]
    assert decode["base"] == decode["tuned"]
    assert decode["base"]["data"]["separator"] == " => "
    # B of a fresh adapter is zero, so both sides are the same function.
    assert found.primary.rows.tie == 20


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_keeps_its_template_beside_a_base_that_was_asked_with_another(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    base, adapter, test_data = make_model(0), tmp_path / "adapter", write_rows("t.jsonl", ROWS)
    network = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(network, LoraConfig(target_modules=["q_proj"])).save_pretrained(str(adapter))
    template = DataConfig(template="plain", separator=" => ")
    write_adapter_record(adapter, FineTuningConfig(model=str(base)), template)
    evaluate_model(base, test_data, tmp_path / "base", config=CONFIG)

    found = compare_models(tmp_path / "base", adapter, test_data, tmp_path / "out", config=CONFIG)

    decode = read_json(tmp_path / "out/tuned/metrics.json")["decode"]
    assert decode["data"]["separator"] == " => "
    assert found.notes[-1] == "separator differs: '\\n' (base), ' => ' (tuned)"


def save_adapter(base: Path, folder: Path, answer_tokens_p99: int | None) -> Path:
    network = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(network, LoraConfig(target_modules=["q_proj"])).save_pretrained(str(folder))
    data = DataConfig(template="plain")
    config = FineTuningConfig(model=str(base))
    write_adapter_record(folder, config, data, answer_tokens_p99=answer_tokens_p99)
    return folder


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(("p99", "longest"), [(40, 48), (2, 8), (None, 15)])
def test_answers_may_be_a_fifth_longer_than_nearly_all_that_the_model_was_trained_on(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path, p99: int | None, longest: int
) -> None:
    """Without a record of it, a fifth longer than the longest reference: 12 letters here."""
    base = make_model(0)
    adapter = save_adapter(base, tmp_path / "adapter", p99)
    if p99 is None:
        record = read_json(adapter / "gemtune.json")
        del record["answer_tokens_p99"]
        (adapter / "gemtune.json").write_text(json.dumps(record))
    out = tmp_path / "out"

    compare_models(base, adapter, write_rows("test.jsonl", ROWS), out, config=CONFIG)

    decode = read_json(out / "comparison.json")["decode"]
    assert (decode["base"]["max_new_tokens"], decode["tuned"]["max_new_tokens"]) == (
        longest,
        longest,
    )


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_record_with_a_length_that_is_none_is_refused(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    adapter = save_adapter(make_model(0), tmp_path / "adapter", 40)
    record = read_json(adapter / "gemtune.json")
    (adapter / "gemtune.json").write_text(json.dumps({**record, "answer_tokens_p99": "many"}))

    with pytest.raises(ArtefactError, match="answer_tokens_p99 is 'many'"):
        evaluate_model(adapter, write_rows("test.jsonl", ROWS), config=CONFIG)


def test_a_sample_of_what_is_trained_stands_in_the_comparison(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    for _ in range(2):
        # Nothing is loaded the second time.
        compare_models(
            make_model(0), make_model(1), write_rows("test.jsonl", ROWS), out, config=CONFIG
        )

        assert read_json(out / "comparison.json")["trained_sample"] == [
            {"text": "ask 0\n", "is_trained": False},
            {"text": "say 0 again<|end|>", "is_trained": True},
        ]


def test_several_trainings_are_compared_with_one_base(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    out, test_data = tmp_path / "out", write_rows("test.jsonl", ROWS)
    again = write_rows("again.jsonl", predictions(11))

    found = compare_models(
        write_rows("base.jsonl", predictions(3)),
        write_rows("tuned.jsonl", predictions(17)),
        test_data,
        out,
        config=CONFIG,
        more_tuned=[again, make_model(1)],
    )

    assert found.seeds is not None
    assert len(found.seeds.scores) == 3
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "base",
        "tuned",
        "tuned-2",
        "tuned-3",
    ]


def test_rows_of_the_training_data_are_found_in_the_test_data(write_rows: WriteRows) -> None:
    base, tuned = (write_rows(f"{n}.jsonl", predictions(n)) for n in (2, 9))
    train_data = write_rows("train.jsonl", ROWS[:5])

    found = compare_models(
        base, tuned, write_rows("test.jsonl", ROWS), config=CONFIG, train_data=train_data
    )

    assert found.contamination is not None
    assert (found.contamination.n_pairs, found.contamination.n_clean) == (5, 15)


def test_answers_of_another_base_are_refused_before_the_tuned_model_answers(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    out, test_data = tmp_path / "out", write_rows("test.jsonl", ROWS)
    compare_models(make_model(0), make_model(1), test_data, out, config=CONFIG)
    seen: list[str] = []

    with pytest.raises(ArtefactError, match=r"out/base holds answers .*model\.safetensors: "):
        compare_models(
            make_model(2),
            make_model(1),
            test_data,
            out,
            config=CONFIG,
            on_progress=lambda side, n_done, n_all: seen.append(side),
        )

    assert not seen
    assert (out / "comparison.json").exists()


def test_a_hub_model_that_cannot_be_had_is_found_before_the_other_side_answers(
    make_model: MakeModel, write_rows: WriteRows
) -> None:
    seen: list[str] = []

    with pytest.raises(PrerequisiteError, match="org/no-such-model"):
        compare_models(
            "org/no-such-model",
            make_model(1),
            write_rows("test.jsonl", ROWS),
            config=CONFIG,
            on_progress=lambda side, n_done, n_all: seen.append(side),
        )

    assert not seen


def test_a_judge_gives_its_opinion_beside_the_verdict(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    def prefers_answers(pair: TwoAnswers) -> Judgement:
        return Judgement("first" if pair.first != "no idea" else "second", "it knows")

    out = tmp_path / "out"
    found = compare_models(
        write_rows("base.jsonl", predictions(2)),
        write_rows("tuned.jsonl", predictions(9)),
        write_rows("test.jsonl", ROWS),
        out,
        config=CONFIG,
        judge=("careful", prefers_answers),
    )

    assert found.judge is not None
    assert found.judge.outcomes.win == 7
    assert read_json(out / "comparison.json")["judge"]["judge"] == "careful"
    assert judge_sentence(found.judge).startswith(
        "judge careful: won 7, tied 13, lost 0 of 20 (100 %"
    )


def test_a_judge_that_fails_costs_only_its_opinion(write_rows: WriteRows, tmp_path: Path) -> None:
    def refuses(pair: TwoAnswers) -> Judgement:
        raise PrerequisiteError("no quota", fix="ask for one")

    with pytest.raises(PrerequisiteError, match="no quota"):
        compare_models(
            write_rows("base.jsonl", predictions(2)),
            write_rows("tuned.jsonl", predictions(9)),
            write_rows("test.jsonl", ROWS),
            tmp_path / "out",
            config=CONFIG,
            judge=("poor", refuses),
        )

    assert read_json(tmp_path / "out" / "comparison.json")["judge"] is None


def test_a_misspelt_base_is_found_before_the_tuned_model_answers(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    seen: list[str] = []

    with pytest.raises(ArtefactError, match="there is no such file or folder"):
        compare_models(
            tmp_path / "no" / "model",
            make_model(1),
            write_rows("test.jsonl", ROWS),
            tmp_path / "out",
            config=CONFIG,
            on_progress=lambda side, n_done, n_all: seen.append(side),
        )

    assert not seen
    assert not (tmp_path / "out").exists()


def test_a_comparison_that_is_cut_off_leaves_no_older_result(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data, out = write_rows("test.jsonl", ROWS), tmp_path / "out"
    base, tuned = (write_rows(name, predictions(2)) for name in ("base.jsonl", "tuned.jsonl"))
    compare_models(base, tuned, test_data, out, config=CONFIG)

    def cut_off(side: str, n_done: int, n_all: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_models(
            base,
            make_model(1),
            test_data,
            out,
            config=CONFIG,
            overwrite=True,
            on_progress=cut_off,
        )

    assert sorted(path.name for path in out.iterdir()) == ["base", "evaluation.lock", "tuned"]


@pytest.mark.parametrize("foreign", ["[0.5]", '{"decode": {"beams": 4}}', "{broken"])
def test_a_metrics_file_of_another_tool_says_nothing_about_decoding(
    foreign: str, write_rows: WriteRows, tmp_path: Path
) -> None:
    for role in ("base", "tuned"):
        write_rows(f"{role}/predictions.jsonl", predictions(3))
        (tmp_path / role / "metrics.json").write_text(foreign, "utf-8")

    found = compare_models(
        tmp_path / "base", tmp_path / "tuned", write_rows("t.jsonl", ROWS), config=CONFIG
    )

    assert "not known" in found.notes[-1]


def test_each_side_is_scored_as_evaluate_model_scores_it(
    make_model: MakeModel, write_rows: WriteRows
) -> None:
    test_data, base, tuned = write_rows("test.jsonl", ROWS), make_model(0), make_model(1)

    found = compare_models(base, tuned, test_data, config=CONFIG)

    assert found.base_metrics == evaluate_model(base, test_data, config=CONFIG)
    assert found.tuned_metrics == evaluate_model(tuned, test_data, config=CONFIG)


def test_a_model_does_not_beat_itself(make_model: MakeModel, write_rows: WriteRows) -> None:
    model = make_model(0)

    found = compare_models(model, model, write_rows("test.jsonl", ROWS), config=CONFIG)

    assert found.verdict == "no evidence"
    assert found.primary.rows.tie == 20


def test_finished_predictions_are_compared_as_file_or_folder(write_rows: WriteRows) -> None:
    test_data = write_rows("test.jsonl", ROWS)
    base = write_rows("predictions-of-base.jsonl", predictions(2))
    tuned = write_rows("finished/predictions.jsonl", predictions(18)).parent

    found = compare_models(base, tuned, test_data, config=CONFIG)

    assert found.verdict == "improved"
    assert found.primary.rows.win == 16


def test_finished_predictions_are_scored_against_the_test_data_not_by_their_own_word(
    write_rows: WriteRows,
) -> None:
    boasting = [{**row, "scores": {"rouge1": 1.0}} for row in predictions(0)]
    tuned = write_rows("tuned.jsonl", boasting)

    found = compare_models(
        write_rows("base.jsonl", predictions(0)), tuned, write_rows("t.jsonl", ROWS), config=CONFIG
    )

    assert found.primary.tuned == 0.0


def test_comparing_the_finished_sides_again_gives_the_same_result(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data, out = write_rows("test.jsonl", ROWS), tmp_path / "out"
    first = compare_models(make_model(0), make_model(1), test_data, out, config=CONFIG)

    again = compare_models(out / "base", out / "tuned", test_data, out, config=CONFIG)

    assert (again.metrics, again.verdict, again.notes) == (
        first.metrics,
        first.verdict,
        first.notes,
    )
    assert read_json(out / "base" / "metrics.json")["decode"]["dtype"] == "fp32"


def test_a_model_is_decoded_with_the_settings_of_the_finished_side(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data = write_rows("test.jsonl", ROWS)
    longer = CONFIG.model_copy(
        update={"evaluation": CONFIG.evaluation.model_copy(update={"max_new_tokens": 21})}
    )
    evaluate_model(make_model(1), test_data, tmp_path / "tuned", config=longer)

    found = compare_models(
        make_model(0), tmp_path / "tuned", test_data, tmp_path / "out", config=CONFIG
    )

    assert read_json(tmp_path / "out/base/metrics.json")["decode"]["max_new_tokens"] == 21
    assert not [note for note in found.notes if "differs" in note]


def test_predictions_of_another_test_set_are_refused_and_nothing_is_written(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    full = write_rows("base.jsonl", predictions(2))
    short = write_rows("tuned.jsonl", predictions(2)[:-3])

    with pytest.raises(DataError, match="no prediction for 'row-17', 'row-18', 'row-19'"):
        compare_models(full, short, write_rows("test.jsonl", ROWS), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_finished_predictions_are_evaluated_like_a_model(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    test_data = write_rows("test.jsonl", ROWS)
    said = [{"id": row["id"], "prediction": row["output_text"]} for row in ROWS]
    path = write_rows("said.jsonl", said)

    metrics = evaluate_model(path, test_data, tmp_path / "out", config=CONFIG)

    assert list(metrics)[:4] == ["rouge1", "rouge2", "rougeL", "bleu"]
    assert metrics["exact_match"] == 1.0
    assert "loss" not in metrics
    assert read_json(tmp_path / "out/metrics.json")["model"] == str(path)
    assert evaluate_model(tmp_path / "out", test_data, config=CONFIG) == metrics
    with pytest.raises(DataError, match=r"said\.jsonl: no prediction for"):
        write_rows("said.jsonl", said[1:])
        evaluate_model(path, test_data, config=CONFIG)


def test_a_predictions_file_that_is_not_there_is_named(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.jsonl"

    with pytest.raises(UsageError, match=r"absent\.jsonl: there is no such predictions file"):
        compare_models(absent, absent, write_rows("test.jsonl", ROWS))


def test_progress_names_the_side(make_model: MakeModel, write_rows: WriteRows) -> None:
    seen: list[tuple[str, int, int]] = []

    compare_models(
        make_model(0),
        make_model(1),
        write_rows("test.jsonl", ROWS),
        config=CONFIG,
        on_progress=lambda side, n_done, n_all: seen.append((side, n_done, n_all)),
    )

    assert ("base", 20, 20) in seen
    assert ("tuned", 20, 20) in seen


def test_finished_predictions_are_compared_without_torch(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    sides = [str(write_rows(name, predictions(3))) for name in ("base.jsonl", "tuned.jsonl")]
    program = (
        "import sys; from gemtune.evaluation.comparison import compare_models;"
        "compare_models(*sys.argv[1:]); sys.exit('torch' in sys.modules)"
    )
    arguments = [*sides, str(write_rows("test.jsonl", ROWS)), str(tmp_path / "out")]

    assert subprocess.run([sys.executable, "-c", program, *arguments], check=False).returncode == 0
