"""One model in every form in which people have it: the same answers, and the same figures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from gemtune.config.schema import Config, FineTuningConfig
from gemtune.evaluation.metrics import evaluate_model
from gemtune.models.load import load_model_for_generation, load_tokenizer
from gemtune.models.quiet import quiet_transformers

WriteRows = Callable[..., Path]
Answers = tuple[list[str], dict[str, float]]

CONFIG = Config.model_validate({"evaluation": {"precision": "fp32", "max_new_tokens": 12}})
ROWS = [{"id": str(i), "input_text": "the in " * (i % 3) + str(i)} for i in range(6)]


@pytest.fixture
def answers(write_rows: WriteRows, tmp_path: Path) -> Callable[[Path], Answers]:
    test_data = write_rows("test.jsonl", [row | {"output_text": "the answer"} for row in ROWS])

    def evaluate(model: Path) -> Answers:
        folder = tmp_path / f"answers-of-{model.name}"
        metrics = evaluate_model(model, test_data, folder, config=CONFIG)
        rows = json.loads((folder / "predictions.json").read_text("utf-8"))
        return [row["prediction"] for row in rows], metrics

    return evaluate


def test_a_gguf_file_answers_as_the_folder_that_it_was_made_from(
    tiny_llama_dir: Path, tiny_gguf: Path, answers: Callable[[Path], Answers]
) -> None:
    texts, metrics = answers(tiny_llama_dir)
    of_gguf, metrics_of_gguf = answers(tiny_gguf)

    assert of_gguf == texts
    assert len(set(texts)) > 1
    assert metrics_of_gguf == pytest.approx(metrics, rel=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_with_and_without_tokenizer_and_merged_answer_alike(
    tiny_llama_dir: Path, tmp_path: Path, answers: Callable[[Path], Answers]
) -> None:
    bare, full, merged = (tmp_path / name for name in ("bare", "full", "merged"))
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_pretrained(tiny_llama_dir)
    lora = LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    tokenizer = load_tokenizer(FineTuningConfig(model=str(tiny_llama_dir)))
    with quiet_transformers():
        adapted = get_peft_model(base, lora)
        for folder in (bare, full):
            adapted.save_pretrained(str(folder))
        load_model_for_generation(bare, revision=None, precision="fp32").model.save_pretrained(
            merged
        )
    for folder in (full, merged):
        tokenizer.save_pretrained(folder)

    texts, metrics = answers(bare)

    assert not (bare / "tokenizer.json").exists()
    assert texts != answers(tiny_llama_dir)[0]
    for folder in (full, merged):
        others, other_metrics = answers(folder)
        assert others == texts
        assert other_metrics == pytest.approx(metrics, rel=1e-5)
