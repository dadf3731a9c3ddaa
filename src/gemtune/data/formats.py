"""The four data formats: which one a row is in, row to `Example`, and `Example` back to row.

Writing an example in the format that it came from gives the row back, and so does a detour over
another format. Only spellings of the same text are folded: a list of text parts becomes one text,
and a single `prompt`/`completion` pair of messages becomes two strings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from gemtune.data.examples import Example, Message
from gemtune.data.json_line import json_type
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput
from gemtune.data.turns import (
    check_object,
    check_order,
    check_text,
    parse_chat,
    parse_contents,
    parse_parts,
)
from gemtune.errors import DataError

Format = Literal["input_output", "prompt_completion", "messages", "gemini"]
FORMAT_NAMES: tuple[Format, ...] = get_args(Format)

Messages = tuple[Message, ...]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A format: the keys that make it, the keys it may have, and both directions."""

    required: tuple[str, ...]
    parse: Callable[[Row], Messages]
    write: Callable[[Messages], Row]
    optional: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """All keys that mean something in this format."""
        return {*self.required, *self.optional, *self.refused}


def parse_example(row: Row, name: Format, path: Path, line: int) -> Example:
    """Turn a row of a known format into an example.

    Raises:
        BadInput: The row does not hold what the format asks for.
    """
    spec = SPECS[name]
    for key, reason in spec.refused.items():
        if key in row:
            raise BadInput(Kind.UNSUPPORTED, f"the key {key!r}: {reason}")
    extra = {k: v for k, v in row.items() if k not in spec.required and k not in spec.optional}
    references = extra.pop("references") if extra.get("references") else []
    identity = extra.get("id", f"{path.stem}-{line}")
    if type(identity) not in (str, int):
        found = f"'id': expected a string or a whole number, got {json_type(identity)}"
        raise BadInput(Kind.TYPE, found)
    return Example(
        messages=spec.parse(row),
        id=str(identity),
        references=_parse_references(references),
        extra=extra,
        path=path,
        line=line,
    )


def to_row(example: Example, name: Format) -> Row:
    """Write an example as a row of a format.

    Raises:
        DataError: The format cannot hold the example; names its file and line.
    """
    spec = SPECS[name]
    try:
        if clash := sorted(spec.keys & example.extra.keys()):
            found = f"the row has a key {clash[0]!r} of its own, which {name!r} needs"
            raise BadInput(Kind.CANNOT_CONVERT, found, fix="rename the key")
        body = spec.write(example.messages)
    except BadInput as bad:
        problem = bad.at(example.path or Path(example.id), example.line)
        raise DataError(str(problem).removesuffix(f" - {problem.fix}"), fix=problem.fix) from None
    if example.references:
        body["references"] = list(example.references)
    identity = {"id": example.extra["id"]} if "id" in example.extra else {}
    return {**identity, **body, **example.extra}


def _parse_references(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadInput(Kind.TYPE, f"'references': expected a list, got {json_type(value)}")
    return tuple(check_text(text, f"references[{index}]") for index, text in enumerate(value))


def _pair(input_key: str, output_key: str, row: Row) -> Messages:
    prompt = check_text(row[input_key], input_key)
    return (Message("user", prompt), Message("assistant", check_text(row[output_key], output_key)))


def _parse_input_output(row: Row) -> Messages:
    return _pair("input_text", "output_text", row)


def _write_input_output(messages: Messages) -> Row:
    if len(messages) != 2:
        what = "a system message" if messages[0].role == "system" else "several turns"
        raise BadInput(Kind.CANNOT_CONVERT, f"'input_output' cannot hold {what}")
    return {"input_text": messages[0].content, "output_text": messages[1].content}


def _parse_prompt_completion(row: Row) -> Messages:
    if not isinstance(row["prompt"], list) and not isinstance(row["completion"], list):
        return _pair("prompt", "completion", row)
    prompt, completion = parse_chat(row["prompt"], "prompt"), row["completion"]
    if len(parse_chat(completion, "completion")) != 1:
        raise BadInput(Kind.TURN_ORDER, "'completion' must be one turn of the assistant")
    return check_order(prompt + parse_chat(completion, "completion"), "prompt + completion")


def _write_prompt_completion(messages: Messages) -> Row:
    if len(messages) == 2:
        return {"prompt": messages[0].content, "completion": messages[1].content}
    return {"prompt": _chat_rows(messages[:-1]), "completion": _chat_rows(messages[-1:])}


def _parse_messages(row: Row) -> Messages:
    return check_order(parse_chat(row["messages"], "messages"), "messages")


def _chat_rows(messages: Messages) -> list[Row]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _write_messages(messages: Messages) -> Row:
    return {"messages": _chat_rows(messages)}


def _parse_gemini(row: Row) -> Messages:
    turns = check_order(parse_contents(row["contents"], "contents"), "contents")
    if "systemInstruction" not in row:
        return turns
    system = check_object(row["systemInstruction"], "systemInstruction", ("role", "parts"))
    text = parse_parts(system.get("parts"), "systemInstruction.parts")
    return (Message("system", text), *turns)


def _write_gemini(messages: Messages) -> Row:
    has_system = messages[0].role == "system"
    contents = [
        {"role": "model" if m.role == "assistant" else "user", "parts": [{"text": m.content}]}
        for m in messages[has_system:]
    ]
    if not has_system:
        return {"contents": contents}
    system = {"role": "system", "parts": [{"text": messages[0].content}]}
    return {"systemInstruction": system, "contents": contents}


_NO_TOOLS = {"tools": "tool calls are not supported", "functions": "tool calls are not supported"}
SPECS: Mapping[Format, FormatSpec] = {
    "input_output": FormatSpec(
        ("input_text", "output_text"), _parse_input_output, _write_input_output
    ),
    "prompt_completion": FormatSpec(
        ("prompt", "completion"),
        _parse_prompt_completion,
        _write_prompt_completion,
        refused=_NO_TOOLS,
    ),
    "messages": FormatSpec(("messages",), _parse_messages, _write_messages, refused=_NO_TOOLS),
    "gemini": FormatSpec(
        ("contents",),
        _parse_gemini,
        _write_gemini,
        optional=("systemInstruction",),
        refused={**_NO_TOOLS, "system_instruction": "it is spelt 'systemInstruction'"},
    ),
}
