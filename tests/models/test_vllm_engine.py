"""What is asked of vLLM, and what is made of its answers; a stand-in plays its part."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gemtune.errors import MissingExtraError, UsageError
from gemtune.models.generate import Answer
from gemtune.models.vllm_engine import VllmModel, generate_with_vllm

STOP = 7


class FakeVllm(ModuleType):
    """Answers with the prompt turned round, as far as allowed; notes what it was asked."""

    def __init__(self) -> None:
        """Begin with nothing loaded."""
        super().__init__("vllm")
        self.loaded: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[SimpleNamespace] = []
        self.SamplingParams = SimpleNamespace
        self.LLM = self._load

    def _load(self, model: str, **settings: Any) -> SimpleNamespace:
        self.loaded.append((model, settings))
        return SimpleNamespace(generate=self._generate)

    def _generate(
        self, prompts: Sequence[dict[str, list[int]]], settings: Any, **rest: Any
    ) -> list[SimpleNamespace]:
        self.calls.append(SimpleNamespace(prompts=prompts, settings=settings, **rest))
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=self._answer(prompt, settings))])
            for prompt in prompts
        ]

    def _answer(self, prompt: dict[str, list[int]], settings: Any) -> tuple[int, ...]:
        text = prompt["prompt_token_ids"][::-1][: settings.max_tokens]
        # Like vLLM, it leaves the stop token in the answer.
        ends = [i + 1 for i, token in enumerate(text) if token in settings.stop_token_ids]
        return tuple(text[: ends[0]] if ends else text)


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    fake, lora, request = FakeVllm(), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    request.LoRARequest = lambda name, number, path: (name, number, path)  # pyrefly: ignore
    for module in (fake, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return fake


def answers(
    prompts: Sequence[Sequence[int]],
    *,
    context: int = 100,
    adapter: tuple[str, int] | None = None,
    max_new_tokens: int = 3,
    batch_tokens: int = 1000,
    done: Collection[int] = (),
) -> list[Answer]:
    adapter_dir, rank = (Path(adapter[0]), adapter[1]) if adapter else (None, 8)
    return generate_with_vllm(
        VllmModel(Path("base"), "bf16", context, adapter_dir, rank),
        prompts,
        stop_token_ids={STOP, 2},
        max_new_tokens=max_new_tokens,
        batch_tokens=batch_tokens,
        done=done,
    )


def test_the_stop_token_is_cut_off_and_the_ending_named(vllm: FakeVllm) -> None:
    found = answers([[1, STOP, 5], [4, 3, 1], [STOP]])

    assert found == [Answer((5,), "stop", 0), Answer((1, 3, 4), "length", 0), Answer((), "stop", 0)]


def test_it_is_asked_for_the_most_likely_tokens_up_to_our_stops_only(vllm: FakeVllm) -> None:
    answers([[1, 2, 3]])

    settings = vllm.calls[0].settings
    assert (settings.temperature, settings.max_tokens, settings.ignore_eos) == (0.0, 3, True)
    assert settings.stop_token_ids == [2, STOP]
    assert vllm.loaded[0][0] == "base"
    assert vllm.loaded[0][1]["dtype"] == "bfloat16"
    assert vllm.loaded[0][1]["trust_remote_code"] is False


def test_an_adapter_is_loaded_with_room_for_its_rank(vllm: FakeVllm) -> None:
    answers([[1]], adapter=("tuned", 9))

    assert vllm.loaded[0][1]["max_lora_rank"] == 16
    assert vllm.calls[0].lora_request == ("tuned", 1, "tuned")


def test_a_base_model_is_loaded_without_room_for_adapters(vllm: FakeVllm) -> None:
    answers([[1]])

    assert "enable_lora" not in vllm.loaded[0][1]
    assert vllm.calls[0].lora_request is None


def test_long_prompts_lose_their_left_end_and_equal_ones_are_decoded_once(vllm: FakeVllm) -> None:
    found = answers([[9, 8, 1, 4, 5], [1, 4, 5]], context=6)

    assert [prompt["prompt_token_ids"] for prompt in vllm.calls[0].prompts] == [[1, 4, 5]]
    assert [answer.prompt_truncated for answer in found] == [2, 0]


def test_blocks_share_an_engine_and_one_that_is_done_costs_nothing(vllm: FakeVllm) -> None:
    prompts = [[i, i + 1, 30] for i in range(10, 20)]

    assert len(answers(prompts, batch_tokens=6)) == 10
    assert len(vllm.loaded) == 1
    assert len(vllm.calls) > 1
    assert answers(prompts, done=range(10)) == []
    assert len(vllm.loaded) == 1


def test_no_room_for_a_prompt_is_a_usage_error(vllm: FakeVllm) -> None:
    with pytest.raises(UsageError, match="leaves no room for a prompt"):
        answers([[1]], max_new_tokens=100)


def test_without_the_package_one_reads_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)

    with pytest.raises(MissingExtraError, match="'vllm' is not installed") as caught:
        answers([[1]])

    assert "pip install vllm" in caught.value.fix
