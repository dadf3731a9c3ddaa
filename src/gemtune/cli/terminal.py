"""Text from outside on its way to a terminal: no secrets, and no commands to the terminal."""

from gemtune.redaction import redact

# Escape sequences move the cursor, set titles and, in some terminals, type; the marks of writing
# direction show a text in another order than it has. Tab and line feed stay.
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
# Written as in JSON, so that a document stays one.
_VISIBLE = {code: f"\\u{code:04x}" for code in _CONTROLS if chr(code) not in "\t\n"}


def visible(text: str) -> str:
    """The text with control characters written out; for the user's own data."""
    return text.translate(_VISIBLE)


def plain_text(text: str) -> str:
    """The text without secrets and with control characters written out; for messages."""
    return visible(redact(text))
