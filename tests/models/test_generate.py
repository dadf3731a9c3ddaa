"""Greedy decoding of many prompts gives what decoding one prompt at a time gives."""

from collections.abc import Callable, Collection, Iterator, Sequence

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    RwkvConfig,
    RwkvForCausalLM,
)

from gemtune.errors import ArtefactError, UsageError
from gemtune.models.decode_slots import can_decode_in_slots
from gemtune.models.generate import Answer, Progress, generate_answers

VOCABULARY = 96
CONTEXT = 64
PAD = 0
# The tokens that small random models like to write differ by family, so a share of all of them
# stops an answer: some answers end early, some late, some never.
STOPS = frozenset(range(1, VOCABULARY, 12))
PROMPTS = [
    [5, 9, 17],
    [44] * 3 + [7],
    [8],
    [21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
    [90, 3],
    [60, 61, 62, 63, 64, 65],
    [33, 31],
    [60, 61, 62, 5],
    [77, 70, 71, 72, 73],
    [11, 12],
    [60, 61, 62],
    [8],
]

BuildModel = Callable[[], PreTrainedModel]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gpt2() -> PreTrainedModel:
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPT2LMHeadModel(config)


def llama(context: int = CONTEXT) -> PreTrainedModel:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=2 * 64,  # of a size whose largest is looked for in parts
        max_position_embeddings=context,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)


def gemma3() -> PreTrainedModel:
    torch.manual_seed(3)
    config = Gemma3TextConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=6,
        tie_word_embeddings=False,
        layer_types=["sliding_attention", "full_attention"],
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return Gemma3ForCausalLM(config)


def gemma2() -> PreTrainedModel:
    """Caps its scores, which the attention for slots does not."""
    torch.manual_seed(4)
    config = Gemma2Config(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=6,
        attn_logit_softcapping=1.0,
        tie_word_embeddings=False,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return Gemma2ForCausalLM(config)


def gpt_neox() -> PreTrainedModel:
    torch.manual_seed(7)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPTNeoXForCausalLM(config)


IN_SLOTS = [gpt2, llama, gemma3]
PADDED = [gemma2, gpt_neox]


def answers(
    model: PreTrainedModel,
    *,
    prompts: Sequence[Sequence[int]] = PROMPTS,
    pad_token_id: int = PAD,
    max_new_tokens: int = 20,
    batch_tokens: int = 10_000,
    on_progress: Progress | None = None,
    done: Collection[int] = frozenset(),
) -> list[Answer]:
    return generate_answers(
        model,
        prompts,
        stop_token_ids=STOPS,
        pad_token_id=pad_token_id,
        max_new_tokens=max_new_tokens,
        batch_tokens=batch_tokens,
        on_progress=on_progress,
        done=done,
    )


def written_by_full_forward_passes(
    model: PreTrainedModel, prompt: list[int], max_new_tokens: int = 20
) -> Answer:
    """The slow oracle: no cache, no padding, no batch."""
    token_ids = list(prompt)
    for _ in range(max_new_tokens):
        with torch.no_grad():
            token_id = int(model(torch.tensor([token_ids])).logits[0, -1].argmax())
        if token_id in STOPS:
            return Answer(tuple(token_ids[len(prompt) :]), "stop", 0)
        token_ids.append(token_id)
    return Answer(tuple(token_ids[len(prompt) :]), "length", 0)


@pytest.mark.parametrize("build", [*IN_SLOTS, *PADDED])
# One slot, a few slots that are filled again and again, a slot for every prompt.
@pytest.mark.parametrize("batch_tokens", [1, 90, 10_000])
def test_batched_answers_equal_full_forward_passes(build: BuildModel, batch_tokens: int) -> None:
    model = build().eval()

    expected = [written_by_full_forward_passes(model, prompt) for prompt in PROMPTS]

    assert answers(model, batch_tokens=batch_tokens) == expected


@pytest.mark.parametrize("build", IN_SLOTS)
def test_usual_models_are_decoded_in_slots(build: BuildModel) -> None:
    assert can_decode_in_slots(build())


@pytest.mark.parametrize("build", PADDED)
def test_models_with_other_attention_are_not_decoded_in_slots(build: BuildModel) -> None:
    assert not can_decode_in_slots(build())


@pytest.mark.parametrize("build", [*IN_SLOTS, *PADDED])
def test_the_oracle_sees_answers_of_many_lengths_and_both_endings(build: BuildModel) -> None:
    found = answers(build().eval())

    assert len({len(answer.token_ids) for answer in found}) >= 4
    assert {answer.finish_reason for answer in found} == {"stop", "length"}


def test_prompts_that_are_read_in_pieces_are_answered_like_others() -> None:
    model = llama(context=1024).eval()
    long_text = [(7 * i + i // 5) % VOCABULARY for i in range(600)]
    prompts = [long_text, [*long_text[:300], 3, 4], long_text[:257], long_text[300:], [5, 9]]

    found = answers(model, prompts=prompts, max_new_tokens=4, batch_tokens=2000)

    assert found == [written_by_full_forward_passes(model, prompt, 4) for prompt in prompts]


def test_a_prompt_longer_than_the_window_sees_only_the_window() -> None:
    model = gemma3().eval()
    prompts = [[(7 * i) % VOCABULARY for i in range(n)] for n in (5, 6, 7, 30)]

    assert answers(model, prompts=prompts) == [
        written_by_full_forward_passes(model, prompt) for prompt in prompts
    ]


def test_equal_prompts_are_decoded_once_and_reported_together() -> None:
    blocks: list[list[int]] = []
    model, calls = llama().eval(), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_pre_hook(count)
    answers(model, prompts=[[5, 9]], max_new_tokens=3)
    once = calls
    found = answers(
        model,
        prompts=[[5, 9]] * 40,
        max_new_tokens=3,
        batch_tokens=1,
        on_progress=lambda block: blocks.append([i for i, _ in block]),
    )

    assert calls == 2 * once
    assert blocks == [list(range(40))]
    assert len(set(found)) == 1


def test_prompts_that_are_equal_once_cut_keep_what_was_cut_from_each() -> None:
    end = [5, 9, 17] * 20

    short, long = answers(gpt2().eval(), prompts=[end, [33, *end]])

    assert short.token_ids == long.token_ids
    assert long.prompt_truncated == short.prompt_truncated + 1


@pytest.mark.parametrize("build", [llama, gpt_neox])
def test_a_run_that_goes_on_gives_the_bits_of_one_that_was_not_stopped(build: BuildModel) -> None:
    model = build().bfloat16().eval()
    blocks: list[list[tuple[int, Answer]]] = []
    whole = answers(model, batch_tokens=60, on_progress=lambda block: blocks.append(list(block)))
    assert len(blocks) > 1
    done = {i for i, _ in blocks[0]} | {blocks[1][0][0]}

    rest = answers(model, batch_tokens=60, done=done)

    left = [i for i in range(len(PROMPTS)) if i not in {i for i, _ in blocks[0]}]
    assert rest == [whole[i] for i in left]


@pytest.mark.parametrize("build", IN_SLOTS)
def test_the_attention_is_put_back_also_after_an_interrupt(build: BuildModel) -> None:
    model = build()
    before = model.config._attn_implementation

    def interrupt(*_: object) -> None:
        assert model.config._attn_implementation != before
        raise KeyboardInterrupt

    handle = model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        answers(model)
    handle.remove()

    assert model.config._attn_implementation == before
    assert torch.isfinite(model(torch.tensor([[5, 9]])).logits).all()


def test_the_pad_token_may_be_the_stop_token_and_may_occur_in_prompts() -> None:
    model = llama().eval()
    stop = min(STOPS)
    prompts = [[stop, 5, 9], [stop, 44, stop, 7, 7, 7], [8]]

    together = answers(model, prompts=prompts, pad_token_id=stop)
    alone = [answers(model, prompts=[prompt], pad_token_id=stop)[0] for prompt in prompts]

    assert together == alone


def test_a_prompt_longer_than_the_context_loses_its_left_end_and_says_so() -> None:
    model = gpt2().eval()
    long_prompt = [index % VOCABULARY for index in range(CONTEXT + 10)]

    cut, short = answers(model, prompts=[long_prompt, [5, 9, 17]])

    kept = long_prompt[-(CONTEXT - 20) :]
    assert cut.prompt_truncated == len(long_prompt) - len(kept)
    assert cut.token_ids == answers(model, prompts=[kept])[0].token_ids
    assert short.prompt_truncated == 0


def test_an_answer_as_long_as_the_context_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves no room for a prompt") as caught:
        answers(gpt2(), max_new_tokens=CONTEXT)

    assert str(CONTEXT) in caught.value.fix


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_put_back_and_dropout_is_off_meanwhile(training: bool) -> None:
    model = gpt2().train(training)

    first, second = answers(model), answers(model)

    assert first == second
    assert model.training is training


def test_progress_reports_every_answer_once_with_its_place() -> None:
    seen: dict[int, Answer] = {}
    sizes: list[int] = []

    def note(done: Sequence[tuple[int, Answer]]) -> None:
        sizes.append(len(done))
        seen.update(done)

    found = answers(gpt2(), batch_tokens=40, on_progress=note)

    assert sum(sizes) == len(PROMPTS)
    assert len(sizes) > 1
    assert [seen[i] for i in range(len(PROMPTS))] == found


def test_a_model_that_ignores_the_cache_is_refused() -> None:
    # It would answer each token from the one before it alone, and nobody would see it.
    config = RwkvConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2)
    with pytest.raises(ArtefactError, match="RwkvForCausalLM has no key-value cache"):
        answers(RwkvForCausalLM(config))


def test_a_token_that_the_model_does_not_know_is_refused_by_its_number() -> None:
    with pytest.raises(ArtefactError, match="token 96, but the model knows only 96") as caught:
        generate_answers(
            gpt2(),
            [[1, 2], [3, VOCABULARY, 4]],
            stop_token_ids=STOPS,
            pad_token_id=PAD,
            max_new_tokens=2,
            batch_tokens=64,
        )
    assert caught.value.exit_code == 4
