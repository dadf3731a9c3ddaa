"""From messages to tokens: one template for training, evaluation and serving.

A prompt has the same tokens in training and in evaluation, because both come from `_encode_prompt`.
An answer is encoded apart from its prompt, always ends with the token that ends a turn, and that
token is always trained.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, takewhile

from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import DataConfig
from gemtune.data.examples import EncodedRow, Example, Message
from gemtune.errors import ArtefactError, ConfigError, DataError
from gemtune.models.template_process import ConversationRefusedError, Prefix, template_process

Renderer = Callable[[Sequence[Message], Sequence[Prefix]], list[str]]
"""The beginnings of a conversation that are wanted, as texts."""
PromptEncoder = Callable[[Sequence[Message]], list[int]]
RowEncoder = Callable[[Example], EncodedRow]


@dataclass(frozen=True, slots=True)
class _Template:
    tokenizer: PreTrainedTokenizerBase
    render: Renderer
    adds_special_tokens: bool
    """Whether the tokenizer puts its BOS before the text; chat templates write their own."""
    end_markers: tuple[str, ...]
    """The special tokens, as text, that may end a turn."""


def prompt_encoder(tokenizer: PreTrainedTokenizerBase, config: DataConfig) -> PromptEncoder:
    """Return a function from the messages before an answer to the tokens that ask for it.

    The function raises DataError for messages that the chat template refuses.
    """
    template = _choose_template(tokenizer, config)

    def encode(messages: Sequence[Message]) -> list[int]:
        try:
            [text] = template.render(messages, [(len(messages), True)])
            tokens = [token for token, _ in _encode_prompt(template, messages, text)]
        except ConversationRefusedError as error:
            raise _refused(place(messages), error) from error
        if not tokens:
            raise _refused(place(messages), "it makes an empty text of it")
        return tokens

    def place(messages: Sequence[Message]) -> str:
        return f"the prompt '{messages[0].content[:60]}'"

    return encode


def row_encoder(tokenizer: PreTrainedTokenizerBase, config: DataConfig) -> RowEncoder:
    """Return a function from an example to its tokens and to which of them are trained.

    The last answer is trained, and so is every earlier one that the template ends with a special
    token. A row longer than `config.max_length` is cut at the end; it loses its end token, so a
    model never learns to stop where a text was merely cut.

    The function raises DataError for a row that the chat template refuses.
    """
    template = _choose_template(tokenizer, config)

    def encode(example: Example) -> EncodedRow:
        try:
            before, through = _render_ends(template, example.messages)
            prompt = _encode_prompt(template, example.prompt, before)
            answer = _encode_answer(template, example.completion, before, through)
        except ConversationRefusedError as error:
            place = f"{example.path}:{example.line}" if example.path else f"row {example.id}"
            raise _refused(place, error) from error
        tokens = [*prompt, *((token, True) for token in answer)]
        kept = tokens[: config.max_length]
        return EncodedRow(
            token_ids=[token for token, _ in kept],
            trained=[trained for _, trained in kept],
            truncated=len(tokens) > len(kept),
            n_prompt_tokens=min(len(prompt), len(kept)),
        )

    return encode


def turn_end_token(tokenizer: PreTrainedTokenizerBase, config: DataConfig) -> int:
    """The token that ends an answer: training teaches it, decoding stops at it.

    Raises:
        ArtefactError: the chat template cannot show one question with its answer.
    """
    probe = (Message("user", "a"), Message("assistant", "b"))
    template = _choose_template(tokenizer, config)
    try:
        return _encode_answer(template, "b", *_render_ends(template, probe))[-1]
    except ConversationRefusedError as error:
        raise ArtefactError(
            f"the chat template of {tokenizer.name_or_path} cannot show a question with its "
            f"answer: {error}",
            fix="copy the tokenizer's files again, or set data.template=plain",
        ) from error


def template_digest(tokenizer: PreTrainedTokenizerBase, config: DataConfig) -> str | None:
    """SHA-256 in hexadecimal of the chat template that `config` chooses; None for the plain one."""
    if config.template == "plain" or tokenizer.chat_template is None:
        return None
    return hashlib.sha256(_chat_template(tokenizer).encode()).hexdigest()


def _choose_template(tokenizer: PreTrainedTokenizerBase, config: DataConfig) -> _Template:
    has_chat = tokenizer.chat_template is not None
    if config.template == "chat" and not has_chat:
        raise ConfigError(
            "data.template is 'chat', but this model's tokenizer has no chat template",
            fix="set data.template=plain, or choose an instruction-tuned model",
        )
    if has_chat and config.template != "plain":
        special = (token for token in tokenizer.added_tokens_decoder.values() if token.special)
        markers = tuple(token.content for token in special)
        return _Template(tokenizer, _chat_renderer(tokenizer), False, markers)
    # Some data sets write the end token into their answers: it is not doubled.
    return _Template(tokenizer, _plain_renderer(config.separator), True, (tokenizer.eos_token,))


def _refused(place: str, why: object) -> DataError:
    return DataError(
        f"{place}: the model's chat template refuses this conversation: {why}",
        fix="change its roles to what the model knows, or set data.template=plain",
    )


def _chat_renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    variables = {
        **tokenizer.special_tokens_map,
        "tools": None,
        "documents": None,
        # Examples hold no thinking. Models that can think would put an empty block of it before
        # each answer, which would be trained and compared as a part of the answer.
        "enable_thinking": False,
    }
    setup = {"template": _chat_template(tokenizer), "variables": variables}
    return template_process(json.dumps(setup), tokenizer.name_or_path).render


def _chat_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The template for plain conversations; some models bring one for tools beside it."""
    try:
        return tokenizer.get_chat_template()
    except ValueError as error:
        raise ArtefactError(
            f"{tokenizer.name_or_path} has several chat templates and none is called 'default'",
            fix="rename one of them in its tokenizer_config.json, or set data.template=plain",
        ) from error


def _plain_renderer(separator: str) -> Renderer:
    def render(messages: Sequence[Message], wanted: Sequence[Prefix]) -> list[str]:
        return [join(messages[:n_messages], asks) for n_messages, asks in wanted]

    def join(messages: Sequence[Message], asks: bool) -> str:
        text = ""
        for message in messages:
            text = _separated(text, separator) + message.content
        return _separated(text, separator) if asks else text

    return render


def _separated(text: str, separator: str) -> str:
    return text if not text or text[-1].isspace() else text + separator


def _render_ends(template: _Template, messages: Sequence[Message]) -> list[str]:
    """The text that asks for the last message, and that with it."""
    return template.render(messages, [(len(messages) - 1, True), (len(messages), False)])


def _encode_prompt(
    template: _Template, messages: Sequence[Message], prompt: str
) -> list[tuple[int, bool]]:
    """Tokens of everything before the answer; earlier answers in it are trained."""
    opening = _opening_tokens(template.tokenizer) if template.adds_special_tokens else []
    marked = [(token, False) for token in opening]
    for text, trained in _split_prompt(template, messages, prompt):
        marked += [(token, trained) for token in _tokens(template, text)]
    return marked


def _opening_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before a text; what it puts after one would close the prompt."""
    probe = tokenizer("a", return_special_tokens_mask=True)
    return list(compress(probe.input_ids, takewhile(bool, probe.special_tokens_mask)))


def _split_prompt(
    template: _Template, messages: Sequence[Message], prompt: str
) -> Iterator[tuple[str, bool]]:
    """Cut the prompt's text into what is trained (earlier answers with their end) and what is not.

    An earlier answer is trained only where it stands in the prompt as it stood when it was the
    last one, end token included; templates that rewrite history get the whole prompt untrained.
    """
    position = 0
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        before, through = _render_ends(template, messages[: i + 1])
        through = through.rstrip()
        if not (prompt.startswith(through) and through.startswith(before)):
            break
        if through.endswith(template.end_markers):
            yield prompt[position : len(before)], False
            yield through[len(before) :], True
            position = len(through)
    yield prompt[position:], False


def _encode_answer(template: _Template, answer: str, before: str, through: str) -> list[int]:
    """Tokens of an answer, ended by the template's end of turn or else by EOS.

    Args:
        template: What the texts were rendered with.
        answer: The message itself.
        before: The text that asks for it.
        through: The text that ends with it.
    """
    text = through[len(before) :] if through.startswith(before) else answer
    if text.rstrip().endswith(template.end_markers):
        return _tokens(template, text.rstrip())
    return [*_tokens(template, text), template.tokenizer.eos_token_id]


def _tokens(template: _Template, text: str) -> list[int]:
    return template.tokenizer(text, add_special_tokens=False).input_ids
