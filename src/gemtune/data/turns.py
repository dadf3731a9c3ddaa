"""Turns of a conversation: texts, roles and their order, checked on the way in."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from gemtune.data.examples import Message, Role
from gemtune.data.json_line import json_type
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput

CHAT_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
GEMINI_ROLES: Mapping[str, Role] = {"user": "user", "model": "assistant"}
_OTHER_NAMES: Mapping[str, Role] = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "developer": "system",
}


def check_text(value: Any, where: str) -> str:
    """Return `value` if it is a text with something in it.

    Raises:
        BadInput: TYPE or EMPTY, naming the place in the row.
    """
    if not isinstance(value, str):
        raise BadInput(Kind.TYPE, f"{where!r}: expected a string, got {json_type(value)}")
    if not value or value.isspace():
        raise BadInput(Kind.EMPTY, f"{where!r} holds no text")
    return value


def check_list(value: Any, where: str) -> list[Any]:
    """Return `value` if it is a list with something in it."""
    if not isinstance(value, list):
        raise BadInput(Kind.TYPE, f"{where!r}: expected a list, got {json_type(value)}")
    if not value:
        raise BadInput(Kind.EMPTY, f"{where!r} is an empty list")
    return value


def check_object(value: Any, where: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return `value` if it is an object with no other keys than `keys`."""
    if not isinstance(value, dict):
        raise BadInput(Kind.TYPE, f"{where!r}: expected an object, got {json_type(value)}")
    for key in value:
        if key not in keys:
            allowed = ", ".join(keys)
            raise BadInput(Kind.UNSUPPORTED, f"{where!r} holds {key!r}; supported are: {allowed}")
    return value


def parse_chat(value: Any, where: str) -> tuple[Message, ...]:
    """Parse OpenAI/Hugging Face messages: `[{"role": ..., "content": ...}, ...]`."""
    turns = enumerate(check_list(value, where))
    return tuple(_chat_message(turn, f"{where}[{index}]") for index, turn in turns)


def parse_contents(value: Any, where: str) -> tuple[Message, ...]:
    """Parse Gemini contents: `[{"role": ..., "parts": [{"text": ...}]}, ...]`."""
    turns = enumerate(check_list(value, where))
    return tuple(_gemini_message(turn, f"{where}[{index}]") for index, turn in turns)


def parse_parts(value: Any, where: str) -> str:
    """Parse Gemini parts into one text."""
    parts = enumerate(check_list(value, where))
    texts = [check_object(part, f"{where}[{index}]", ("text",)) for index, part in parts]
    return check_text(_join(texts, where), where)


def check_order(messages: tuple[Message, ...], where: str) -> tuple[Message, ...]:
    """Return `messages` if they are [system], user, assistant, ..., user, assistant.

    Raises:
        BadInput: TURN_ORDER, naming the first turn out of order.
    """
    first = 1 if messages[0].role == "system" else 0
    for index, message in enumerate(messages[first:]):
        expected = "assistant" if index % 2 else "user"
        if message.role != expected:
            place = f"{where}[{index + first}]"
            found = f"{place!r} is a turn of {message.role!r}; expected {expected!r}"
            raise BadInput(Kind.TURN_ORDER, found)
    if messages[-1].role != "assistant":
        last = messages[-1].role
        raise BadInput(Kind.TURN_ORDER, f"{where!r} must end with the assistant's turn, not {last}")
    return messages


def _chat_message(turn: Any, where: str) -> Message:
    turn = check_object(turn, where, ("role", "content"))
    role = _role(turn.get("role"), f"{where}.role", CHAT_ROLES)
    content = turn.get("content")
    if isinstance(content, list):
        content = _chat_parts(content, f"{where}.content")
    return Message(role, check_text(content, f"{where}.content"))


def _chat_parts(parts: list[Any], where: str) -> str:
    for index, part in enumerate(parts):
        if isinstance(part, dict) and part.get("type", "text") != "text":
            found = f"'{where}[{index}]' is a part of type {part['type']!r}"
            raise BadInput(Kind.UNSUPPORTED, found)
        check_object(part, f"{where}[{index}]", ("type", "text"))
    return _join(parts, where)


def _gemini_message(turn: Any, where: str) -> Message:
    turn = check_object(turn, where, ("role", "parts"))
    role = _role(turn.get("role", "user"), f"{where}.role", GEMINI_ROLES)
    return Message(role, parse_parts(turn.get("parts"), f"{where}.parts"))


def _join(parts: list[dict[str, Any]], where: str) -> str:
    for index, part in enumerate(parts):
        text, place = part.get("text"), f"{where}[{index}].text"
        if not isinstance(text, str):
            raise BadInput(Kind.TYPE, f"{place!r}: expected a string, got {json_type(text)}")
    return "".join(part["text"] for part in parts)


def _role(value: Any, where: str, roles: Mapping[str, Role]) -> Role:
    if not isinstance(value, str):
        raise BadInput(Kind.TYPE, f"{where!r}: expected a string, got {json_type(value)}")
    if value in roles:
        return roles[value]
    meant = _OTHER_NAMES.get(value.lower())
    spelled = [name for name, role in roles.items() if role == meant]
    nearest = spelled or difflib.get_close_matches(value.lower(), list(roles), n=1)
    fix = f"did you mean {nearest[0]!r}?" if nearest else f"use one of: {', '.join(roles)}"
    raise BadInput(Kind.UNKNOWN_ROLE, f"{where!r}: unknown role {value!r}", fix=fix)
