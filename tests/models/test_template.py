"""One template for training and evaluation: what is trained, what is asked, what is cut."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.data.examples import EncodedRow, Example, Message
from gemtune.errors import ArtefactError, ConfigError, DataError
from gemtune.models.load import load_tokenizer
from gemtune.models.template import prompt_encoder, row_encoder, turn_end_token

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]

CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# What reasoning models do: only the last answer keeps its empty thoughts.
REWRITES_HISTORY = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if loop.last and message['role'] == 'assistant' %}<think></think>{% endif %}"
    "{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Qwen 3 in short: it thinks unless it is asked not to.
THINKS = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if loop.last and message['role'] == 'assistant' %}<think></think>{% endif %}"
    "{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    "{% endif %}"
)
WRITES_BOS_AND_EOS = (
    "<s>{% for message in messages %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] | trim }} [/INST]"
    "{% else %} {{ message['content'] | trim }}<|endoftext|>{% endif %}"
    "{% endfor %}"
)
HAS_NO_END_OF_TURN = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
KNOWS_NO_SYSTEM = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)

# Letters, white space that merges with its neighbours, and bytes beyond ASCII.
TEXTS = st.text(st.sampled_from("abthein .\n\t\u00e9\u4e2d\U0001f600"), min_size=1, max_size=20)


def example(*contents: str, system: str | None = None) -> Example:
    """User and assistant in turn; the last one is the answer to learn."""
    turns = [
        Message("assistant" if i % 2 else "user", content) for i, content in enumerate(contents)
    ]
    first = [Message("system", system)] if system is not None else []
    return Example((*first, *turns), id="row-1", path=Path("train.jsonl"), line=7)


def plain(**settings: object) -> DataConfig:
    return DataConfig.model_validate({"template": "plain", **settings})


def trained_texts(tokenizer: PreTrainedTokenizerBase, row: EncodedRow) -> list[str]:
    """The text of every unbroken run of trained tokens."""
    runs: list[list[int]] = [[]]
    for token, trained in zip(row.token_ids, row.trained, strict=True):
        if trained:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [str(tokenizer.decode(run)) for run in runs if run]


def untrained_text(tokenizer: PreTrainedTokenizerBase, row: EncodedRow) -> str:
    tokens = zip(row.token_ids, row.trained, strict=True)
    return str(tokenizer.decode([token for token, trained in tokens if not trained]))


@pytest.fixture(scope="module")
def chat_tokenizer(make_tokenizer: MakeTokenizer) -> PreTrainedTokenizerBase:
    return make_tokenizer(chat_template=CHATML)


@pytest.fixture(scope="module")
def plain_tokenizer(make_tokenizer: MakeTokenizer) -> PreTrainedTokenizerBase:
    return make_tokenizer(adds=("<s>",))


def test_a_plain_row_trains_the_answer_and_the_end_token_and_nothing_else(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(plain_tokenizer, plain())(example("the question", "the answer"))

    assert trained_texts(plain_tokenizer, row) == ["the answer<|endoftext|>"]
    assert untrained_text(plain_tokenizer, row) == "<s>the question\n"
    assert row.token_ids[-1] == plain_tokenizer.eos_token_id
    assert not row.truncated


def test_a_chat_row_trains_the_answer_and_its_end_of_turn_and_nothing_else(
    chat_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(chat_tokenizer, DataConfig())(example("hi", "the answer"))

    assert trained_texts(chat_tokenizer, row) == ["the answer<|im_end|>"]
    asked = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert untrained_text(chat_tokenizer, row) == asked


def test_every_answer_of_a_chat_with_many_turns_is_trained_with_its_end(
    chat_tokenizer: PreTrainedTokenizerBase,
) -> None:
    conversation = example("q1", "a1", "q2", "a2", "q3", "a3", system="be kind")

    row = row_encoder(chat_tokenizer, DataConfig())(conversation)

    ends = ["a1<|im_end|>", "a2<|im_end|>", "a3<|im_end|>"]
    assert trained_texts(chat_tokenizer, row) == ends
    assert chat_tokenizer.decode(list(row.token_ids)) == (
        "<|im_start|>system\nbe kind<|im_end|>\n"
        "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n"
        "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\na2<|im_end|>\n"
        "<|im_start|>user\nq3<|im_end|>\n<|im_start|>assistant\na3<|im_end|>"
    )


def test_the_plain_template_has_no_end_for_earlier_answers_and_trains_the_last_only(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    conversation = example("q1", "a1", "q2", "a2", system="be kind")

    row = row_encoder(plain_tokenizer, plain())(conversation)

    assert trained_texts(plain_tokenizer, row) == ["a2<|endoftext|>"]
    assert untrained_text(plain_tokenizer, row) == "<s>be kind\nq1\na1\nq2\n"


def test_a_template_that_rewrites_history_trains_the_last_answer_only(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer(chat_template=REWRITES_HISTORY)

    row = row_encoder(tokenizer, DataConfig())(example("q1", "a1", "q2", "a2"))

    assert trained_texts(tokenizer, row) == ["<think></think>a2<|im_end|>"]
    assert "<think>" not in untrained_text(tokenizer, row)


def test_a_template_without_end_of_turn_gets_the_end_of_text(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template=HAS_NO_END_OF_TURN)

    row = row_encoder(tokenizer, DataConfig())(example("q1", "a1", "q2", "a2"))

    assert trained_texts(tokenizer, row) == ["a2\n<|endoftext|>"]


@pytest.mark.parametrize("template", [CHATML, REWRITES_HISTORY, WRITES_BOS_AND_EOS])
def test_a_prompt_has_the_tokens_of_the_models_own_chat_template(
    make_tokenizer: MakeTokenizer, template: str
) -> None:
    tokenizer = make_tokenizer(chat_template=template, adds=("<s>",))
    messages = example("q1 the\n\n", "a1", "in q2", "-").prompt
    turns = [{"role": message.role, "content": message.content} for message in messages]

    found = prompt_encoder(tokenizer, DataConfig())(messages)

    expected = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert found == expected


@pytest.mark.parametrize("end", [(), ("<|endoftext|>",)])
@pytest.mark.parametrize("bos", ["<s>", "<|endoftext|>"])
def test_a_plain_row_begins_with_exactly_one_bos_of_a_tokenizer_that_adds_one(
    make_tokenizer: MakeTokenizer, bos: str, end: tuple[str, ...]
) -> None:
    tokenizer = make_tokenizer(bos=bos, adds=(bos, *end))

    row = row_encoder(tokenizer, plain())(example("ab", "in"))

    assert tokenizer.decode(list(row.token_ids)) == f"{bos}ab\nin<|endoftext|>"


def test_a_chat_row_has_the_one_bos_that_its_template_writes(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template=WRITES_BOS_AND_EOS, adds=("<s>", "<|endoftext|>"))

    row = row_encoder(tokenizer, DataConfig())(example("ab", "in"))

    assert tokenizer.decode(list(row.token_ids)) == "<s>[INST] ab [/INST] in<|endoftext|>"
    assert trained_texts(tokenizer, row) == [" in<|endoftext|>"]


def test_a_tokenizer_that_adds_no_bos_gets_none(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer()

    row = row_encoder(tokenizer, plain())(example("ab", "in"))

    assert tokenizer.bos_token_id not in row.token_ids


@pytest.mark.parametrize("pad", ["<|endoftext|>", None])
def test_the_end_token_is_trained_even_when_it_is_the_pad_token(
    make_tokenizer: MakeTokenizer, pad: str | None
) -> None:
    tokenizer = make_tokenizer(pad=pad)

    row = row_encoder(tokenizer, plain())(example("ab", "in"))

    assert row.token_ids[-1] == tokenizer.eos_token_id
    assert row.trained[-1]


def test_an_end_token_that_the_data_brings_is_not_doubled(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(plain_tokenizer, plain())(example("ab", "in<|endoftext|>"))

    assert trained_texts(plain_tokenizer, row) == ["in<|endoftext|>"]


def test_another_special_token_at_the_end_of_a_plain_answer_does_not_end_it(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(plain_tokenizer, plain())(example("ab", "in<|pad|>"))

    assert row.token_ids[-1] == plain_tokenizer.eos_token_id


def test_a_row_of_just_max_length_is_whole_and_one_token_more_is_cut(
    chat_tokenizer: PreTrainedTokenizerBase,
) -> None:
    long = example("hi", "abthe" * 20)
    whole = row_encoder(chat_tokenizer, DataConfig())(long)
    n_tokens = len(whole.token_ids)

    exact = row_encoder(chat_tokenizer, DataConfig(max_length=n_tokens))(long)
    cut = row_encoder(chat_tokenizer, DataConfig(max_length=n_tokens - 1))(long)

    assert exact == whole
    assert cut.truncated
    assert (cut.token_ids, cut.trained) == (whole.token_ids[:-1], whole.trained[:-1])
    assert turn_end_token(chat_tokenizer, DataConfig()) == whole.token_ids[-1]


def test_a_row_cut_inside_its_prompt_trains_nothing(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(plain_tokenizer, plain(max_length=8))(example("ab" * 20, "in"))

    assert row.truncated
    assert row.n_prompt_tokens == len(row.token_ids) == 8
    assert not any(row.trained)


def test_white_space_around_a_plain_answer_is_kept(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(plain_tokenizer, plain())(example("ab", "  in \n\n"))

    assert trained_texts(plain_tokenizer, row) == ["  in \n\n<|endoftext|>"]


@pytest.mark.parametrize(
    ("prompt", "asked"), [("ab", "ab -> "), ("ab ", "ab "), ("ab\n", "ab\n"), ("ab\t", "ab\t")]
)
def test_the_separator_is_left_out_after_white_space(
    make_tokenizer: MakeTokenizer, prompt: str, asked: str
) -> None:
    tokenizer = make_tokenizer()

    row = row_encoder(tokenizer, plain(separator=" -> "))(example(prompt, "in"))

    assert untrained_text(tokenizer, row) == asked


def test_plain_may_be_chosen_for_a_model_with_a_chat_template(
    chat_tokenizer: PreTrainedTokenizerBase,
) -> None:
    row = row_encoder(chat_tokenizer, plain())(example("ab", "in"))

    assert chat_tokenizer.decode(list(row.token_ids)) == "ab\nin<|endoftext|>"


def test_chat_for_a_model_without_chat_template_says_what_to_set(
    plain_tokenizer: PreTrainedTokenizerBase,
) -> None:
    with pytest.raises(ConfigError, match="has no chat template") as caught:
        row_encoder(plain_tokenizer, DataConfig(template="chat"))

    assert "data.template=plain" in caught.value.fix


def test_a_row_that_the_chat_template_refuses_is_named_with_file_and_line(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer(chat_template=KNOWS_NO_SYSTEM)

    with pytest.raises(DataError, match=r"train\.jsonl:7: .*System role not supported"):
        row_encoder(tokenizer, DataConfig())(example("ab", "in", system="be kind"))


def test_a_prompt_that_the_chat_template_refuses_is_quoted(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(chat_template=KNOWS_NO_SYSTEM)

    with pytest.raises(DataError, match=r"'be kind': .*System role not supported"):
        prompt_encoder(tokenizer, DataConfig())(example("ab", "in", system="be kind").prompt)


def test_a_prompt_that_the_chat_template_makes_nothing_of_is_refused(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer(chat_template="{{ '' }}")

    with pytest.raises(DataError, match=r"the prompt 'a'.* it makes an empty text of it"):
        prompt_encoder(tokenizer, DataConfig())(example("a", "b").prompt)


def test_a_chat_template_that_cannot_show_an_answer_is_told(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer(
        chat_template=CHATML.replace("message['content']", "massage['content']")
    )

    with pytest.raises(ArtefactError, match="'massage' is undefined") as caught:
        turn_end_token(tokenizer, DataConfig())
    assert "data.template=plain" in caught.value.fix


@pytest.mark.parametrize(
    ("template", "end"),
    [(CHATML, "<|im_end|>"), (WRITES_BOS_AND_EOS, "<|endoftext|>"), (None, "<|endoftext|>")],
)
def test_the_turn_end_token_is_the_one_that_training_teaches(
    make_tokenizer: MakeTokenizer, template: str | None, end: str
) -> None:
    tokenizer = make_tokenizer(chat_template=template)

    found = turn_end_token(tokenizer, DataConfig())

    assert found == tokenizer.convert_tokens_to_ids(end)
    assert found == row_encoder(tokenizer, DataConfig())(example("ab", "in")).token_ids[-1]


def test_the_four_families_train_answer_and_end_after_a_round_trip_to_disk(
    tiny_model_dir: Path,
) -> None:
    tokenizer = load_tokenizer(FineTuningConfig(model=str(tiny_model_dir)))

    row = row_encoder(tokenizer, DataConfig())(example("the question", "the answer"))

    end = tokenizer.decode([turn_end_token(tokenizer, DataConfig())])
    assert trained_texts(tokenizer, row) == [f"the answer{end}"]


def assert_mask_and_prompt_hold(
    tokenizer: PreTrainedTokenizerBase,
    config: DataConfig,
    contents: Sequence[str],
    trained: Sequence[str],
) -> None:
    row_example = example(*contents)
    row = row_encoder(tokenizer, config)(row_example)
    prompt = prompt_encoder(tokenizer, config)(row_example.prompt)

    assert trained_texts(tokenizer, row) == list(trained)
    assert list(row.token_ids[: row.n_prompt_tokens]) == prompt
    assert all(row.trained[row.n_prompt_tokens :])


@given(prompt=TEXTS, answer=TEXTS, separator=st.sampled_from(["\n", "", " ", "\n\n"]))
def test_any_plain_text_keeps_mask_and_prompt(
    plain_tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, separator: str
) -> None:
    assert_mask_and_prompt_hold(
        plain_tokenizer,
        plain(separator=separator),
        [prompt, answer],
        [f"{answer}<|endoftext|>"],
    )


@given(contents=st.sampled_from([2, 4]).flatmap(lambda n: st.lists(TEXTS, min_size=n, max_size=n)))
def test_any_chat_text_keeps_mask_and_prompt(
    chat_tokenizer: PreTrainedTokenizerBase, contents: list[str]
) -> None:
    assert_mask_and_prompt_hold(
        chat_tokenizer,
        DataConfig(),
        contents,
        [f"{answer}<|im_end|>" for answer in contents[1::2]],
    )


def test_a_model_that_can_think_is_asked_not_to_and_learns_the_answer_alone(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer(chat_template=THINKS)

    row = row_encoder(tokenizer, DataConfig())(example("hi", "the answer"))

    assert trained_texts(tokenizer, row) == ["the answer<|im_end|>"]
    assert untrained_text(tokenizer, row).endswith("assistant\n<think></think>")
