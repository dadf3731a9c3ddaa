"""From messages to tokens: one template for training, evaluation and serving.

A prompt has the same tokens in training and in evaluation, because both come from `_encode_prompt`.
An answer is encoded apart from its prompt, always ends with the token that ends a turn, and that
token is always trained.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, takewhile

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import DataConfig
from gemtune.data.examples import EncodedRow, Example, Message
from gemtune.errors import ConfigError, DataError

PromptEncoder = Callable[[Sequence[Message]], list[int]]
RowEncoder = Callable[[Example], EncodedRow]


@dataclass(frozen=True, slots=True)
class _Template:
    tokenizer: PreTrainedTokenizerBase
    render: Callable[[Sequence[Message], bool], str]
    """Messages to text; True adds what asks for the next answer."""
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
            return [token for token, _ in _encode_prompt(template, messages)]
        except TemplateError as error:
            raise _refused(f"the prompt '{messages[0].content[:60]}'", error) from error

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
            prompt = _encode_prompt(template, example.prompt)
            answer = _encode_answer(template, example.messages)
        except TemplateError as error:
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
    """The token that ends an answer: training teaches it, decoding stops at it."""
    probe = (Message("user", "a"), Message("assistant", "b"))
    return _encode_answer(_choose_template(tokenizer, config), probe)[-1]


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


def _refused(place: str, error: TemplateError) -> DataError:
    return DataError(
        f"{place}: the model's chat template refuses this conversation: {error}",
        fix="change its roles to what the model knows, or set data.template=plain",
    )


def _chat_renderer(tokenizer: PreTrainedTokenizerBase) -> Callable[[Sequence[Message], bool], str]:
    def render(messages: Sequence[Message], asks: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        # Examples hold no thinking. Models that can think would put an empty block of it before
        # each answer, which would be trained and compared as a part of the answer.
        return str(
            tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=asks, enable_thinking=False
            )
        )

    return render


def _plain_renderer(separator: str) -> Callable[[Sequence[Message], bool], str]:
    def render(messages: Sequence[Message], asks: bool) -> str:
        text = ""
        for message in messages:
            text = _separated(text, separator) + message.content
        return _separated(text, separator) if asks else text

    return render


def _separated(text: str, separator: str) -> str:
    return text if not text or text[-1].isspace() else text + separator


def _encode_prompt(template: _Template, messages: Sequence[Message]) -> list[tuple[int, bool]]:
    """Tokens of everything before the answer; earlier answers in it are trained."""
    opening = _opening_tokens(template.tokenizer) if template.adds_special_tokens else []
    marked = [(token, False) for token in opening]
    for text, trained in _split_prompt(template, messages):
        marked += [(token, trained) for token in _tokens(template, text)]
    return marked


def _opening_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before a text; what it puts after one would close the prompt."""
    probe = tokenizer("a", return_special_tokens_mask=True)
    return list(compress(probe.input_ids, takewhile(bool, probe.special_tokens_mask)))


def _split_prompt(template: _Template, messages: Sequence[Message]) -> Iterator[tuple[str, bool]]:
    """Cut the prompt's text into what is trained (earlier answers with their end) and what is not.

    An earlier answer is trained only where it stands in the prompt as it stood when it was the
    last one, end token included; templates that rewrite history get the whole prompt untrained.
    """
    prompt = template.render(messages, True)
    position = 0
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        before = template.render(messages[:i], True)
        through = template.render(messages[: i + 1], False).rstrip()
        if not (prompt.startswith(through) and through.startswith(before)):
            break
        if through.endswith(template.end_markers):
            yield prompt[position : len(before)], False
            yield through[len(before) :], True
            position = len(through)
    yield prompt[position:], False


def _encode_answer(template: _Template, messages: Sequence[Message]) -> list[int]:
    """Tokens of the last message, ended by the template's end of turn or else by EOS."""
    before = template.render(messages[:-1], True)
    through = template.render(messages, False)
    text = through[len(before) :] if through.startswith(before) else messages[-1].content
    if text.rstrip().endswith(template.end_markers):
        return _tokens(template, text.rstrip())
    return [*_tokens(template, text), template.tokenizer.eos_token_id]


def _tokens(template: _Template, text: str) -> list[int]:
    return template.tokenizer(text, add_special_tokens=False).input_ids
