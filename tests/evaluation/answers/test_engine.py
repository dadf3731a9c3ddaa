"""`evaluation.engine=vllm` from files to files; a stand-in for vLLM decodes with full passes."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from gemtune.config.schema import Config
from gemtune.errors import MissingExtraError
from gemtune.evaluation.comparison import compare_models
from gemtune.evaluation.metrics import evaluate_model
from gemtune.models.quiet import quiet_transformers

MakeModel = Callable[[int], Path]
WriteRows = Callable[..., Path]

ROWS = [{"id": f"r{i}", "input_text": f"ask {i % 5}", "output_text": f"say {i}"} for i in range(6)]


class Engine:
    """Plays `vllm.LLM`."""

    def __init__(self, model: str, **settings: Any) -> None:
        """Load a folder."""
        self._model: Any = AutoModelForCausalLM.from_pretrained(model).eval()
        self._room = settings["max_model_len"]

    def generate(
        self, prompts: Sequence[dict[str, list[int]]], settings: Any, *, lora_request: Any, **_: Any
    ) -> list[SimpleNamespace]:
        """Answer greedily, and leave the stop token in the answer."""
        if lora_request is not None:
            with quiet_transformers():
                self._model = PeftModel.from_pretrained(self._model, lora_request).eval()
        found = [self._written(prompt["prompt_token_ids"], settings) for prompt in prompts]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids)]) for ids in found]

    def _written(self, prompt: list[int], settings: Any) -> list[int]:
        assert len(prompt) + settings.max_tokens <= self._room
        written: list[int] = []
        while len(written) < settings.max_tokens:
            with torch.no_grad():
                logits = self._model(torch.tensor([prompt + written])).logits[0, -1]
            written.append(int(logits.argmax()))
            if written[-1] in settings.stop_token_ids:
                break
        return written


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "vllm": {"LLM": Engine, "SamplingParams": SimpleNamespace},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda name, number, path: path},
    }
    for name, contents in parts.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)


def config(engine: str) -> Config:
    evaluation = {"precision": "fp32", "max_new_tokens": 9, "batch_tokens": 30, "engine": engine}
    return Config.model_validate({"evaluation": evaluation, "data": {"template": "plain"}})


def adapter(base: Path, folder: Path) -> Path:
    torch.manual_seed(9)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with quiet_transformers():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
        model.save_pretrained(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("vllm")
def test_both_engines_give_the_same_answers_of_a_base_and_of_an_adapter(
    make_model: MakeModel, write_rows: WriteRows, tmp_path: Path
) -> None:
    base, test_data = make_model(0), write_rows("test.jsonl", ROWS)
    tuned = adapter(base, tmp_path / "adapter")

    for engine in ("vllm", "transformers"):
        compare_models(base, tuned, test_data, tmp_path / engine, config=config(engine))

    said = {
        (engine, side): (tmp_path / engine / side / "predictions.jsonl").read_bytes()
        for engine in ("vllm", "transformers")
        for side in ("base", "tuned")
    }
    assert said["vllm", "base"] == said["transformers", "base"]
    assert said["vllm", "tuned"] == said["transformers", "tuned"]
    assert said["vllm", "base"] != said["vllm", "tuned"]


def test_an_engine_that_is_missing_is_told_before_a_model_is_loaded_and_leaves_no_answers(
    make_model: MakeModel,
    write_rows: WriteRows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, test_data, out = make_model(0), write_rows("test.jsonl", ROWS), tmp_path / "out"
    monkeypatch.setitem(sys.modules, "vllm", None)

    with pytest.raises(MissingExtraError, match="'vllm' is not installed") as caught:
        evaluate_model(model, test_data, out, config=config("vllm"))

    assert caught.value.exit_code == 9
    assert "pip install vllm" in caught.value.fix
    assert not (out / "evaluation.json").exists()
